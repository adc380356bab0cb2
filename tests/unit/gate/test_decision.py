"""What is made of a run as a whole, and whether the session fails by it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.decision import decide, decision_from_json, decision_to_json, untrusted_metrics
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.summary import colour_of, decision_lines, verdict_line
from rag_evals.evals.reports.text import Line
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical

RULES = Rules(mode="gate", judge_floor=0.0)


def evaluation(number: int, value: float | None, metric: str = "faithfulness") -> Evaluation:
    score = Score(metric, value, reason=None if value is not None else "no key")
    return Evaluation(
        Question(f"q{number}", f"What is {number}?"), "baseline", Answer("So."), (score,), {metric: 0.5}
    )


def run_of(*values: float | None, name: str = "run", low: float | None = None) -> Run:
    """Return a run with these scores; with `low`, of a judge whose card has this lower bound."""
    judge = ComponentInfo("judge", "fake", "j1", {})
    if low is not None:
        share = {"value": 0.8, "low": low, "high": 0.9}
        trust = {
            "metric": "faithfulness",
            "threshold": 0.5,
            "balanced_accuracy": share,
            "positives": [80, 100],
            "negatives": [80, 100],
        }
        judge = replace(judge, settings={"card": {"labels": {"name": "l"}, "trust": [trust]}})
    evaluations = tuple(evaluation(number, value) for number, value in enumerate(values))
    return Run(name, RunHeader(), (judge,), evaluations)


def ruled(condition: str, *values: float | None, base: Run | None = None, low: float | None = None, **rules):
    conditions = (parse_condition(condition),) if condition else ()
    return decide(replace(RULES, conditions=conditions, **rules), run_of(*values, low=low), base)


GOOD, BAD = (0.9,) * 60, (0.1,) * 60


@pytest.mark.parametrize(
    ("values", "verdict", "fails"),
    [
        (GOOD, Verdict.PASS, False),
        (BAD, Verdict.BLOCK, True),
        ((*GOOD[:9], 0.1), Verdict.INCONCLUSIVE, False),
    ],
)
def test_conditions_decide(values, verdict, fails):
    """The worst of them is the verdict; BLOCK fails the session."""
    decision = ruled("pass_rate >= 0.9", *values)
    assert (decision.verdict, decision.fails) == (verdict, fails)


def test_held_to_nothing():
    """Without a condition and a baseline there is no verdict, and no line of one."""
    decision = ruled("", *GOOD)
    assert (decision.verdict, decision.fails, decision_lines(decision)) == (None, False, [])


@pytest.mark.parametrize(("inconclusive", "fails"), [("pass", False), ("warn", False), ("block", True)])
def test_what_inconclusive_does(inconclusive, fails):
    """It is a setting."""
    assert ruled("pass_rate >= 0.9", *GOOD[:9], 0.1, inconclusive=inconclusive).fails is fails


def test_report_mode_fails_by_coverage_and_budget_alone():
    """What is bad is reported; too little to report on is a failure."""
    assert not ruled("pass_rate >= 0.9", *BAD, mode="report").fails
    assert ruled("coverage >= 0.9", *GOOD, *(None,) * 30, mode="report", max_unscored=1.0).fails
    over = ruled("pass_rate >= 0.1", *GOOD, *(None,) * 30, mode="report")
    assert over.fails
    assert over.over_budget == (
        "30 of 90 evaluations have no verdict, more than evals_max_unscored = 0.1 allows: "
        "the run fails in every mode"
    )


@pytest.mark.parametrize("values", [GOOD, BAD])
@pytest.mark.parametrize("condition", ["pass_rate >= 0.9", "faithfulness.mean >= 0.5"])
def test_a_judge_that_is_not_trusted_decides_nothing(condition, values):
    """Neither PASS nor BLOCK rests on it; with a lower floor both do."""
    decision = ruled(condition, *values, low=0.6, judge_floor=0.7)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.held[0].notes == ("the judge is not trusted in faithfulness",)
    assert ruled(condition, *values, low=0.6, judge_floor=0.5).verdict is not Verdict.INCONCLUSIVE


def test_what_no_judge_says_is_decided_without_trust():
    """Coverage and latency are no judge's."""
    assert ruled("coverage >= 0.9", *GOOD, low=0.6, judge_floor=0.7).verdict is Verdict.PASS


def test_trust_is_by_metric():
    """Only what was scored counts."""
    run = run_of(*GOOD, low=0.6)
    assert untrusted_metrics(run.judges, run.evaluations, 0.7) == {"faithfulness"}
    assert untrusted_metrics(run.judges, [evaluation(0, 0.9, "relevancy")], 0.7) == frozenset()
    assert untrusted_metrics(run.judges, run.evaluations, 0.6) == frozenset()


def test_a_drop_is_one_whatever_the_judge_is_worth():
    """It judged both sides alike; that there is none it cannot tell."""
    before = run_of(*GOOD, name="main", low=0.6)
    dropped = ruled("", *GOOD[:30], *BAD[:30], base=before, low=0.6, judge_floor=0.7)
    assert dropped.verdict is Verdict.BLOCK
    same = ruled("", *GOOD, base=before, low=0.6, judge_floor=0.7)
    assert same.verdict is Verdict.INCONCLUSIVE
    assert same.baseline.notes[-1] == (
        "the judge is not trusted in faithfulness: that it sees no drop does not tell that there is none"
    )
    assert ruled("", *GOOD, base=before, low=0.6, judge_floor=0.5).verdict is Verdict.PASS


def test_the_worst_of_conditions_and_baseline():
    """One that blocks is enough."""
    before = run_of(*GOOD, name="main")
    assert ruled("pass_rate >= 0.9", *GOOD[:30], *BAD[:30], base=before).verdict is Verdict.BLOCK
    assert ruled("pass_rate >= 0.95", *GOOD, base=before).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (ruled("pass_rate >= 0.5", *GOOD), "gate: PASS"),
        (ruled("pass_rate >= 0.5", *BAD), "gate: BLOCK: the run fails"),
        (ruled("pass_rate >= 0.5", *BAD, mode="report"), "gate: BLOCK"),
        (ruled("pass_rate >= 0.9", *GOOD[:9], 0.1, inconclusive="pass"), "gate: INCONCLUSIVE"),
    ],
)
def test_the_line_of_the_verdict(decision, line):
    """It says what the verdict does where that is not plain."""
    assert verdict_line(decision) == line


@pytest.mark.parametrize(
    ("verdict", "colour"),
    [(Verdict.PASS, "green"), (Verdict.INCONCLUSIVE, "yellow"), (Verdict.BLOCK, "red"), (None, None)],
)
def test_colours(verdict, colour):
    """Lines that tell a verdict have its colour, whatever others begin with."""
    assert colour_of(Line("BLOCK is the name of a pipeline", verdict)) == colour


@pytest.mark.parametrize("width", [None, 60])
def test_lines_tell_their_verdicts(width):
    """Those of conditions and of rows, and the last; where a line is broken it is the first part."""
    decision = ruled("pass_rate >= 0.9", *BAD, base=run_of(*GOOD, name="main"))
    told = [line for line in decision_lines(decision, width=width) if line.verdict]
    assert {line.verdict for line in told} == {Verdict.BLOCK}
    assert all(line.text.startswith("BLOCK  ") or line.text.startswith("BLOCK base") for line in told[:-1])
    assert (len(told), told[-1].text) == (4, "gate: BLOCK: the run fails")


@pytest.mark.parametrize(
    "decision",
    [
        ruled("pass_rate >= 0.5", *GOOD),
        ruled("latency.p95 <= 20s", *GOOD),
        ruled("[other] coverage >= 0.5", *GOOD),
        ruled("pass_rate >= 0.9", *GOOD[:9], 0.1, low=0.6),
        ruled("pass_rate >= 0.9", *BAD, None, base=run_of(*GOOD, name="main")),
    ],
)
def test_a_ruling_reads_back(decision):
    """From its line in the records, with what the run was held to."""
    line = json.loads(canonical(decision_to_json(decision)))
    values = (*BAD, None) if decision.over_budget else GOOD
    assert decision_from_json(line, decision.rules, run_of(*values).evaluations) == decision
