"""Attempts: a test that was run again after a failure counts once, by its last attempt."""

from __future__ import annotations

from collections.abc import Iterable

from rag_evals.evals.runs.evaluation import Evaluation


def last_attempts(
    evaluations: Iterable[Evaluation],
) -> tuple[tuple[Evaluation, ...], tuple[Evaluation, ...]]:
    """Return the evaluations of the last attempt of each test, and those of the attempts before it."""
    evaluations = tuple(evaluations)
    last: dict[str, int] = {}
    for evaluation in evaluations:
        last[evaluation.test] = max(evaluation.attempt, last.get(evaluation.test, 0))
    return (
        tuple(e for e in evaluations if e.attempt == last[e.test]),
        tuple(e for e in evaluations if e.attempt < last[e.test]),
    )
