"""How good scores are against labels: by hand, against scikit-learn, and how often intervals hold."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from rag_evals.evals.base.intervals import Interval, wilson
from rag_evals.evals.judges.calibration.accuracy import (
    Bin,
    accuracy,
    auroc,
    balanced_accuracy,
    threshold_for_false_pass,
)

# By rising score: 0 0 1 0 1 1
SCORES = [0.9, 0.1, 0.8, 0.2, 0.4, 0.6]
LABELS = [1, 0, 1, 0, 1, 0]


def whole(message):
    """Return a pattern that nothing but all of `message` matches."""
    return f"^{re.escape(message)}$"


def drawn(seed, sources, each, unlike=0.0, share=0.6):
    """Return scores, labels and sources of a judge who finds some sources harder than others."""
    rng = np.random.default_rng(seed)
    while True:
        source = np.repeat(np.arange(sources), each)
        shift = rng.normal(0, unlike, sources)[source]
        label = rng.random(sources * each) < share
        logit = rng.normal(0, 1, sources * each) + shift + np.where(label, 1.1, -1.1) * (1 + shift / 2)
        if 0 < label.sum() < len(label):
            return 1 / (1 + np.exp(-logit)), label.astype(int), source.tolist()


class TestAuroc:
    def test_counts_pairs(self):
        """Of nine pairs one is in the wrong order: 0.4 of label 1 below 0.6 of label 0."""
        assert auroc(SCORES, LABELS) == pytest.approx(8 / 9)

    def test_ties_count_half(self):
        assert auroc([0.5, 0.5], [0, 1]) == 0.5
        assert auroc([0.2, 0.5, 0.5, 0.9], [0, 0, 1, 1]) == pytest.approx(3.5 / 4)

    @pytest.mark.parametrize(("scores", "area"), [([0.1, 0.9], 1.0), ([0.9, 0.1], 0.0)])
    def test_extremes(self, scores, area):
        assert auroc(scores, [0, 1]) == area

    def test_order_of_the_examples_does_not_matter(self):
        assert auroc(SCORES[::-1], LABELS[::-1]) == auroc(SCORES, LABELS)


class TestBalancedAccuracy:
    def test_is_the_mean_of_both_shares(self):
        assert balanced_accuracy([0.9, 0.1, 0.2, 0.3, 0.9], [1, 1, 0, 0, 0], 0.5) == pytest.approx(
            (1 / 2 + 2 / 3) / 2
        )

    def test_a_score_at_the_threshold_passes(self):
        assert balanced_accuracy([0.5, 0.4], [1, 0], 0.5) == 1.0
        assert balanced_accuracy([0.5, 0.4], [1, 0], 0.4) == 0.5


def test_scikit_learn_agrees():
    """On many random examples, with and without ties."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    for seed in range(20):
        scores, labels, _ = drawn(seed, 40, 1)
        scores = scores.round(seed % 4 + 1)
        assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
        assert balanced_accuracy(scores, labels, 0.5) == pytest.approx(
            balanced_accuracy_score(labels, scores >= 0.5)
        )


class TestThresholdForFalsePass:
    SCORES = (0.1, 0.2, 0.3, 0.4, 0.9)
    LABELS = (0, 0, 0, 0, 1)

    @pytest.mark.parametrize(
        ("rate", "threshold"),
        [(0.0, 0.65), (0.25, 0.35), (0.49, 0.35), (0.5, 0.25), (0.75, 0.15), (1.0, 0.1)],
    )
    def test_lies_above_the_last_that_must_fail(self, rate, threshold):
        assert threshold_for_false_pass(self.SCORES, self.LABELS, rate) == pytest.approx(threshold)

    def test_nothing_above_the_greatest_score(self):
        threshold = threshold_for_false_pass([0.5, 1.0], [1, 0], 0.0)
        assert threshold == math.nextafter(1.0, 2.0)

    def test_ties_of_label_0_pass_or_fail_together(self):
        assert threshold_for_false_pass([0.3, 0.3, 0.1, 0.7], [0, 0, 0, 1], 0.4) == pytest.approx(0.5)

    def test_counts_are_not_lost_to_rounding(self):
        """0.29 of 100 is 28.999999999999996 in floats, and still 29 examples may pass."""
        scores = [k / 100 for k in range(100)]
        assert threshold_for_false_pass([*scores, 1.0], [0] * 100 + [1], 0.29) == pytest.approx(0.705)

    def test_keeps_the_rate_and_is_the_least(self):
        for seed in range(30):
            scores, labels, _ = drawn(seed, 30, 1)
            scores = scores.round(1)
            wrong = scores[labels == 0]
            for rate in (0.0, 0.1, 0.3, 0.8):
                threshold = threshold_for_false_pass(scores, labels, rate)
                assert (wrong >= threshold).mean() <= rate
                lower = scores[scores < threshold]
                assert not len(lower) or (wrong >= lower.max()).mean() > rate

    @pytest.mark.parametrize("rate", [-0.1, 1.5, math.nan])
    def test_rate_is_a_share(self, rate):
        with pytest.raises(ValueError, match=whole(f"rate = {rate}: a share of false passes is from 0 to 1")):
            threshold_for_false_pass(self.SCORES, self.LABELS, rate)


class TestAccuracy:
    def test_figures(self):
        found = accuracy(SCORES, LABELS, range(6), threshold=0.7, resamples=200)
        assert (found.count, found.positives, found.threshold) == (6, 3, 0.7)
        assert found.auroc.value == pytest.approx(8 / 9)
        assert found.sensitivity.value == pytest.approx(2 / 3)
        assert found.specificity.value == 1.0
        assert found.balanced_accuracy.value == pytest.approx(5 / 6)

    def test_bins_hold_equal_counts_and_keep_equal_scores_together(self):
        """Thirty examples are three bins; no cut falls among the twelve scores of 0.5."""
        scores = [k / 100 for k in range(9)] + [0.5] * 12 + [0.9 + k / 100 for k in range(9)]
        labels = [0] * 9 + [0, 1] * 6 + [1] * 9
        found = accuracy(scores, labels, [0] * 30, resamples=10)
        assert found.bins == (
            Bin(0.0, 0.08, 9, pytest.approx(0.04), 0.0),
            Bin(0.5, 0.5, 12, 0.5, 0.5),
            Bin(0.9, 0.98, 9, pytest.approx(0.94), 1.0),
        )
        assert found.calibration_error == pytest.approx((9 * 0.04 + 0 + 9 * 0.06) / 30)

    @pytest.mark.parametrize(("count", "bins"), [(6, 1), (19, 1), (20, 2), (99, 9), (100, 10), (500, 10)])
    def test_bins_have_ten_examples_each(self, count, bins):
        scores = [k / count for k in range(count)]
        found = accuracy(scores, [k % 2 for k in range(count)], range(count), resamples=2)
        assert len(found.bins) == bins
        assert sum(each.count for each in found.bins) == count
        assert min(each.count for each in found.bins) >= min(10, count)

    def test_equal_scores_are_one_bin(self):
        found = accuracy([0.7] * 40, [0, 1] * 20, range(40), resamples=10)
        assert found.bins == (Bin(0.7, 0.7, 40, pytest.approx(0.7), 0.5),)
        assert found.calibration_error == pytest.approx(0.2)

    def test_two_crowds_are_two_bins(self):
        """Scores of token probabilities sit at 0 and 1: no bin in between, none empty."""
        found = accuracy([0.0] * 50 + [1.0] * 50, [0] * 45 + [1] * 55, range(100), resamples=10)
        assert [(each.count, each.share) for each in found.bins] == [(50, 0.1), (50, 1.0)]

    def test_same_seed_same_intervals(self):
        scores, labels, sources = drawn(1, 12, 5, 0.5)
        first, again, other = (
            accuracy(scores, labels, sources, resamples=300, seed=seed) for seed in (1, 1, 2)
        )
        assert first == again
        assert first.auroc != other.auroc

    def test_a_score_at_the_threshold_passes(self):
        found = accuracy([0.5, 0.4, 0.5, 0.4], [1, 0, 1, 0], range(4), resamples=10)
        assert (found.sensitivity.value, found.specificity.value) == (1.0, 1.0)

    def test_a_faultless_judge_is_not_certain(self):
        """Every resample of 20 right verdicts is right: what is left open comes from their number."""
        scores, labels = [0.9] * 20 + [0.1] * 10, [1] * 20 + [0] * 10
        found = accuracy(scores, labels, range(30), resamples=50)
        assert found.sensitivity == wilson(1.0, 20)
        assert found.specificity == found.auroc == found.balanced_accuracy == wilson(1.0, 10)
        assert found.sensitivity.low == pytest.approx(0.8389, abs=1e-4)
        clustered = accuracy(scores, labels, [k // 5 for k in range(30)], resamples=50)
        assert clustered.sensitivity == wilson(1.0, 4)

    def test_whole_sources_are_resampled(self):
        """Ten copies of an example are one example: the interval must not shrink with the copies."""
        scores, labels, _ = drawn(3, 30, 1)
        copies = accuracy(np.repeat(scores, 10), np.repeat(labels, 10), np.repeat(range(30), 10).tolist())
        one_by_one = accuracy(np.repeat(scores, 10), np.repeat(labels, 10), range(300))
        width = copies.auroc.high - copies.auroc.low
        assert width > 2.5 * (one_by_one.auroc.high - one_by_one.auroc.low)

    @pytest.mark.parametrize("sources", [["a"] * 60, ["a", "b", "c", "d"] * 15], ids=["one", "four"])
    def test_too_few_sources_count_as_none(self, sources):
        scores, labels, _ = drawn(4, 60, 1)
        assert accuracy(scores, labels, sources) == accuracy(scores, labels, range(60))

    def test_resamples_without_a_label_are_drawn_again(self):
        """One source of six holds all of label 1: a third of the resamples would have none."""
        scores, labels = [0.9, 0.4] + [0.1, 0.5, 0.6] * 5, [1, 1] + [0] * 15
        found = accuracy(scores, labels, ["x", "x", *[k // 3 for k in range(15)]], resamples=500)
        assert all(math.isfinite(end) for end in (found.auroc.low, found.auroc.high))
        assert 0 <= found.auroc.low <= found.auroc.value <= found.auroc.high <= 1

    def test_one_source_of_a_label(self):
        """A spread between sources cannot be had from one: the interval is as wide as the draws."""
        scores, labels = [0.9, 0.2] + [0.1, 0.6] * 5, [1, 1] + [0] * 10
        found = accuracy(scores, labels, ["x", "x", *[k // 2 for k in range(10)]], resamples=200)
        assert found.sensitivity == wilson(0.5, 1)

    @pytest.mark.parametrize(
        ("scores", "labels", "clusters", "message"),
        [
            ([], [], [], "no scores and no labels: there is nothing to measure the judge on"),
            ([0.1, 0.2], [1], [1, 2], "2 scores but 1 labels: give one of each per example"),
            ([0.1, 0.2], [1, 0], [1], "2 scores but 1 clusters: give one of each per example"),
            ([0.1, 0.2], [1, 1], [1, 2], "all labels are 1 (2): examples of both are needed"),
            ([0.1], [0], [1], "all labels are 0 (1): examples of both are needed"),
            (
                [math.nan, 0.2, math.inf],
                [1, 0, 1],
                [1, 2, 3],
                "scores[0] is nan, scores[2] is inf: leave out what has no score",
            ),
            ([0.1, 0.2, 0.3], [1, 2, -1], [1, 2, 3], "labels[1] is 2, labels[2] is -1: a label is 0 or 1"),
        ],
    )
    def test_errors(self, scores, labels, clusters, message):
        with pytest.raises(ValueError, match=whole(message)):
            accuracy(scores, labels, clusters)

    @pytest.mark.parametrize("measure", [auroc], ids=lambda measure: measure.__name__)
    def test_the_single_figures_raise_alike(self, measure):
        with pytest.raises(ValueError, match=whole("all labels are 0 (2): examples of both are needed")):
            measure([0.5, 0.6], [0, 0])


class TestWilson:
    def test_by_hand(self):
        """8 of 10: (0.8 + 0.19207 -+ 1.95996 * sqrt(0.016 + 0.0096036)) / 1.38415."""
        found = wilson(0.8, 10)
        assert found.value == 0.8
        assert found.low == pytest.approx(0.49016, abs=1e-5)
        assert found.high == pytest.approx(0.94332, abs=1e-5)

    @pytest.mark.parametrize("count", [1, 3.7, 10, 49, 1000])
    def test_holds_its_share(self, count):
        for share in (0.0, 0.2, 0.5, 0.999, 1.0):
            found = wilson(share, count)
            assert 0 <= found.low <= share <= found.high <= 1
        assert wilson(0.0, count).low == 0.0
        assert wilson(1.0, count).high == 1.0


@pytest.mark.parametrize(
    ("sources", "each", "unlike", "least"), [(100, 1, 0.0, 0.91), (12, 12, 0.5, 0.90), (30, 5, 0.5, 0.91)]
)
def test_intervals_cover(sources, each, unlike, least):
    """The promise of 95 % holds about: single examples, few sources, many sources; 300 trials each."""
    scores, labels, _ = drawn(99, 20000, 5, unlike)
    truth = (auroc(scores, labels), balanced_accuracy(scores, labels, 0.5))
    hits = np.zeros(2)
    for trial in range(300):
        found = accuracy(*drawn(trial, sources, each, unlike), resamples=400, seed=trial)
        hits += [_covers(found.auroc, truth[0]), _covers(found.balanced_accuracy, truth[1])]
    assert (hits / 300 > least).all(), hits / 300
    assert (hits / 300 < 0.98).all(), hits / 300


def _covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


# --- weights ---


def test_weights_count_as_copies():
    """An example of weight 3 counts as three in every figure; the intervals are of the examples there are."""
    scores, labels = [0.9, 0.8, 0.4, 0.3, 0.6, 0.2], [1, 1, 1, 0, 0, 0]
    weights = [1.0, 3.0, 2.0, 1.0, 2.0, 1.0]
    copies = [n for n, weight in enumerate(weights) for _ in range(int(weight))]
    clusters = list(range(6))
    weighted = accuracy(scores, labels, clusters, weights=weights)
    copied = accuracy([scores[n] for n in copies], [labels[n] for n in copies], list(range(len(copies))))
    for name in ("auroc", "balanced_accuracy", "sensitivity", "specificity"):
        assert getattr(weighted, name).value == pytest.approx(getattr(copied, name).value), name
    assert (weighted.count, weighted.positives) == (6, 3)
    assert accuracy(scores, labels, clusters, weights=[1.0] * 6) == accuracy(scores, labels, clusters)
