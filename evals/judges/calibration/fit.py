"""The fit of a calibration: features of labelled answers to weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from rag_evals.evals.base.arrays import Floats, Ints
from rag_evals.evals.judges.calibration.judge_card import Calibration
from rag_evals.evals.judges.calibration.probe import PROBE

Method = Literal["logistic", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
# What the model itself says counts alike until examples say otherwise; what plain look-up finds has to earn
# its weight. Measured on human-labelled sets: weights fitted freely on a hundred examples lose on other
# sources what they gain on their own (docs/decisions/0006). A probe, where there is one, takes their place.
TRUSTED = ("yes", "gain")
# The common weight of these is this much cheaper than a weight of its own, and the whole penalty is strong.
CHEAPNESS = 10.0
PENALTY = 0.01  # inverse strength of the L2 penalty
# The claim that decides an answer depends on the weights, and the weights on the claims: a few rounds settle.
ROUNDS = 8


def fit(
    metric: str,
    answers: Sequence[Sequence[Mapping[str, float]]],
    labels: Sequence[int],
    names: Sequence[str],
    *,
    decides: Literal["weakest", "mean"],
    method: Method,
) -> Calibration:
    """Fit the weights of features by logistic regression, on labelled answers.

    An answer's label is that of all its claims; which claim stands for it follows from how the metric
    totals. Where the weakest claim decides, it is chosen by the weights so far (multiple-instance learning,
    Andrews et al. 2002). Both classes count as equally common, so 0.5 is neutral. A feature is named so that
    more of it is better: one that would get a negative weight has learnt an accident of the examples and
    gets none.

    Args:
        metric: Name of the metric.
        answers: For each answer the features of its claims.
        labels: For each answer 1 or 0; both occur.
        names: The features to weigh.
        decides: Which claim stands for an answer: its weakest, or the mean of all.
        method: What makes a score of the weighted sum.
    """
    import numpy as np

    claims = [np.array([[claim.get(name, 0.0) for name in names] for claim in answer]) for answer in answers]
    everything = np.concatenate(claims)
    centre, spread = everything.mean(0), everything.std(0)
    spread[spread < 1e-9] = 1.0
    claims = [(features - centre) / spread for features in claims]
    truth = np.array(labels)
    common = _common(names)
    weights, intercept = common, 0.0
    for _ in range(ROUNDS):
        standing = np.array([_standing(features, weights, decides) for features in claims])
        before = weights
        weights, intercept = _regression(standing, truth, common)
        if np.allclose(before, weights):
            break
    curve = _isotonic(standing @ weights + intercept, truth) if method == "isotonic" else None
    return Calibration(
        metric,
        {name: float(weight) for name, weight in zip(names, weights / spread, strict=True) if weight},
        float(intercept - (weights * centre / spread).sum()),
        curve,
        threshold=0.5,
    )


def _standing(features: Floats, weights: Floats, decides: str) -> Floats:
    """Return the features that stand for an answer: those of its weakest claim, or the mean of all."""
    if decides == "weakest":
        weakest: Floats = features[(features @ weights).argmin()]
        return weakest
    mean: Floats = features.mean(0)
    return mean


def _regression(features: Floats, labels: Ints, common: Floats) -> tuple[Floats, float]:
    """Fit a logistic regression without negative weights, drawn to the direction `common`.

    The direction is a feature of its own that costs less than the others, so that weights leave it only as
    far as the examples insist.

    Returns:
        The weights, shape (features,), and the intercept.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    kept = np.arange(features.shape[1])
    while True:
        drawn = CHEAPNESS * common[kept]
        inputs = np.column_stack([features[:, kept] @ drawn, features[:, kept]])
        model = LogisticRegression(C=PENALTY, class_weight="balanced").fit(inputs, labels)
        found = model.coef_[0][1:] + model.coef_[0][0] * drawn
        if (found > 0).all() or not (found > 0).any():
            break
        kept = kept[found > 0]
    weights = np.zeros(features.shape[1])
    weights[kept] = np.maximum(found, 0.0)
    return weights, float(model.intercept_[0])


def _common(names: Sequence[str]) -> Floats:
    """Return the direction, of length 1, in which weights are cheap."""
    import numpy as np

    trusted = np.array([float(name in ((PROBE,) if PROBE in names else TRUSTED)) for name in names])
    if not trusted.any():
        trusted[:] = 1.0
    direction: Floats = trusted / np.linalg.norm(trusted)
    return direction


def _isotonic(totals: Floats, labels: Ints) -> tuple[tuple[float, float], ...]:
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    balance = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1.0 - labels.mean()))
    model = IsotonicRegression(y_min=0.01, y_max=0.99).fit(totals, labels, sample_weight=balance)
    return tuple(zip(model.X_thresholds_.tolist(), model.y_thresholds_.tolist(), strict=True))
