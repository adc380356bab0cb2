from __future__ import annotations

from rag_evals.evals.gate.verdict import Verdict, worst


def test_the_worst_verdict_is_the_most_severe_in_any_order() -> None:
    assert worst([Verdict.BLOCK, Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.BLOCK
    assert worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst(iter([Verdict.PASS, Verdict.PASS])) is Verdict.PASS


def test_nothing_held_is_a_pass() -> None:
    assert worst([]) is Verdict.PASS


def test_a_verdict_reads_as_its_name() -> None:
    assert f"{Verdict.INCONCLUSIVE}" == "INCONCLUSIVE"
