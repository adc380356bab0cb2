"""The terminal summary: every breach, one row a pipeline, and the path of the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from evals.errors import printable
from evals.metrics import METRICS
from evals.records import Evaluation
from rag.answer import Tokens


def summary_lines(
    evaluations: Sequence[Evaluation], *, breaches: bool, width: int | None = None
) -> list[str]:
    """Give the lines of the summary.

    Args:
        evaluations: Those of the run, in any order.
        breaches: Whether to list breaches as well; in strict mode pytest shows them as failures.
        width: Columns of the terminal: a table that is wider stands on its side; None for no bound.
    """
    table = _table(evaluations, width)
    lines = [*_trouble(evaluations, breaches=breaches), *table, *_stages(evaluations)]
    return [printable(line) for line in lines]


def cache_line(evaluations: Sequence[Evaluation]) -> str:
    """Say how much was made in this run and how much before, and what that saved."""
    counts = []
    for part, name in (("answer", "answers"), ("scores", "verdicts")):
        had = [e for e in evaluations if e.answer is not None]
        reused = sum(part in evaluation.cached for evaluation in had)
        counts.append(f"{reused:,} of {len(had):,} {name} reused")
    saved = sum(_saved(evaluation) for evaluation in evaluations)
    return f"cache: {', '.join(counts)}" + (f"; that spared {_duration(saved)}" if saved else "")


def _saved(evaluation: Evaluation) -> float:
    judge = evaluation.seconds.get("judge", 0.0)
    answer = sum(evaluation.seconds.values()) - judge
    return answer * ("answer" in evaluation.cached) + judge * ("scores" in evaluation.cached)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _trouble(evaluations: Sequence[Evaluation], *, breaches: bool) -> list[str]:
    lines = []
    for evaluation in evaluations:
        found = (*(evaluation.breaches if breaches else ()), *evaluation.unscored)
        lines += [f"{evaluation.pipeline} {evaluation.question.id}: {line}" for line in found]
    return [*lines, ""] if lines else []


def _table(evaluations: Sequence[Evaluation], width: int | None) -> list[str]:
    rows = table_of(evaluations)
    lines = _aligned_rows(rows)
    if width is None or max(map(len, lines)) <= width:
        return lines
    return _aligned_rows([list(column) for column in zip(*rows, strict=True)])


def _aligned_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [aligned(row, widths) for row in rows]


def table_of(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    """Give the cells of the table, header first, one row a pipeline."""
    pipelines = list(dict.fromkeys(evaluation.pipeline for evaluation in evaluations))
    metrics = [m for m in METRICS if any(score.metric == m for e in evaluations for score in e.scores)]
    header = [
        "pipeline",
        "questions",
        "passed",
        "failed",
        "unscored",
        *metrics,
        "s/question",
        "tokens/question",
    ]
    rows = [_row([e for e in evaluations if e.pipeline == pipeline], metrics) for pipeline in pipelines]
    return [header, *rows]


def _row(group: Sequence[Evaluation], metrics: Sequence[str]) -> list[str]:
    outcomes = [evaluation.outcome for evaluation in group]
    failed = outcomes.count("failed") + outcomes.count("error")
    return [
        group[0].pipeline,
        str(len(group)),
        str(outcomes.count("passed")),
        str(failed),
        str(outcomes.count("unscored")),
        *(_mean(group, metric) for metric in metrics),
        f"{fmean(sum(e.seconds.values()) for e in group):.1f}",
        f"{fmean(e.total.evaluated + e.total.generated for e in group):,.0f}",
    ]


def _stages(evaluations: Sequence[Evaluation]) -> list[str]:
    """Say how many tokens each stage read anew, found read already, and wrote; none, nothing said."""
    totals: dict[str, Tokens] = {}
    for evaluation in evaluations:
        for stage, used in evaluation.tokens.items():
            totals[stage] = totals.get(stage, Tokens()) + used
    parts = [
        f"{stage} {used.evaluated:,} / {used.reused:,} / {used.generated:,}"
        for stage, used in totals.items()
        if used != Tokens()
    ]
    return [f"tokens read / reused / written: {', '.join(parts)}"] if parts else []


def cost_line(evaluations: Sequence[Evaluation]) -> str | None:
    """Say what the run cost; None where no price is known."""
    known = [evaluation.usd for evaluation in evaluations if evaluation.usd is not None]
    return f"cost: ${sum(known):.4f}" if known else None


def _mean(group: Sequence[Evaluation], metric: str) -> str:
    """Mean over the scores that are there: unscored is not zero."""
    values = [s.value for e in group for s in e.scores if s.metric == metric and s.value is not None]
    return f"{fmean(values):.2f}" if values else "-"


def aligned(row: Sequence[str], widths: Sequence[int], *, left: int = 1) -> str:
    """Pad the cells of `row` to `widths`: the first `left` of them to the left, the rest to the right."""
    cells = [
        cell.ljust(width) if n < left else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
