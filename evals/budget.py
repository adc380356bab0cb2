"""The budget of evaluations without a verdict: a run beyond it fails in every mode."""

from __future__ import annotations

from collections.abc import Sequence

from evals.records import Evaluation


def budget_line(evaluations: Sequence[Evaluation], max_unscored: float) -> str | None:
    """Say that more evaluations are without a verdict than a run may have; None when there are not.

    Args:
        evaluations: Those of the run.
        max_unscored: Largest share, 0 to 1, of evaluations that may be unscored or without an answer.
    """
    unscored = sum(evaluation.outcome in ("unscored", "error") for evaluation in evaluations)
    if unscored <= max_unscored * len(evaluations):
        return None
    return (
        f"{unscored} of {len(evaluations)} evaluations have no verdict, more than "
        f"evals_max_unscored = {max_unscored:g} allows: the run fails in every mode"
    )
