"""Pipelines that did not change: by their fingerprints, and by every answer and score of both runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rag_evals.evals.gate.comparison.pairing import Pair
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run
from rag_evals.rag.identity import canonical


def unchanged_pipelines(run: Run, base: Run, pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return the pipelines whose run is the baseline's: by identity, not by statistics.

    Pipeline and judge have the fingerprints that they had, which tell when they change, and each answer, its
    passages and its scores are those of the baseline.

    Args:
        run: The run.
        base: The baseline.
        pairs: The evaluations of both, side by side.
    """
    pairs = tuple(pairs)
    is_judged = not all(pair.is_retrieval for pair in pairs)
    if is_judged and not _same(run.judges, base.judges):
        return ()
    differing = {pair.pipeline for pair in pairs if _made(pair.before) != _made(pair.after)}
    names = dict.fromkeys(pair.pipeline for pair in pairs)
    return tuple(
        name for name in names if name not in differing and _same(_named(run, name), _named(base, name))
    )


def _named(run: Run, name: str) -> list[ComponentInfo]:
    return [one for one in run.pipelines if one.name == name]


def _same(ours: Sequence[ComponentInfo], others: Sequence[ComponentInfo]) -> bool:
    """Return whether both are of one version, and one that tells when it changes."""
    prints = {canonical([one.fingerprint, one.identity]) for one in (*ours, *others)}
    is_told = all(one.versioned for one in (*ours, *others))
    return bool(ours and others) and is_told and len(prints) == 1


def _made(evaluations: Iterable[Evaluation]) -> list[tuple[Any, ...]]:
    """Return what was answered and judged, without what it took."""
    return [
        (
            evaluation.repeat,
            evaluation.error,
            (evaluation.answer.text, tuple(c.text for c in evaluation.answer.contexts))
            if evaluation.answer
            else None,
            tuple((score.metric, score.value) for score in evaluation.scores),
        )
        for evaluation in evaluations
    ]
