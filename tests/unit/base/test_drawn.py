"""What was drawn from a finite population: by hand, and how often intervals hold what is true of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rag_evals.evals.answers.draw import allocated
from rag_evals.evals.base.drawn import Drawn, drawn_mean, needed_of
from rag_evals.evals.base.intervals import (
    Interval,
    Sample,
    mean_interval,
    quantile_interval,
    rate_interval,
    wilson,
)

SEED = 1


def sample(values, drawn, limits=(0.0, 1.0)) -> Sample:
    return Sample(tuple(map(float, values)), ("",) * len(values), limits, tuple(drawn))


def of_one(values, population) -> Sample:
    return sample(values, [Drawn("", population, len(values))] * len(values))


class TestMean:
    def test_of_one_stratum(self):
        """As many independent draws know as much as the finite population correction says."""
        values = np.array([1.0, 0.0, 1.0, 1.0])
        found = drawn_mean(values, [Drawn("", 8, 4)] * 4, 0.75 * 0.25)
        # s2 / n * (1 - f) = 0.25 / 4 / 2, but never more than 4 / (1 - f).
        assert (found.value, found.count, found.population) == (0.75, pytest.approx(6.0), 8)

    def test_strata_weigh_as_in_the_population(self):
        drawn = [Drawn("a", 90, 1), Drawn("b", 10, 1)]
        assert drawn_mean(np.array([1.0, 0.0]), drawn).value == pytest.approx(0.9)

    def test_values_that_are_missing_are_of_no_stratum_more_than_of_another(self):
        """Of four drawn of a, one has a value: it stands for a quarter of its stratum."""
        drawn = [Drawn("a", 40, 4), Drawn("b", 10, 1)]
        assert drawn_mean(np.array([1.0, 0.0]), drawn).value == pytest.approx(0.5)

    def test_all_that_there_is(self):
        found = drawn_mean(np.array([1.0, 0.0]), [Drawn("", 2, 2)] * 2)
        assert (found.value, found.count) == (0.5, math.inf)

    def test_more_drawn_than_there_are(self):
        """A record of somebody else may say so; nothing breaks."""
        assert drawn_mean(np.array([1.0, 0.0]), [Drawn("", 1, 2)] * 2).count == math.inf


class TestIntervals:
    @pytest.mark.parametrize("interval", [rate_interval, mean_interval, lambda s: quantile_interval(s, 0.5)])
    def test_of_all_there_is_are_facts(self, interval):
        found = interval(of_one([1.0, 0.0, 1.0], 3))
        assert (found.low, found.high) == (found.value, found.value)

    def test_a_large_population_is_like_an_endless_one(self):
        values = [1.0] * 180 + [0.0] * 20
        found, endless = rate_interval(of_one(values, 10**9)), rate_interval(sample(values, ()))
        assert (found.low, found.high) == (
            pytest.approx(endless.low, abs=1e-3),
            pytest.approx(endless.high, abs=1e-3),
        )

    def test_a_rate(self):
        """Wilson's interval for the effective count, wider by half of one of the population."""
        found = rate_interval(of_one([1.0] * 90 + [0.0] * 10, 200))
        inside = wilson(0.9, 0.09 / (0.5 * 0.09 / 99))
        assert found == Interval(0.9, pytest.approx(inside.low - 0.0025), pytest.approx(inside.high + 0.0025))

    def test_scores_that_are_all_equal(self):
        """The narrower, the fewer were not drawn."""
        widths = []
        for population in (10**6, 200, 110):
            found = mean_interval(of_one([0.8] * 100, population))
            widths.append(found.high - found.low)
        assert widths == sorted(widths, reverse=True)

    def test_values_without_an_upper_limit(self):
        found = quantile_interval(sample([1, 2, 3], [Drawn("", 100, 3)] * 3, (0.0, math.inf)), 0.95)
        assert (found.value, found.high) == (3.0, math.inf)


@pytest.mark.parametrize(
    ("needed", "count", "drawn", "expected"),
    [
        (100, 100, [Drawn("", 10**9, 100)] * 100, 100),
        (100, 100, [Drawn("", 200, 100)] * 100, 34),
        (10**6, 100, [Drawn("", 200, 100)] * 100, 100),
        (5, 2, [Drawn("", 2, 2)] * 2, 0),
    ],
)
def test_how_many_more_decide(needed, count, drawn, expected):
    """Of a finite population fewer: the last ones that are drawn leave nothing open."""
    assert needed_of(needed, count, drawn) == expected


def zeros_and_ones(count: int, share: float) -> np.ndarray:
    values = np.zeros(count)
    values[: round(count * share)] = 1
    return values


def covered(population: dict[str, np.ndarray], size: int, interval, truth: float, times: int) -> float:
    """Draw so many times, and return how often the interval holds the truth."""
    rng = np.random.default_rng(SEED)
    counts = allocated({name: len(values) for name, values in population.items()}, size)
    hits = 0
    for _ in range(times):
        values, drawn = [], []
        for name, all_of_it in population.items():
            values += list(rng.choice(all_of_it, counts[name], replace=False))
            drawn += [Drawn(name, len(all_of_it), counts[name])] * counts[name]
        found = interval(sample(values, drawn))
        hits += found.low - 1e-12 <= truth <= found.high + 1e-12
    return hits / times


RATES = {
    "one stratum": {"": zeros_and_ones(1000, 0.9)},
    "nearly all pass": {"": zeros_and_ones(1000, 0.99)},
    "half of them drawn": {"": zeros_and_ones(400, 0.8)},
    "strata that differ": {
        "a": zeros_and_ones(800, 0.95),
        "b": zeros_and_ones(150, 0.5),
        "c": zeros_and_ones(50, 0.1),
    },
    "small strata": {
        "a": zeros_and_ones(980, 0.9),
        "b": zeros_and_ones(15, 0.3),
        "c": zeros_and_ones(3, 0.0),
    },
}


@pytest.mark.parametrize("name", RATES)
def test_rates_are_held(name):
    """The 95 % interval of a rate holds that of the population in 93 % of the draws at least."""
    population = RATES[name]
    truth = float(np.concatenate(list(population.values())).mean())
    assert covered(population, 200, rate_interval, truth, 600) >= 0.93


def test_means_and_quantiles_are_held():
    """Of skewed scores as well."""
    rng = np.random.default_rng(SEED)
    population = {"a": rng.beta(8, 1, 400), "b": rng.beta(2, 2, 200)}
    every = np.concatenate(list(population.values()))
    assert covered(population, 100, mean_interval, float(every.mean()), 150) >= 0.92
    for q in (0.1, 0.5):
        truth = float(np.sort(every)[math.ceil(q * len(every)) - 1])
        assert covered(population, 200, lambda s, q=q: quantile_interval(s, q), truth, 150) >= 0.93


def test_a_sample_knows_more_than_an_endless_one():
    """With half of a population drawn, intervals are narrower by the root of a half."""
    values = [1.0] * 90 + [0.0] * 10
    narrow, wide = rate_interval(of_one(values, 200)), rate_interval(sample(values, ()))
    assert (narrow.high - narrow.low) / (wide.high - wide.low) == pytest.approx(math.sqrt(0.5), abs=0.05)
