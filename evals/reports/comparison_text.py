"""What all reports of a run and of a comparison say in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from rag_evals.evals.gate.comparison.baseline_gate import (
    BaselineGate,
    BaselineRow,
    mean_of,
    passed,
    score_getter,
)
from rag_evals.evals.gate.comparison.compare import CostChange, RetrievalChange
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Context

# `n` is the number of questions.
HEADER = ("verdict", "pipeline", "metric", "n", "before", "after", "change", "90 % interval", "p (Holm)")
COSTS = ("pipeline", "stage", "s/question before", "after", "tokens/question before", "after")


class SummaryCells(NamedTuple):
    """What the evaluations of one pipeline come to, as cells of a table.

    Attributes:
        counts: The pipeline, its questions (in brackets its evaluations, where there are more), and of these
            those that passed, failed and have no verdict.
        pass_rate: The share that passed, of those with a verdict.
        means: The mean of each metric over the scores that are there: unscored is not zero.
        took: Seconds and tokens a question.
    """

    counts: tuple[str, ...]
    pass_rate: str
    means: tuple[str, ...]
    took: tuple[str, str]


def summaries_of(evaluations: Iterable[Evaluation], metrics: Sequence[str]) -> list[SummaryCells]:
    """Return the summary of each pipeline, in the order in which they come."""
    return [_summary(name, group, metrics) for name, group in by_pipeline(evaluations).items()]


def by_pipeline(evaluations: Iterable[Evaluation]) -> dict[str, list[Evaluation]]:
    """Return the evaluations of each pipeline."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation.pipeline, []).append(evaluation)
    return groups


def _summary(pipeline: str, group: Sequence[Evaluation], metrics: Sequence[str]) -> SummaryCells:
    found = Counter(evaluation.outcome for evaluation in group)
    counts = (found["passed"], found["failed"] + found["error"], found["unscored"])
    questions = len({evaluation.question.id for evaluation in group})
    asked = f"{questions:,}" + (f" ({len(group):,})" if len(group) > questions else "")
    seconds = fmean(sum(e.seconds.values()) for e in group)
    tokens = fmean(e.total.evaluated + e.total.generated for e in group)
    return SummaryCells(
        (pipeline, asked, *(f"{count:,}" for count in counts)),
        _mean(group, passed),
        tuple(_mean(group, score_getter(metric)) for metric in metrics),
        (f"{seconds:.1f}", f"{tokens:,.0f}"),
    )


def _mean(group: Sequence[Evaluation], value: Callable[[Evaluation], float | None]) -> str:
    mean = mean_of(group, value)
    return "-" if mean is None else f"{mean:.2f}"


def verdict_text(gate: BaselineGate, run: str, base: str) -> str:
    """Return the verdict in one line, with both runs called as they are to be shown."""
    said = {
        Verdict.PASS: f"{run} is not worse than {base} by {gate.margin:g} or more",
        Verdict.INCONCLUSIVE: f"whether {run} is worse than {base} by {gate.margin:g} cannot be told",
        Verdict.BLOCK: f"{run} is worse than {base} beyond chance, by {gate.margin:g} or more",
    }
    return f"{gate.verdict}: {said[gate.verdict]}"


def row_cells(row: BaselineRow) -> tuple[str, ...]:
    """Return the cells of one row of the table of differences, as `HEADER` names them."""
    found = row.difference
    return (
        str(row.verdict),
        row.pipeline,
        row.metric if row.tag is None else f"{row.metric} [{row.tag}]",
        f"{found.count:,}",
        f"{found.before:.3f}",
        f"{found.after:.3f}",
        f"{found.value:+.3f}",
        f"{found.low:+.3f} to {found.high:+.3f}",
        "< 0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}",
    )


def cost_cells(cost: CostChange) -> tuple[str, ...]:
    """Return the cells of one row of the table of costs, as `COSTS` names them."""
    return (
        cost.pipeline,
        cost.stage,
        f"{cost.seconds_before:.2f}",
        f"{cost.seconds_after:.2f}",
        f"{cost.tokens_before:,.0f}",
        f"{cost.tokens_after:,.0f}",
    )


def detectable_text(gate: BaselineGate) -> str | None:
    """Return the smallest drop that could have been seen, in words; None where nothing was compared."""
    if not gate.rows:
        return None
    if gate.detectable is None:
        return "so few questions could not have shown any drop with 80 % power"
    return f"smallest drop that these questions would have shown with 80 % power: {gate.detectable:.2f}"


def scores_text(evaluation: Evaluation) -> str:
    """Return the outcome and every score in one line."""
    scores = [f"{s.metric} {'unscored' if s.value is None else f'{s.value:.2f}'}" for s in evaluation.scores]
    return f"{evaluation.outcome}: {', '.join(scores)}" if scores else evaluation.outcome


def failing_claim(evaluation: Evaluation) -> ClaimScore | None:
    """Return the claim with the lowest value in the scores below their thresholds; None without claims."""
    claims = [claim for score in evaluation.breached for claim in score.claims if claim.value is not None]
    return min(claims, key=lambda claim: claim.value or 0.0, default=None)


def claim_text(claim: ClaimScore) -> str:
    """Return a claim with its value and what is closest to it."""
    closest = f"; closest: {place_text(claim.closest)}" if claim.closest else ""
    words = f"; unsupported: {', '.join(claim.unsupported)}" if claim.unsupported else ""
    return f'"{claim.text}" ({claim.value:.2f}{words}{closest})'


def place_text(context: Context) -> str:
    """Return where a context stands; its first words where that is not known."""
    if not context.document:
        return f'"{context.text[:60]}"'
    span = f" {context.start}-{context.end}" if context.start is not None else ""
    return place(context.document, context.pages, span)


def place(document: str, pages: int | str | None, span: str) -> str:
    """Return where something stands: the document, its pages where it has some, and the offsets as given."""
    return f"{document} p.{pages}{span}" if pages else f"{document}{span}"


def retrieval_text(change: RetrievalChange) -> str:
    """Return how contexts changed."""
    parts = [
        *_counted(change.lost, "lost"),
        *_counted(change.gained, "gained"),
        *([f"{change.moved} reordered"] if change.moved else []),
    ]
    return ", ".join(parts) or "the same"


def _counted(contexts: Sequence[Context], what: str) -> list[str]:
    return [f"{len(contexts)} {what} ({'; '.join(map(place_text, contexts))})"] if contexts else []


def ids_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the pipeline and question of each of `evaluations`, once whatever the repeats."""
    return list(dict.fromkeys(f"{e.pipeline} {e.question.id}" for e in evaluations))
