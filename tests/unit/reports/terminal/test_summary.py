"""The summary of a run: what is said, in which order, and how wide."""

from __future__ import annotations

import pytest
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.decision import decide
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.summary import closing_lines, last_lines
from rag_evals.evals.reports.text import Line
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer

JUDGE = ComponentInfo("judge", "fake", "j1", {})
EVIDENCE = '"Each token uses nine experts, as every schoolchild knows" is not supported by the contexts'


def evaluation(number: int, value: float | None = 0.3, repeat: int = 0) -> Evaluation:
    reason = None if value is not None else "no key"
    score = Score("faithfulness", value, reason=reason, evidence=EVIDENCE)
    question = Question(f"q{number}", f"What is {number}?")
    return Evaluation(question, "baseline", Answer("So."), (score,), {"faithfulness": 0.5}, repeat=repeat)


def closing(*evaluations: Evaluation, width: int | None = None, **rules) -> list[str]:
    run = Run("run", RunHeader(), (JUDGE,), evaluations)
    conditions = (parse_condition("pass_rate >= 0.9"),)
    decision = decide(Rules(mode="gate", conditions=conditions, **rules), run)
    return [line.text for line in closing_lines(run, decision, breaches=True, width=width)]


def test_the_order():
    """Breaches, table, judge, conditions, budget, verdict: what matters most stands last."""
    lines = closing(evaluation(1), evaluation(2, None))
    starts = (
        "baseline q1",
        "baseline q2",
        "pipeline",
        "judge: fake",
        "verdict",
        "1 of 2 evaluations",
        "gate: ",
    )
    found = [next(n for n, line in enumerate(lines) if line.startswith(start)) for start in starts]
    assert found == sorted(found)
    assert lines[-1] == ""


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    """Whatever is quoted."""
    assert max(map(len, closing(evaluation(1), evaluation(2, None), width=width))) <= width


def test_noise_is_told_of_repeats_alone():
    """A run in which nothing was asked twice has no noise to tell."""
    assert not any("noise" in line or "agreed" in line for line in closing(evaluation(1)))
    repeated = closing(evaluation(1, 0.3), evaluation(1, 0.9, repeat=1))
    assert any("noise" in line for line in repeated)


def test_what_the_run_took():
    """Reuse where there is a cache, cost where there is a price."""
    run = Run("run", RunHeader(), (), (evaluation(1),))
    assert last_lines(run, is_cached=False) == []
    assert last_lines(run, is_cached=True) == [Line("cache: 0 of 1 answers reused, 0 of 1 verdicts reused")]
