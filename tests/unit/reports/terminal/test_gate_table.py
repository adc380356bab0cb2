"""The gate on the terminal: aligned, no wider than it, plain without colour."""

from __future__ import annotations

import math

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.run_gate import ConditionResult
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.reports.terminal.gate_table import gate_lines as verdict_lines
from rag_evals.evals.reports.text import display_width

PASS, INCONCLUSIVE, BLOCK = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.BLOCK


def held(
    text: str,
    interval: tuple[float, float, float] | None = (0.96, 0.91, 0.99),
    verdict: Verdict = PASS,
    *,
    count: int = 100,
    needed: int | None = None,
    notes: tuple[str, ...] = (),
    pipeline: str | None = "baseline",
) -> ConditionResult:
    shown = Interval(*interval) if interval else None
    return ConditionResult(parse_condition(text), pipeline, count, shown, verdict, needed, notes)


THREE = (
    held("pass_rate >= 0.9"),
    held(
        "[tag:numbers] faithfulness.mean >= 85%",
        (0.86, 0.82, 0.9),
        INCONCLUSIVE,
        count=40,
        needed=1187,
        notes=("3 of 43 without a verdict left out",),
    ),
    held("latency.p95 <= 20s", (31.04, 24.51, 40.2), BLOCK, pipeline="auto_merging"),
)


def gate_lines(*args, **named) -> list[str]:
    """Return the texts of the lines."""
    return [line.text for line in verdict_lines(*args, **named)]


def row(*args, **named) -> str:
    """Return the one row of a condition."""
    return gate_lines([held(*args, **named)])[1]


def test_one_line_a_condition() -> None:
    remark = "about 1,200 more questions would tell; 3 of 43 without a verdict left out"
    assert gate_lines(THREE) == [
        "verdict       condition                                           value            95 %  questions",
        "PASS          [baseline] pass_rate >= 0.9                          0.96    0.91 to 0.99        100",
        "INCONCLUSIVE  [baseline, tag:numbers] faithfulness.mean >= 0.85    0.86    0.82 to 0.90         40"
        f"  {remark}",
        "BLOCK         [auto_merging] latency.p95 <= 20s                  31.0 s  24.5 to 40.2 s        100",
        "3 conditions: 1 BLOCK, 1 INCONCLUSIVE, 1 PASS",
    ]


def test_in_a_narrow_terminal_scopes_are_cut_and_remarks_stand_under_their_line() -> None:
    assert gate_lines(THREE, width=90) == [
        "verdict       condition                                   value            95 %  questions",
        "PASS          [baseline] pass_rate >= 0.9                  0.96    0.91 to 0.99        100",
        "INCONCLUSIVE  [baseline, ta…] faithfulness.mean >= 0.85    0.86    0.82 to 0.90         40",
        "    about 1,200 more questions would tell; 3 of 43 without a verdict left out",
        "BLOCK         [auto_merging] latency.p95 <= 20s          31.0 s  24.5 to 40.2 s        100",
        "3 conditions: 1 BLOCK, 1 INCONCLUSIVE, 1 PASS",
    ]


@pytest.mark.parametrize(
    ("width", "cell"),
    [
        (79, "[b…] faithfulness.mean >= 0.85 "),
        (78, "[baseline, tag:numbers] fait… "),
    ],
)
def test_a_scope_is_cut_as_long_as_something_of_it_stays(width: int, cell: str) -> None:
    assert gate_lines(THREE, width=width)[2].startswith(f"INCONCLUSIVE  {cell}")


@pytest.mark.parametrize("width", [1, 2, 10, 40, 60, 79, 80, 100, 120, 400])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    name = held("pass_rate >= 0.9", pipeline="p" * 300, needed=12, notes=("word " * 30 + "w" * 200,))
    for lines in (gate_lines(THREE, width=width), gate_lines([name], width=width)):
        assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [None, 70, 60])
def test_names_in_wide_characters_are_aligned(width: int | None) -> None:
    ours = [held("pass_rate >= 0.9", pipeline=name) for name in ("検索", "baseline")]
    header, wide, narrow, _ = gate_lines(ours, width=width)
    assert len({display_width(line) for line in (header, wide, narrow)}) == 1
    assert width is None or display_width(wide) <= width


def test_nothing_held_gives_nothing() -> None:
    assert gate_lines([]) == []


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([PASS], "1 condition: PASS"),
        ([INCONCLUSIVE], "1 condition: INCONCLUSIVE"),
        ([PASS, PASS], "2 conditions: all PASS"),
        ([PASS, BLOCK, PASS], "3 conditions: 1 BLOCK, 2 PASS"),
    ],
)
def test_the_last_line_counts_verdicts(verdicts: list[Verdict], said: str) -> None:
    assert gate_lines([held("pass_rate >= 0.9", verdict=one) for one in verdicts])[-1] == said


def test_a_value_never_reads_as_the_bound_without_being_it() -> None:
    assert "  0.8996  0.80 to 0.95  " in row("pass_rate >= 0.9", (0.8996, 0.8012, 0.9499))
    assert "  0.90  0.80 to 0.95  " in row("pass_rate >= 0.9", (0.9, 0.8, 0.95))
    assert "  0.93  0.8999 to 0.9500  " in row("pass_rate >= 0.9", (0.93, 0.89992, 0.95))
    assert "  0.900000  " in row("pass_rate >= 0.9", (0.9 - 1e-12, 0.8, 0.95))


def test_seconds_tokens_and_ends_that_are_not_known() -> None:
    assert "  18.2 s  from 15.1 s  " in row("latency.p95 <= 20s", (18.21, 15.1, math.inf))
    assert "  1,234  1,100 to 1,400  " in row("tokens.mean <= 2000", (1234.4, 1100.2, 1399.6))
    assert "  0.97  counted  " in row("coverage >= 0.9", (0.97, 0.97, 0.97))
    assert "  -     -  " in row("pass_rate >= 0.9", None, INCONCLUSIVE, count=0)


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (1, "about 1 more question would tell"),
        (47, "about 47 more questions would tell"),
        (119, "about 120 more questions would tell"),
        (100_000, "about 100,000 more questions would tell"),
        (5_100_000, "over 100,000 more questions would tell"),
    ],
)
def test_questions_that_would_tell_are_rounded(needed: int, said: str) -> None:
    assert row("pass_rate >= 0.9", needed=needed).endswith(f"  100  {said}")


def test_names_cannot_drive_the_terminal() -> None:
    assert "[\N{REPLACEMENT CHARACTER}[31m] pass_rate" in row("pass_rate >= 0.9", pipeline="\x1b[31m")
