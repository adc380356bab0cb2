"""The probe: what it learns of labelled answers and sentences, and how it is kept."""

from __future__ import annotations

import numpy as np
import pytest
from rag_evals.evals.judges.calibration.accuracy import auroc
from rag_evals.evals.judges.calibration.probe import Probe, fit_probe

WIDTH = 40


def made_up(answers: int, *, seed: int):
    """Return states of claims that a direction tells apart, with the labels of claims and of answers."""
    rng = np.random.default_rng(seed)
    direction = np.random.default_rng(0).normal(size=WIDTH)
    states, of_claims = [], []
    for _ in range(answers):
        good = (rng.random(rng.integers(1, 7)) > 0.2).astype(int)
        noise = rng.normal(size=(len(good), WIDTH)) * 3.0 + 50.0
        states.append((noise + np.outer(good - 0.5, direction) * 2.0).astype(np.float32))
        of_claims.append(good.tolist())
    return states, [min(labels) for labels in of_claims], of_claims


def worth(probe: Probe, seed: int = 9) -> tuple[float, float]:
    """Return the AUROC of `probe` by claim and by answer, on others than it was fitted on."""
    states, labels, of_claims = made_up(200, seed=seed)
    values = [[probe.value(state) for state in one] for one in states]
    by_claim = auroc([v for one in values for v in one], [label for one in of_claims for label in one])
    return by_claim, auroc([min(one) for one in values], labels)


def test_claims_with_labels():
    """A direction in noise is found, and holds on others."""
    by_claim, by_answer = worth(fit_probe(*made_up(200, seed=1)))
    assert by_claim > 0.85
    assert by_answer > 0.8


def test_answers_alone():
    """Labels of answers do: which of its claims is wrong is found by the fit."""
    states, labels, of_claims = made_up(200, seed=1)
    unknown = [[None] * len(one) for one in of_claims]
    by_claim, by_answer = worth(fit_probe(states, labels, unknown))
    assert by_claim > 0.75
    assert by_answer > 0.75


def test_noise_teaches_nothing():
    """Labels that have nothing to do with the states leave it at chance on others."""
    states, _, of_claims = made_up(200, seed=1)
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, len(states)).tolist()
    probe = fit_probe(
        states, labels, [[label] * len(one) for label, one in zip(labels, of_claims, strict=True)]
    )
    assert worth(probe)[0] == pytest.approx(0.5, abs=0.12)


def test_both_classes_count_the_same():
    """A rare class moves the intercept no less: the values lie around zero."""
    states, labels, of_claims = made_up(300, seed=1)
    probe = fit_probe(states, labels, of_claims)
    good = [
        probe.value(s)
        for one, of in zip(states, of_claims, strict=True)
        for s, y in zip(one, of, strict=True)
        if y
    ]
    bad = [
        probe.value(s)
        for one, of in zip(states, of_claims, strict=True)
        for s, y in zip(one, of, strict=True)
        if not y
    ]
    assert np.mean(good) > 0 > np.mean(bad)


def test_the_same_labels_give_the_same_probe():
    """There is no chance in the fit."""
    assert fit_probe(*made_up(40, seed=1)) == fit_probe(*made_up(40, seed=1))


def test_a_state_of_another_model():
    """Its width tells that it is none of this probe's."""
    probe = fit_probe(*made_up(40, seed=1))
    with pytest.raises(ValueError, match="a state of 12 dimensions, and a probe of 40"):
        probe.value(np.zeros(12, dtype=np.float32))
