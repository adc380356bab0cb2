"""An evaluation as a row of the table that a tracker shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from evals.attribution import stage_of
from evals.records import Evaluation
from evals.tables import worst_claim
from rag.answer import Context

BEFORE = ("example_id", "repeat", "pipeline", "question", "answer", "contexts", "reference", "tags")
AFTER = ("worst_claim", "thresholds", "passed", "outcome", "stage", "reason", "seconds")
TOKENS = ("tokens_evaluated", "tokens_reused", "tokens_generated")
# What our own pipelines tell, in the order of the work: the columns while it is not known what others will.
STAGES = ("retrieve", "rerank", "generate", "judge")


def columns_for(metrics: Sequence[str], stages: Sequence[str] = STAGES) -> tuple[str, ...]:
    """Give the names of the columns: one a metric, one for the seconds of each stage."""
    return (*BEFORE, *metrics, *AFTER, *(f"seconds_{stage}" for stage in stages), *TOKENS)


def row_of(
    evaluation: Evaluation, metrics: Sequence[str], corpus: Collection[str] | None = None
) -> dict[str, Any]:
    """Give the cells of `evaluation` by column, a column for each of its stages among them.

    Args:
        evaluation: The evaluation.
        metrics: Those that have a column.
        corpus: Names of the documents that the pipeline had; None when it does not tell.
    """
    question, answer, used = evaluation.question, evaluation.answer, evaluation.total
    outcome = evaluation.outcome
    values = {score.metric: score.value for score in evaluation.scores}
    return {
        "example_id": question.id,
        "repeat": evaluation.repeat,
        "pipeline": evaluation.pipeline,
        "question": question.question,
        "answer": answer.text if answer else None,
        "contexts": "\n\n".join(map(_shown, answer.contexts)) if answer else "",
        "reference": question.reference,
        "tags": ", ".join(question.tags),
        **{metric: values.get(metric) for metric in metrics},
        "worst_claim": worst_claim(evaluation.scores),
        "thresholds": _thresholds(evaluation),
        # Neither passed nor failed: there is no verdict.
        "passed": None if outcome == "unscored" else outcome == "passed",
        "outcome": outcome,
        "stage": stage_of(evaluation, corpus),
        "reason": "; ".join((*evaluation.breaches, *evaluation.unscored)) or None,
        "seconds": float(sum(evaluation.seconds.values())),
        **{f"seconds_{stage}": seconds for stage, seconds in evaluation.seconds.items()},
        "tokens_evaluated": used.evaluated,
        "tokens_reused": used.reused,
        "tokens_generated": used.generated,
    }


def _shown(context: Context) -> str:
    page = f", page {context.page}" if context.page else ""
    return f"[{context.document}{page}] {context.text}" if context.document else context.text


def _thresholds(evaluation: Evaluation) -> str:
    held = ((s.metric, evaluation.thresholds.get(s.metric)) for s in evaluation.scores)
    return ", ".join(f"{metric} {threshold:g}" for metric, threshold in held if threshold is not None)
