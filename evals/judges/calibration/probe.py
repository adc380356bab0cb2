"""The probe: a linear reading of hidden states, fitted on labelled answers and sentences.

Linear probes of hidden states go back to Alain & Bengio (2016). Labels are of answers, and of sentences where
people marked what is not supported; an answer is as good as its weakest claim, softly, so that each claim has
its part in the fit (multiple-instance learning, with the soft minimum of its log odds).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.base.arrays import Floats

# The feature that it makes.
PROBE = "probe"
# Labelled answers. On RAGTruth 40 give an AUROC of 0.85 on other sources, 110 give 0.90.
LEAST_FOR_PROBE = 60
# L2 penalty on weights of standardised states, beside losses that add up to 100 a kind of label. Chosen on 12
# of the 70 sources of RAGTruth's answers to questions (docs/decisions/0021).
PENALTY = 100.0
# More steps change nothing on sources that were left out.
STEPS = 150
# Log odds beyond this are as good as certain.
MOST = 40.0


@dataclass(frozen=True, slots=True)
class Probe:
    """Weights of a hidden state.

    Attributes:
        weights: Float32, little-endian, base64; one a dimension of the state.
        intercept: What is added to the weighted sum.
    """

    weights: str
    intercept: float

    def value(self, state: Any) -> float:
        """Return the log odds that a claim with this hidden state, shape (width,), is supported.

        Raises:
            ValueError: The state has another width: it is of another model.
        """
        import numpy as np

        weights = np.frombuffer(base64.b64decode(self.weights), dtype="<f4")
        if weights.shape != state.shape:
            raise ValueError(f"a state of {state.shape[0]} dimensions, and a probe of {len(weights)}")
        return float(weights.astype(np.float64) @ state) + self.intercept


def fit_probe(
    answers: Sequence[Floats], labels: Sequence[int], of_claims: Sequence[Sequence[int | None]]
) -> Probe:
    """Fit a probe by penalised logistic regression. Both classes count the same.

    Args:
        answers: For each answer the hidden states of its claims, shape (claims, width).
        labels: For each answer 1 or 0; both occur.
        of_claims: For each answer the label of each of its claims, None where that is not known.
    """
    import numpy as np
    from scipy.optimize import minimize

    states = np.concatenate(answers).astype(np.float64)
    centre, spread = states.mean(0), states.std(0) + 1e-6
    states = ((states - centre) / spread).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in answers])[:-1]])
    answer_of = np.repeat(np.arange(len(answers)), [len(one) for one in answers])
    truth = np.array(labels, dtype=np.float64)
    known = [label for one in of_claims for label in one]
    of_claim = np.array([0.0 if label is None else label for label in known])
    weight = 100.0 * _balance(truth, np.ones(len(truth)))
    weight_of_claim = 100.0 * _balance(of_claim, np.array([float(label is not None) for label in known]))

    def loss(found: Floats) -> tuple[float, Floats]:
        log_odds = np.clip(states @ found[:-2].astype(np.float32) + found[-2], -MOST, MOST)
        doubts = np.exp(-log_odds)
        doubt = np.add.reduceat(doubts, starts)
        total = found[-1] - np.log(doubt)
        error, of_total = _log_loss(total, truth, weight)
        error_of_claims, of_claims = _log_loss(log_odds, of_claim, weight_of_claim)
        slopes = of_claims + (of_total / doubt)[answer_of] * doubts
        weights = found[:-2]
        slope = states.T @ slopes.astype(np.float32) + PENALTY * weights
        penalty = PENALTY * float(weights @ weights) / 2
        return error + error_of_claims + penalty, np.concatenate([slope, [slopes.sum(), of_total.sum()]])

    start = np.zeros(states.shape[1] + 2)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    weights = found[:-2] / spread
    packed = base64.b64encode(weights.astype("<f4").tobytes()).decode()
    return Probe(packed, float(found[-2] - centre @ weights))


def _balance(truth: Floats, known: Floats) -> Floats:
    """Return weights that add up to 1, half of it for each class; none where one class alone is known."""
    import numpy as np

    weights = np.zeros(len(truth))
    classes = [(truth == label) & (known > 0) for label in (0.0, 1.0)]
    if all(of_class.any() for of_class in classes):
        for of_class in classes:
            weights[of_class] = 0.5 / of_class.sum()
    return weights


def _log_loss(log_odds: Floats, truth: Floats, weights: Floats) -> tuple[float, Floats]:
    """Return the weighted log loss, and its slope by the log odds."""
    import numpy as np

    right = np.where(truth > 0, log_odds, -log_odds)
    share = 1.0 / (1.0 + np.exp(-log_odds))
    return float((weights * np.logaddexp(0.0, -right)).sum()), weights * (share - truth)
