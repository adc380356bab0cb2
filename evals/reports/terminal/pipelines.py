"""The terminal summary: every breach, one row a pipeline, and the path of the run folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rag_evals.evals.base.messages import printable
from rag_evals.evals.judges.metrics import METRICS, in_order
from rag_evals.evals.reports.comparison_text import summaries_of
from rag_evals.evals.reports.text import aligned, display_width
from rag_evals.evals.retrieval.metric_names import is_retrieval_metric
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Tokens

# So many questions of a pipeline with the same trouble have a line each; more have one together.
MOST_OF_ONE_CAUSE = 3
# How often a server was tried, and for how long, is another for each call.
_TRIES = re.compile(r" \(tried [^)]*\)")


def summary_lines(
    evaluations: Sequence[Evaluation], *, breaches: bool, width: int | None = None
) -> list[str]:
    """Return the lines of the summary, with `breaches` where pytest does not show them as failures.

    A table that is wider than the `width` columns of the terminal stands on its side; None for no bound.
    """
    answers = [evaluation for evaluation in evaluations if not evaluation.is_retrieval]
    table = fitted(summary_rows(answers), width) if answers else []
    trouble = _trouble(evaluations, breaches=breaches)
    lines = [*trouble, *([""] if trouble and table else []), *table, *_stages(evaluations)]
    return [printable(line) for line in lines]


def cache_line(evaluations: Sequence[Evaluation], *, is_logged: bool = False) -> str:
    """Return how much was made in this run and how much before, and what that saved.

    Of logged answers none is made, and none is in the cache.
    """
    counts = []
    for part, name in (("answer", "answers"), ("scores", "verdicts"))[is_logged:]:
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
    """Return a line for each trouble, and one for all questions of a pipeline that many have."""
    found = [
        (evaluation, line)
        for evaluation in evaluations
        for line in (*(evaluation.breaches if breaches else ()), *evaluation.unscored)
    ]
    shared = Counter(_cause(evaluation, line) for evaluation, line in found)
    lines, told = [], set()
    for evaluation, line in found:
        cause = _cause(evaluation, line)
        is_shared = shared[cause] > MOST_OF_ONE_CAUSE
        if not (is_shared and cause in told):
            more = f" and {shared[cause] - 1:,} more" if is_shared else ""
            lines.append(f"{evaluation.pipeline} {evaluation.question.id}{more}: {line}")
        told.add(cause)
    return lines


def _cause(evaluation: Evaluation, line: str) -> tuple[str, str]:
    return evaluation.pipeline, _TRIES.sub("", line)


def fitted(rows: Sequence[tuple[str, ...]], width: int | None) -> list[str]:
    """Return a table, on its side where it is wider than the `width` columns; None for no bound."""
    lines = aligned(rows)
    if width is None or max(map(display_width, lines)) <= width:
        return lines
    return aligned([*zip(*rows, strict=True)])


def summary_rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, ...]]:
    """Return the cells of the table, header first, one row a pipeline."""
    metrics = in_order(s.metric for e in evaluations for s in e.scores if _is_asked(e, s.metric))
    counts = ("pipeline", "questions", "passed", "failed", "unscored")
    header = (*counts, *metrics, "s/question", "tokens/question")
    found = summaries_of(evaluations, metrics)
    return [header, *((*one.counts, *one.means, *one.took) for one in found)]


def _is_asked(evaluation: Evaluation, metric: str) -> bool:
    """Return whether a run asks for a metric; a judge of somebody's own may give any number of others."""
    return metric in METRICS or (metric in evaluation.thresholds and not is_retrieval_metric(metric))


def _stages(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return how many tokens each stage read anew, found read already, and wrote; none, nothing said."""
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
    """Return what the run cost; None where no price is known."""
    known = [evaluation.usd for evaluation in evaluations if evaluation.usd is not None]
    return f"cost: ${sum(known):.4f}" if known else None
