"""Intervals of one run: by hand, against scipy, statsmodels and enumeration, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rag_evals.evals.base.intervals import (
    Interval,
    Sample,
    cluster_numbers,
    holm,
    least_for_quantile,
    mean_interval,
    quantile_interval,
    questions_needed,
    rate_interval,
    t_quantile,
    units_of,
    wilson,
)
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import quantile_test
from statsmodels.stats.proportion import proportion_confint

TIMES = (0.0, math.inf)


def sample(*values, clusters=None, limits=(0.0, 1.0)):
    return Sample(tuple(values), tuple(clusters or ("",) * len(values)), limits)


def documents(*sizes):
    """Return cluster names: so many questions about each document."""
    return tuple(f"{number}.pdf" for number, size in enumerate(sizes) for _ in range(size))


def ends(interval):
    return interval.low, interval.high


class TestWilson:
    @pytest.mark.parametrize(("passed", "count"), [(0, 10), (8, 10), (93, 100), (100, 100), (1, 1)])
    def test_is_that_of_statsmodels(self, passed, count):
        found = rate_interval(sample(*(1.0,) * passed, *(0.0,) * (count - passed)))
        assert found.value == pytest.approx(passed / count)
        assert ends(found) == pytest.approx(proportion_confint(passed, count, method="wilson"), abs=1e-12)

    def test_level(self):
        found = rate_interval(sample(*(1.0,) * 8, 0.0, 0.0), level=0.99)
        assert ends(found) == pytest.approx(proportion_confint(8, 10, alpha=0.01, method="wilson"))

    def test_repeats_count_as_one_question(self):
        halves = rate_interval(sample(0.5, 0.5, 1.0, 1.0))
        assert halves == wilson(0.75, 4)


class TestClusters:
    def test_every_question_its_own(self):
        assert cluster_numbers(documents(*(1,) * 20)) is None
        assert cluster_numbers(("",) * 20) is None

    def test_few_documents_leave_the_questions(self):
        assert cluster_numbers(documents(10, 10, 10, 10, 10)) is None
        assert cluster_numbers(documents(50)) is None
        assert cluster_numbers(()) is None

    def test_one_large_document_among_small_ones_is_like_few(self):
        assert cluster_numbers(documents(90, *(1,) * 10)) is None

    def test_documents_and_questions_without_one(self):
        groups = cluster_numbers((*documents(2, 2, 2, 2, 2, 2), "", ""))
        assert groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]

    def test_uneven_ones_are_worth_fewer(self):
        """(4 + 1 + 1) ** 2 / (16 + 1 + 1) = 2."""
        assert units_of(np.array([0, 0, 0, 0, 1, 2])) == 2
        assert units_of(np.repeat(np.arange(7), 3)) == 7

    def test_answers_alike_widen_a_rate(self):
        """Ten documents, all five answers of a document the same: ten observations, not fifty."""
        values = (1.0,) * 35 + (0.0,) * 15
        found = rate_interval(sample(*values, clusters=documents(*(5,) * 10)))
        effective = 0.7 * 0.3 / (10 / 9 * 10 * 0.7 * 0.3 * 25 / 50**2)
        assert effective == pytest.approx(9)
        assert found.value == pytest.approx(0.7)
        assert ends(found) == pytest.approx(ends(wilson(0.7, 9, t_quantile(9))))

    def test_never_count_as_more_questions_than_there_are(self):
        """Every document half right: less spread than chance gives."""
        found = rate_interval(sample(*(1.0, 0.0) * 10, clusters=documents(*(2,) * 10)))
        assert found == wilson(0.5, 20, t_quantile(9))

    def test_all_passed(self):
        found = rate_interval(sample(*(1.0,) * 50, clusters=documents(*(5,) * 10)))
        assert found == wilson(1.0, 50, t_quantile(9))

    def test_answers_alike_widen_a_mean(self):
        rng = np.random.default_rng(0)
        values = np.repeat(rng.random(12), 5) * 0.8 + rng.random(60) * 0.2
        plain = mean_interval(sample(*values))
        clustered = mean_interval(sample(*values, clusters=documents(*(5,) * 12)))
        assert clustered.value == plain.value
        assert clustered.high - clustered.low > 1.8 * (plain.high - plain.low)

    def test_documents_of_the_same_mean_leave_the_questions(self):
        values = (0.2, 0.8) * 10
        clustered = mean_interval(sample(*values, clusters=documents(*(2,) * 10)))
        assert clustered == mean_interval(sample(*values))

    def test_answers_alike_widen_a_quantile(self):
        values = np.repeat(np.random.default_rng(1).random(40), 5)
        plain = quantile_interval(sample(*values), 0.5)
        clustered = quantile_interval(sample(*values, clusters=documents(*(5,) * 40)), 0.5)
        assert clustered.high - clustered.low > 1.5 * (plain.high - plain.low)
        assert clustered.low in values
        assert clustered.high in values


class TestMean:
    def test_is_scipys_at_a_raised_level(self):
        """20 values: t 2.0930 times sqrt(20/19) is 2.1474 standard errors, a level of 0.96824."""
        values = np.random.default_rng(2).random(20)
        found = mean_interval(sample(*values))
        told = scipy_bootstrap(
            (values,),
            np.mean,
            n_resamples=2000,
            confidence_level=0.968239,
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert found.value == pytest.approx(values.mean())
        assert ends(found) == pytest.approx((told.low, told.high), abs=1e-5)

    def test_same_every_time(self):
        values = sample(*np.random.default_rng(3).random(30))
        assert mean_interval(values) == mean_interval(values)

    def test_level(self):
        values = sample(*np.random.default_rng(4).random(30))
        wide, narrow = mean_interval(values, level=0.99), mean_interval(values, level=0.8)
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high

    @pytest.mark.parametrize("count", [2, 3, 10, 100])
    def test_equal_values_are_not_certain(self, count):
        """Three scores of 0.9 leave open what a third of the others are."""
        others = wilson(0.0, count).high
        found = mean_interval(sample(*(0.9,) * count))
        assert found.value == 0.9
        assert ends(found) == pytest.approx((0.9 - others * 0.9, 0.9 + others * 0.1))

    def test_equal_ones_are_a_rate_of_one(self):
        found = mean_interval(sample(*(1.0,) * 20))
        assert ends(found) == pytest.approx(ends(wilson(1.0, 20)))

    def test_values_equal_but_for_rounding(self):
        found = mean_interval(sample(0.3, 0.1 + 0.2, 0.3, 0.3, 0.3, 0.3))
        assert found.low < 0.2

    def test_few_values_have_the_t_interval(self):
        """0.5, 0.6, 0.7: standard deviation 0.1, t 4.3027."""
        half = 4.302653 * 0.1 / math.sqrt(3)
        assert ends(mean_interval(sample(0.5, 0.6, 0.7))) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-6)

    def test_many_values_have_the_t_interval(self):
        values = np.random.default_rng(5).random(501)
        half = t_quantile(500) * values.std(ddof=1) / math.sqrt(501)
        found = mean_interval(sample(*values))
        assert ends(found) == pytest.approx((values.mean() - half, values.mean() + half))

    def test_stays_within_the_limits(self):
        assert ends(mean_interval(sample(0.0, 1.0))) == (0.0, 1.0)

    @pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
    def test_one_value_says_nothing(self, value):
        assert mean_interval(sample(value)) == Interval(value, 0.0, 1.0)
        assert mean_interval(sample(value, limits=TIMES)) == Interval(value, 0.0, math.inf)

    def test_no_value_says_nothing(self):
        assert mean_interval(sample()) == Interval(0.0, 0.0, 1.0)
        assert rate_interval(sample()) == Interval(0.0, 0.0, 1.0)
        assert quantile_interval(sample(), 0.1) == Interval(0.0, 0.0, 1.0)

    def test_values_beyond_the_limits_lift_them(self):
        assert mean_interval(sample(3.0)) == Interval(3.0, 0.0, math.inf)
        assert mean_interval(sample(-3.0)) == Interval(-3.0, -math.inf, 1.0)


class TestQuantile:
    @pytest.mark.parametrize("q", [0.05, 0.1, 0.5, 0.9, 0.95])
    @pytest.mark.parametrize("count", [20, 50, 100, 200, 1000])
    def test_is_that_of_scipys_quantile_test(self, q, count):
        values = np.random.default_rng(6).random(count)
        told = quantile_test(values, q=float(np.quantile(values, q)), p=q).confidence_interval(0.95)
        found = quantile_interval(sample(*values), q)
        low = 0.0 if math.isnan(told.low) else told.low
        high = 1.0 if math.isnan(told.high) else told.high
        assert found.value == pytest.approx(np.quantile(values, q))
        assert ends(found) == (low, high)

    def test_too_few_times_have_no_upper_end(self):
        times = tuple(range(1, 73))
        assert quantile_interval(sample(*times[:71], limits=TIMES), 0.95).high == math.inf
        assert quantile_interval(sample(*times, limits=TIMES), 0.95).high == 72
        assert least_for_quantile(0.95) == least_for_quantile(0.05) == 72
        assert least_for_quantile(0.5) == 6

    def test_ties(self):
        assert quantile_interval(sample(*(1.0,) * 90, *(0.0,) * 10), 0.5) == Interval(1.0, 1.0, 1.0)

    def test_least_and_greatest(self):
        """The least of all is at most the least seen; no number of values says how far below."""
        assert quantile_interval(sample(*(0.4, 0.6) * 50), 0.0) == Interval(0.4, 0.0, 0.4)
        assert quantile_interval(sample(*(0.4, 0.6) * 50), 1.0) == Interval(0.6, 0.6, 1.0)

    @pytest.mark.parametrize("q", [0.1, 0.5, 0.95])
    def test_few_values(self, q):
        assert quantile_interval(sample(0.4), q) == Interval(0.4, 0.0, 1.0)
        for count in range(2, 12):
            found = quantile_interval(sample(*np.linspace(0.1, 0.9, count)), q)
            assert 0 <= found.low <= found.value <= found.high <= 1


class TestQuestionsNeeded:
    def test_outside_already(self):
        assert questions_needed(Interval(0.9, 0.86, 0.93), 100, 0.85) == 0

    def test_half_as_wide_takes_four_times_as_many(self):
        assert questions_needed(Interval(0.9, 0.8, 0.95), 100, 0.85001) in (300, 301)
        assert questions_needed(Interval(0.8, 0.7, 0.9), 50, 0.85) == 151

    @pytest.mark.parametrize(("passed", "count", "bound"), [(95, 100, 0.9), (20, 20, 0.9), (40, 50, 0.75)])
    def test_rates_exactly(self, passed, count, bound):
        """The number found is enough, the one below it is not."""
        share = passed / count
        further = questions_needed(wilson(share, count), count, bound, is_rate=True)
        assert wilson(share, count + further).low > bound
        assert wilson(share, count + further - 1).low <= bound + 1e-12

    def test_rates_from_below(self):
        share = 0.85
        further = questions_needed(wilson(share, 100), 100, 0.9, is_rate=True)
        assert wilson(share, 100 + further).high < 0.9 <= wilson(share, 100 + further - 1).high

    def test_no_number_would_do(self):
        assert questions_needed(Interval(0.9, 0.8, 0.95), 100, 0.9) is None
        assert questions_needed(Interval(3.0, 2.0, math.inf), 20, 20.0) is None

    def test_grows_towards_the_value(self):
        found = [questions_needed(Interval(0.9, 0.8, 0.95), 100, bound) for bound in (0.8, 0.82, 0.85, 0.89)]
        assert found == sorted(found)
        assert found[0] == 1


class TestHolm:
    def test_by_hand(self):
        """Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04."""
        assert holm([0.02, 0.01, 0.04]) == pytest.approx((0.04, 0.03, 0.04))

    def test_none_and_one(self):
        assert holm([]) == ()
        assert holm([0.2]) == pytest.approx((0.2,))

    def test_is_at_most_one(self):
        assert holm([0.9, 0.8]) == (1.0, 1.0)
