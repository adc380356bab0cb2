"""The corrected headline: worked by hand, its edges, and how often its interval holds the truth."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from rag_evals.evals.base.intervals import wilson
from rag_evals.evals.judges.calibration.correction import Corrected, prediction_powered, rogan_gladen
from rag_evals.evals.judges.calibration.labels.draw import allocated

TRIALS = 1000


def whole(message):
    """Return a pattern that nothing but all of `message` matches."""
    return f"^{re.escape(message)}$"


def share_within(found, truth):
    return float(np.mean([each.low <= truth <= each.high for each in found]))


class TestRoganGladen:
    def test_point_by_hand(self):
        """(0.7 + 0.8 - 1) / (0.9 + 0.8 - 1) = 5/7."""
        found = rogan_gladen(70, 100, (90, 100), (80, 100))
        assert found.value == pytest.approx(5 / 7)
        assert (found.method, found.labels) == ("rogan-gladen", 200)

    def test_interval_by_hand(self):
        """Formulas of Lang & Reiczigel 2014, each step on paper.

        Adjusted: sensitivity 91/102, specificity 81/102, rate (70 + 1.92073) / (100 + 3.84146) = 0.692601;
        Youden 0.686275; centre 0.709219; variances 0.000943442 and 0.001602896, shift 0.001559;
        half 1.959964 * sqrt(0.00205026 + 0.00047454 + 0.00013554) / 0.686275 = 0.147304.
        """
        found = rogan_gladen(70, 100, (90, 100), (80, 100))
        assert found.low == pytest.approx(0.563474, abs=2e-5)
        assert found.high == pytest.approx(0.858082, abs=2e-5)

    def test_a_faultless_judge_changes_little(self):
        found = rogan_gladen(80, 100, (1000, 1000), (1000, 1000))
        plain = wilson(0.8, 100)
        assert found.value == 0.8
        assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.01)

    @pytest.mark.parametrize(("passed", "value"), [(100, 1.0), (95, 1.0), (5, 0.0), (0, 0.0)])
    def test_is_a_rate(self, passed, value):
        """A run that passes more than the judge passes of what is right is at 1, with room below."""
        found = rogan_gladen(passed, 100, (45, 50), (45, 50))
        assert found.value == value
        assert 0 <= found.low <= value <= found.high <= 1

    def test_is_never_surer_than_a_faultless_judge(self):
        """All 100 passed by a judge who fails one right answer in ten: card and run disagree."""
        found = rogan_gladen(100, 100, (45, 50), (45, 50))
        assert (found.value, found.low, found.high) == (1.0, wilson(1.0, 100).low, 1.0)
        found = rogan_gladen(0, 100, (45, 50), (45, 50))
        assert (found.value, found.low, found.high) == (0.0, 0.0, wilson(0.0, 100).high)

    def test_the_point_lies_in_its_interval(self):
        steps = (0.0, 0.1, 0.5, 0.8, 0.9, 1.0)
        for count, (a, b) in itertools.product((10, 100), ((5, 5), (40, 10), (10, 60), (80, 40))):
            for sensitivity, specificity, passed in itertools.product(steps, steps, range(0, count + 1)):
                found = rogan_gladen(passed, count, (int(sensitivity * a), a), (int(specificity * b), b))
                assert 0 <= found.low <= found.value <= found.high <= 1

    def test_fewer_labels_widen(self):
        many, few = (rogan_gladen(70, 100, (9 * k, 10 * k), (8 * k, 10 * k)) for k in (100, 3))
        assert many.value == pytest.approx(few.value)
        assert few.high - few.low > 1.5 * (many.high - many.low)

    @pytest.mark.parametrize(
        ("positives", "negatives"),
        [((50, 100), (50, 100)), ((10, 100), (10, 100)), ((60, 100), (50, 100)), ((1, 1), (1, 1))],
        ids=["chance", "worse", "not clearly better", "two labels"],
    )
    def test_a_judge_like_chance_corrects_nothing(self, positives, negatives):
        labels = positives[1] + negatives[1]
        assert rogan_gladen(70, 100, positives, negatives) == Corrected(0.7, 0.0, 1.0, "uncorrected", labels)

    def test_clearly_better_than_chance_is_enough(self):
        assert rogan_gladen(70, 100, (70, 100), (50, 100)).method == "rogan-gladen"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((0, 0, (9, 10), (8, 10)), "not a share of at least one example: the run: 0 of 0"),
            ((-1, 5, (9, 10), (8, 10)), "not a share of at least one example: the run: -1 of 5"),
            (
                (6, 5, (11, 10), (0, 0)),
                "not a share of at least one example: the run: 6 of 5; label 1: 11 of 10; label 0: 0 of 0",
            ),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=whole(message)):
            rogan_gladen(*arguments)

    SETTINGS = tuple(itertools.product((0.6, 0.8, 0.9), (0.8, 0.9), (0.7, 0.85), (120, 240), (100, 400)))

    @staticmethod
    def simulated(rate, sensitivity, specificity, card, count, trials):
        """Return the passes of runs and of cards with as many examples of either label."""
        rng = np.random.default_rng([int(1000 * x) for x in (rate, sensitivity, specificity, card, count)])
        passes = rng.binomial(count, rate * sensitivity + (1 - rate) * (1 - specificity), trials).tolist()
        right = rng.binomial(card // 2, sensitivity, trials).tolist()
        wrong = rng.binomial(card // 2, specificity, trials).tolist()
        return zip(passes, right, wrong, strict=True)

    def test_interval_covers(self):
        """In every setting 93 % to 97 % hold the truth; of 3,000 trials that is give or take 0.8 %."""
        for rate, sensitivity, specificity, card, count in self.SETTINGS:
            half = card // 2
            found = [
                rogan_gladen(passed, count, (right, half), (failed, half))
                for passed, right, failed in self.simulated(
                    rate, sensitivity, specificity, card, count, 3 * TRIALS
                )
            ]
            setting = (rate, sensitivity, specificity, card, count)
            assert 0.93 <= share_within(found, rate) <= 0.97, setting

    def test_the_uncorrected_rate_does_not(self):
        """A judge that fails one right answer in five takes the plain interval away from 0.9."""
        trials = self.simulated(0.9, 0.8, 0.85, 240, 400, TRIALS)
        plain = [wilson(passed / 400, 400) for passed, _, _ in trials]
        assert share_within(plain, 0.9) < 0.01


class TestPredictionPowered:
    def test_by_hand(self):
        """Ten labels, eight of them 1; scores are the labels but for two; a run that passes 0.6 of ten.

        Scores of the labelled part: mean 0.8, covariance (7 - 6.4) / 9 = 0.0667; all twenty scores: mean
        0.7, variance 4.2 / 19; weight 0.0667 / (0.22105 * 2) = 0.150794; value 0.8 + 0.150794 * (0.6 - 0.8).
        Residuals: sum of squares 1.6 - 2 * w * 0.6 + w^2 * 1.6 = 1.455430, over 10 * 8 = 0.0181929;
        of the run w^2 * 0.22105 / 10 = 0.000502645; so 0.769841 * 0.230159 / 0.0186955 = 9.477506 labels.
        """
        found = prediction_powered([1.0] * 6 + [0.0] * 4, [1] * 7 + [0, 1, 0], [1] * 8 + [0] * 2)
        assert found.value == pytest.approx(0.769841, abs=1e-6)
        interval = wilson(found.value, 9.477506, 2.262157)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-5)
        assert (found.method, found.labels) == ("prediction-powered", 10)

    def test_good_scores_narrow_the_interval(self):
        rng = np.random.default_rng(1)
        right, labels = rng.random(400) < 0.8, rng.random(50) < 0.8
        good = prediction_powered(right * 0.9, labels * 0.9, labels)
        useless = prediction_powered(rng.random(400), rng.random(50), labels)
        assert good.high - good.low < 0.6 * (useless.high - useless.low)

    def test_bias_of_the_judge_falls_out(self):
        """A judge that scores everything 0.3 too low has the same estimate."""
        scores, labelled, labels = [0.9, 0.4] * 20, [0.8, 0.9, 0.4, 0.7, 0.2] * 4, [1, 1, 0, 1, 0] * 4
        found = prediction_powered(scores, labelled, labels)
        low = prediction_powered([s - 0.3 for s in scores], [s - 0.3 for s in labelled], labels)
        assert (low.value, low.low, low.high) == pytest.approx((found.value, found.low, found.high))

    @pytest.mark.parametrize(
        ("scores", "labelled"),
        [([0.5] * 30, [0.5] * 10), ([], [0.1, 0.9] * 5), ([0.2, 0.9] * 9, [0.0] * 8 + [1.0] * 2)],
        ids=["constant", "nothing unlabelled", "the wrong way round"],
    )
    def test_scores_that_say_nothing_leave_the_labels(self, scores, labelled):
        """The interval is Wilson's of the labels; two of the n are spent, so that it is a little wider."""
        labels = [1] * 8 + [0] * 2
        found = prediction_powered(scores, labelled, labels)
        interval = wilson(0.8, 8, 2.262157)
        assert found.value == pytest.approx(0.8)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-6)

    @pytest.mark.parametrize("label", [0, 1])
    def test_labels_of_one_kind(self, label):
        """Thirty right answers are no certainty, whatever the scores."""
        for labelled in ([0.5] * 30, [0.1, 0.9] * 15):
            found = prediction_powered([0.3, 0.8] * 50, labelled, [label] * 30)
            interval = wilson(float(label), 30, 2.0452296)
            assert (found.value, found.low, found.high) == pytest.approx(
                (label, interval.low, interval.high), abs=1e-6
            )
            assert found.high - found.low > 0.1

    def test_a_faultless_judge_counts_as_labels_for_the_whole_run(self):
        """Never as more than them, and the interval keeps its width."""
        labels = [1] * 28 + [0] * 2
        found = prediction_powered([1.0] * 187 + [0.0] * 13, labels, labels)
        most = wilson(found.value, 230)
        assert found.low <= most.low + 0.001
        assert found.high >= most.high - 0.001

    def test_is_a_rate(self):
        """Where the correction points beyond 1, the value is 1 and the interval reaches it."""
        found = prediction_powered([1.0] * 100, [1.0] * 10 + [0.0] * 10, [1] * 19 + [0])
        assert 0 <= found.low < found.value <= found.high <= 1
        beyond = prediction_powered([5.0] * 100, [1.0] * 19 + [0.0], [1] * 19 + [0])
        assert beyond.high == 1.0

    def test_one_unlabelled(self):
        found = prediction_powered([0.9], [0.9, 0.1] * 5, [1, 0] * 5)
        assert found.value == pytest.approx(0.5, abs=0.05)
        assert math.isfinite(found.low)

    @pytest.mark.parametrize(
        ("scores", "labelled", "labels", "message"),
        [
            ([0.5], [0.5] * 10, [1] * 9, "10 labelled_scores but 9 labels: give one of each"),
            ([0.5], [0.5] * 9, [1] * 9, "9 labels: label at least 10 evaluations of the run"),
            ([], [], [], "0 labels: label at least 10 evaluations of the run"),
            ([0.5, math.nan], [0.5] * 10, [1] * 10, "scores[1] is nan: leave out what has no score"),
            (
                [0.5],
                [0.5] * 9 + [-math.inf],
                [1] * 10,
                "labelled_scores[9] is -inf: leave out what has no score",
            ),
            ([0.5], [0.5] * 10, [1] * 9 + [3], "labels[9] is 3: a label is 0 or 1"),
        ],
    )
    def test_errors(self, scores, labelled, labels, message):
        with pytest.raises(ValueError, match=whole(message)):
            prediction_powered(scores, labelled, labels)


# How a judge scores answers of either label: verdicts of a given sensitivity and specificity, those with
# graded certainty around them, scores that overlap, and scores that have nothing to do with the label.
def _verdicts(sensitivity, specificity):
    return lambda rng, label: (rng.random(label.shape) < np.where(label, sensitivity, 1 - specificity)) * 1.0


def _certainties(rng, label):
    verdict = _verdicts(0.9, 0.85)(rng, label) > 0
    return np.where(verdict, rng.beta(20, 1, label.shape), rng.beta(1, 20, label.shape))


def _overlapping(rng, label):
    return np.where(label, rng.beta(3, 1, label.shape), rng.beta(1, 3, label.shape))


JUDGES = {
    "0.8 and 0.7": _verdicts(0.8, 0.7),
    "0.9 and 0.85": _verdicts(0.9, 0.85),
    "certainties": _certainties,
    "overlapping": _overlapping,
    "useless": lambda rng, label: rng.random(label.shape),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_prediction_powered_covers(judge):
    """In every setting 93 % to 97 % of the intervals hold the truth; of 2,000 trials, give or take 1 %.

    Where scores say nothing the labels alone decide, and those of 40 come in steps of 0.025: Wilson's
    interval then holds up to 97.3 %.
    """
    most = 0.98 if judge == "useless" else 0.97
    for rate, labelled, count in itertools.product((0.6, 0.8, 0.9), (40, 100), (100, 400)):
        rng = np.random.default_rng([int(100 * rate), labelled, count])
        labels, rest = rng.random((2 * TRIALS, labelled)) < rate, rng.random((2 * TRIALS, count)) < rate
        scores, labelled_scores = JUDGES[judge](rng, rest), JUDGES[judge](rng, labels)
        found = list(map(prediction_powered, scores, labelled_scores, labels))
        assert 0.93 <= share_within(found, rate) <= most, (rate, labelled, count)


# --- drawn by strata ---


def drawn_run(rng, rate: float, size: int):
    """Return truth and scores of a run, and which of it are drawn with which weights."""
    truth = (rng.random(size) < rate).astype(int)
    scores = rng.beta(1 + 5 * truth, 1 + 5 * (1 - truth))
    bands = (scores >= 0.25).astype(int) + (scores >= 0.5) + (scores >= 0.75)
    sizes = {("p", band): int((bands == band).sum()) for band in range(4) if (bands == band).any()}
    counts = allocated(sizes, 60, in_proportion=False)
    drawn = {
        int(n): sizes[name] / counts[name]
        for name in sizes
        for n in rng.choice(np.flatnonzero(bands == name[1]), counts[name], replace=False)
    }
    return truth, scores, drawn


def test_weights_of_a_draw_are_needed_and_hold():
    """Small strata are drawn more often: with the weights the estimate is right, without it is off."""
    rng = np.random.default_rng(4)
    held, errors, naive = 0, [], []
    for _ in range(150):
        truth, scores, drawn = drawn_run(rng, 0.9, 300)
        places = list(drawn)
        others = np.delete(scores, places).tolist()
        known = (others, scores[places].tolist(), truth[places].tolist())
        found = prediction_powered(*known, list(drawn.values()))
        held += found.low <= 0.9 <= found.high
        errors.append(found.value - 0.9)
        naive.append(prediction_powered(*known).value - 0.9)
    assert held >= 138
    assert abs(float(np.mean(errors))) < 0.01
    assert abs(float(np.mean(naive))) > 0.015


def test_equal_weights_are_none():
    """What stands for as many everywhere is a random sample."""
    scores, labels = [0.9, 0.1] * 10, [1, 0] * 10
    plain = prediction_powered([0.8] * 30, scores, labels)
    assert prediction_powered([0.8] * 30, scores, labels, [2.5] * 20) == plain


def test_a_draw_of_all_is_certain_of_the_run():
    """Each stands for itself: what is left is the run as a sample of questions."""
    scores, labels = [0.9, 0.1] * 10, [1, 0] * 9 + [1, 1]
    found = prediction_powered([], scores, labels, [1.0] * 19 + [1.0 + 1e-9])
    assert found.value == pytest.approx(0.55)
    assert found.low < 0.55 < found.high


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "20 scores but 2 weights: give one of each per example"),
        ([0.0] + [1.0] * 19, "weights[0] is 0.0: a weight is a number above 0"),
    ],
)
def test_wrong_weights(weights, message):
    with pytest.raises(ValueError, match=whole(message)):
        prediction_powered([], [0.9, 0.1] * 10, [1, 0] * 10, weights)
