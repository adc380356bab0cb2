"""The end of a run: everything that is said of it, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag_evals.evals.answers.log_summary import told_of
from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.decision import Decision
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.reports.conversation_table import broken_lines, conversation_rows
from rag_evals.evals.reports.retrieval_table import retrieval_rows
from rag_evals.evals.reports.terminal.comparison import baseline_lines
from rag_evals.evals.reports.terminal.flakiness import noise_lines
from rag_evals.evals.reports.terminal.gate_table import gate_lines
from rag_evals.evals.reports.terminal.judge import judge_lines
from rag_evals.evals.reports.terminal.pipelines import cache_line, cost_line, fitted, summary_lines
from rag_evals.evals.reports.text import Line, display_width, wrapped
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# Conversations that did not pass, of which the terminal names the turns.
MOST_BROKEN = 10
COLOURS: Mapping[Verdict, str] = {
    Verdict.PASS: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.BLOCK: "red",
}


def closing_lines(
    run: Run, decision: Decision, *, breaches: bool, labels: Sequence[Labelled] = (), width: int | None = None
) -> list[Line]:
    """Return the summary of a run, but for where it is.

    Args:
        run: The run.
        decision: What was decided.
        breaches: Whether to list breaches; in strict mode pytest shows them as failures.
        labels: People's verdicts on answers of the run.
        width: Columns of the terminal; None for no bound.
    """
    floor = decision.rules.judge_floor
    retrieval = retrieval_rows(run)
    blocks = (
        [*map(Line, told_of(run.header.line))],
        [*map(Line, fitted(retrieval, width))] if retrieval else [],
        [*map(Line, summary_lines(run.evaluations, breaches=breaches, width=width))],
        [*map(Line, _conversations(run.evaluations, width))],
        [*map(Line, judge_lines(run.judges, run.answers, floor=floor, labels=labels))],
        [*map(Line, _noise([e for e in (*run.attempts, *run.evaluations) if not e.is_retrieval], width))],
        decision_lines(decision, width=width),
    )
    lines = [line for block in blocks if block for line in (*block, Line(""))]
    return lines if width is None else [part for line in lines for part in _within(line, width)]


def _within(line: Line, width: int) -> list[Line]:
    """Break a line that is wider than the terminal; what goes on is indented."""
    if display_width(line.text) <= width:
        return [line]
    first, *rest = wrapped(line.text, width, rest="  ")
    return [Line(first, line.verdict), *map(Line, rest)]


def decision_lines(decision: Decision, *, width: int | None = None) -> list[Line]:
    """Return what was decided: conditions, comparison, budget, and the verdict of all in one line."""
    lines = gate_lines(decision.held, width=width)
    if decision.baseline:
        lines += [*([Line("")] if lines else []), *baseline_lines(decision.baseline, width=width)]
    lines += [Line(decision.over_budget)] if decision.over_budget else []
    lines += [Line(verdict_line(decision), decision.verdict)] if decision.verdict else []
    return [replace(line, text=printable(line.text)) for line in lines]


def verdict_line(decision: Decision) -> str:
    """Return the line with the verdict of all, and what it does where that is not plain."""
    does = {
        "warn": ": a warning; evals_inconclusive = block makes it a failure",
        "pass": "",
        "block": ": the run fails",
    }
    if decision.verdict is Verdict.INCONCLUSIVE:
        return f"gate: INCONCLUSIVE{does[decision.rules.inconclusive]}"
    failing = ": the run fails" if decision.verdict is Verdict.BLOCK and decision.fails else ""
    return f"gate: {decision.verdict}{failing}"


def colour_of(line: Line) -> str | None:
    """Return the colour of a line that tells a verdict."""
    return COLOURS[line.verdict] if line.verdict else None


def last_lines(run: Run, *, is_cached: bool) -> list[Line]:
    """Return what the run took: what of the answers was reused, and the cost."""
    answers = run.answers
    is_logged = "answers" in run.header.line
    reused = cache_line(answers, is_logged=is_logged) if is_cached and answers else None
    cost = cost_line(run.evaluations)
    return [Line(text) for text in (reused, cost) if text]


def _conversations(evaluations: Sequence[Evaluation], width: int | None) -> list[str]:
    """Return how many conversations passed, and the turns of those that did not."""
    rows, broken = conversation_rows(evaluations), broken_lines(evaluations)
    more = [f"and {len(broken) - MOST_BROKEN:,} more conversations"] if len(broken) > MOST_BROKEN else []
    table = fitted([tuple(map(printable, row)) for row in rows], width) if rows else []
    return [*table, *map(printable, broken[:MOST_BROKEN]), *more]


def _noise(evaluations: Sequence[Evaluation], width: int | None) -> list[str]:
    """Return the noise of judge and pipeline where something was asked or judged more than once."""
    if not any(e.repeat or e.attempt or any(score.repeats for score in e.scores) for e in evaluations):
        return []

    return noise_lines(evaluations, width=width)
