"""The end of a run: everything that is said of it, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.decision import Ruling
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.judges.calibration.labels import Labelled
from rag_evals.evals.reports.terminal.comparison import baseline_lines
from rag_evals.evals.reports.terminal.gate_table import gate_lines
from rag_evals.evals.reports.terminal.judge import judge_lines
from rag_evals.evals.reports.terminal.pipelines import cache_line, cost_line, summary_lines
from rag_evals.evals.reports.text import Line, columns_of, wrapped
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

COLOURS: Mapping[Verdict, str] = {
    Verdict.PASS: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.BLOCK: "red",
}


def closing_lines(
    run: Run, ruling: Ruling, *, breaches: bool, labels: Sequence[Labelled] = (), width: int | None = None
) -> list[Line]:
    """Give the summary of a run, but for where it is.

    Args:
        run: The run.
        ruling: What was decided.
        breaches: Whether to list breaches; in strict mode pytest shows them as failures.
        labels: People's verdicts on answers of the run.
        width: Columns of the terminal; None for no bound.
    """
    floor = ruling.rules.judge_floor
    blocks = (
        [*map(Line, summary_lines(run.evaluations, breaches=breaches, width=width))],
        [*map(Line, judge_lines(run.judges, run.evaluations, floor=floor, labels=labels))],
        [*map(Line, _noise(run.evaluations, width))],
        ruling_lines(ruling, width=width),
    )
    lines = [line for block in blocks if block for line in (*block, Line(""))]
    return lines if width is None else [part for line in lines for part in _within(line, width)]


def _within(line: Line, width: int) -> list[Line]:
    """Break a line that is wider than the terminal; what goes on is indented."""
    if columns_of(line.text) <= width:
        return [line]
    first, *rest = wrapped(line.text, width, rest="  ")
    return [Line(first, line.verdict), *map(Line, rest)]


def ruling_lines(ruling: Ruling, *, width: int | None = None) -> list[Line]:
    """Give what was decided: conditions, comparison, budget, and the verdict of all in one line."""
    lines = gate_lines(ruling.held, width=width)
    if ruling.baseline:
        lines += [*([Line("")] if lines else []), *baseline_lines(ruling.baseline, width=width)]
    lines += [Line(ruling.over_budget)] if ruling.over_budget else []
    lines += [Line(verdict_line(ruling), ruling.verdict)] if ruling.verdict else []
    return [replace(line, text=printable(line.text)) for line in lines]


def verdict_line(ruling: Ruling) -> str:
    """Say the verdict of all, and what it does where that is not plain."""
    does = {
        "warn": ": a warning; evals_inconclusive = block makes it a failure",
        "pass": "",
        "block": ": the run fails",
    }
    if ruling.verdict is Verdict.INCONCLUSIVE:
        return f"gate: INCONCLUSIVE{does[ruling.rules.inconclusive]}"
    failing = ": the run fails" if ruling.verdict is Verdict.BLOCK and ruling.fails else ""
    return f"gate: {ruling.verdict}{failing}"


def colour_of(line: Line) -> str | None:
    """Return the colour of a line that tells a verdict."""
    return COLOURS[line.verdict] if line.verdict else None


def last_lines(evaluations: Sequence[Evaluation], *, is_cached: bool) -> list[Line]:
    """Give what the run took: what was reused, and the cost."""
    reused, cost = cache_line(evaluations) if is_cached else None, cost_line(evaluations)
    return [Line(text) for text in (reused, cost) if text]


def _noise(evaluations: Sequence[Evaluation], width: int | None) -> list[str]:
    """Give the noise of judge and pipeline where something was asked or judged more than once."""
    if not any(e.repeat or any(score.again for score in e.scores) for e in evaluations):
        return []
    from rag_evals.evals.reports.terminal.flakiness import noise_lines

    return noise_lines(evaluations, width=width)
