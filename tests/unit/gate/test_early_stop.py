"""Stopping early: what is decided of each pipeline as its evaluations come in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.decision import decide
from rag_evals.evals.gate.early_stop import EarlyStop, is_comparable, is_decidable, shuffled_order
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer

JUDGE = ComponentInfo("judge", "fake", "j1", {})


def evaluation(number: int, value: float | None, pipeline: str = "baseline") -> Evaluation:
    score = Score("faithfulness", value, reason=None if value is not None else "no key")
    question = Question(f"q{number}", f"What is {number}?")
    return Evaluation(question, pipeline, Answer("So."), (score,), {"faithfulness": 0.5}, {"generate": 2.0})


def rules(*conditions: str) -> Rules:
    return Rules("gate", tuple(map(parse_condition, conditions)), judge_floor=0.0, stop_early=True)


def needed(early: EarlyStop, *values: float | None, pipeline: str = "baseline") -> int | None:
    """Return after how many of the values the pipeline's gate was decided."""
    for number, value in enumerate(values):
        early.add(evaluation(number, value, pipeline))
        if early.verdict(pipeline):
            return number + 1
    return None


@pytest.mark.parametrize(
    ("condition", "value", "verdict"),
    [
        ("pass_rate >= 0.8", 0.9, Verdict.PASS),
        ("pass_rate >= 0.8", 0.1, Verdict.BLOCK),
        ("pass_rate <= 0.2", 0.1, Verdict.PASS),
        ("faithfulness.mean >= 0.5", 0.9, Verdict.PASS),
        ("faithfulness.mean <= 0.5", 0.9, Verdict.BLOCK),
        ("faithfulness.p10 >= 0.5", 0.9, Verdict.PASS),
        ("faithfulness.p90 <= 0.5", 0.9, Verdict.BLOCK),
        ("latency.p90 <= 5s", 0.9, Verdict.PASS),
        ("latency.median <= 1s", 0.9, Verdict.BLOCK),
    ],
)
def test_clear_cases_are_decided(condition, value, verdict):
    """Whatever a condition is about, all alike and far from the bound decides it."""
    early = EarlyStop(rules(condition))
    assert needed(early, *(value,) * 200) < 100
    assert early.verdict("baseline") is verdict


def test_every_condition_must_pass_and_one_can_block():
    """PASS takes all of them, BLOCK one."""
    assert needed(EarlyStop(rules("pass_rate >= 0.5", "faithfulness.mean >= 0.89")), *(0.9,) * 100) is None
    blocked = EarlyStop(rules("pass_rate >= 0.5", "faithfulness.mean >= 0.89"))
    needed(blocked, *(0.1,) * 100)
    assert blocked.verdict("baseline") is Verdict.BLOCK


def test_what_has_no_verdict_counts_for_nothing():
    """Unscored is not zero."""
    assert needed(EarlyStop(rules("pass_rate >= 0.5")), *(None,) * 200) is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("pass_rate >= 0.9", True),
        ("pass_rate >= 1", False),
        ("coverage >= 0.9", False),
        ("faithfulness.min >= 0.2", False),
        ("latency.mean <= 3s", False),
        ("latency.p95 <= 3s", True),
    ],
)
def test_what_can_be_decided_early(condition, expected):
    """Not what is counted, what has no bound, nor what is at the end of its range."""
    assert is_decidable(parse_condition(condition)) is expected


def test_pipelines_are_decided_apart():
    """One says nothing of another."""
    early = EarlyStop(rules("pass_rate >= 0.5"))
    needed(early, *(0.1,) * 60, pipeline="bad")
    assert (early.verdict("bad"), early.verdict("baseline")) == (Verdict.BLOCK, None)


def run_of(*values: float, name: str = "run") -> Run:
    return Run(name, RunHeader(), (JUDGE,), tuple(evaluation(n, value) for n, value in enumerate(values)))


def test_against_a_baseline():
    """A plain drop blocks, no change passes; other questions of the same id are no pair."""
    base = run_of(*(0.9,) * 300, name="main")
    for value, verdict in ((0.1, Verdict.BLOCK), (0.9, Verdict.PASS)):
        early = EarlyStop(rules(), base)
        assert needed(early, *(value,) * 300) < 200
        assert early.verdict("baseline") is verdict
    reworded = [replace(e, question=replace(e.question, question="Other?")) for e in base.evaluations]
    assert needed(EarlyStop(rules(), replace(base, evaluations=tuple(reworded))), *(0.1,) * 100) is None


def test_the_judge_of_the_baseline():
    """Scores of another judge decide nothing."""
    base = run_of(0.9)
    assert is_comparable(base, "j1")
    assert not is_comparable(base, "j2")


def test_the_record_tells_what_was_decided():
    """A run that was stopped is ruled as it was decided, and what was not decided then is INCONCLUSIVE."""
    values = (0.1,) * 20
    decision = decide(rules("pass_rate >= 0.9", "faithfulness.mean >= 0.09"), run_of(*values))
    first, second = decision.held
    assert (first.verdict, first.notes) == (Verdict.BLOCK, ("decided early",))
    assert (second.verdict, second.notes) == (Verdict.INCONCLUSIVE, ("not decided when the run stopped",))
    assert decision.fails


def test_the_order_is_random_but_the_same():
    """Each lane stays together; within it the order depends on the ids alone."""
    asked = [(lane, f"q{n}") for lane in ("one", "two") for n in range(20)]
    order = shuffled_order(asked)
    assert sorted(order) == list(range(40))
    assert sorted(order[:20]) == list(range(20))
    assert list(order[:20]) != list(range(20))
    assert [place + 20 for place in order[:20]] == list(order[20:])
    assert shuffled_order(asked) == order


def test_conversations_are_not_decided_early():
    """Their turns depend on each other and stand in their order, which the test of the stop does not know."""
    early = EarlyStop(rules("pass_rate >= 0.5"))
    for number in range(200):
        one = evaluation(number, 0.9)
        place = {"conversation": f"c{number // 2}", "turn": number % 2 + 1}
        early.add(replace(one, question=replace(one.question, **place)))
    assert early.verdict("baseline") is None


def test_a_condition_on_conversations_is_held_at_the_end():
    """It is no mean over evaluations."""
    assert not is_decidable(parse_condition("conversations >= 0.8"))


def test_conversations_are_shuffled_whole():
    """Turns stay in their order."""
    asked = [("lane", f"c{number // 3}") for number in range(30)]
    order = shuffled_order(asked)
    assert order != sorted(order)
    assert all(order[n : n + 3] == [order[n], order[n] + 1, order[n] + 2] for n in range(0, 30, 3))
