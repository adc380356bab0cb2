"""Values that were drawn from a finite population, perhaps by strata: their mean, and how much it knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.base.arrays import Floats

# Fewer values of a stratum may well be alike by chance: their spread is no reason for a narrower interval.
LEAST_OF_A_STRATUM = 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one was drawn from.

    Attributes:
        stratum: Name of the stratum; "" where all were drawn from one.
        population: How many there are in it.
        count: How many of them were drawn, without putting any back.
    """

    stratum: str
    population: int
    count: int


@dataclass(frozen=True, slots=True)
class DrawnMean:
    """The mean of a population as a sample tells it.

    Attributes:
        value: The mean, each stratum weighing as much as it does in the population.
        count: How many independent draws, each put back, would know as much; infinite where all was drawn.
        population: How many there are in the strata that were drawn from.
    """

    value: float
    count: float
    population: int


def drawn_mean(values: Floats, drawn: Sequence[Drawn], variance: float | None = None) -> DrawnMean:
    """Return the mean of the population that `values` were drawn from, at least one.

    The variance is that of stratified draws without replacement (Cochran 1977, Sampling Techniques, 5.3). A
    stratum of one value varies as all do. Where a stratum has few values, no more is known than the weights
    alone would let independent values know (Kish 1965, Survey Sampling).

    Args:
        values: The values.
        drawn: What each was drawn from.
        variance: That of a single value; that of the values themselves by default.
    """
    import numpy as np

    strata = list(dict.fromkeys(drawn))
    number = {stratum: n for n, stratum in enumerate(strata)}
    groups = np.array([number[one] for one in drawn])
    counts = np.bincount(groups)
    weights = counts * np.array([one.population / one.count for one in strata])
    weights /= weights.sum()
    means = np.bincount(groups, weights=values) / counts
    value = float(weights @ means)
    if variance is None:
        variance = float((weights / counts)[groups] @ (values - value) ** 2)
    left = np.array([max(0.0, 1 - one.count / one.population) for one in strata])
    parts = weights**2 * left / counts
    of_mean = float(parts @ _spreads(values, groups, counts, means, variance))
    most = 1 / float(parts.sum()) if parts.any() else math.inf
    count = variance / of_mean if of_mean > 0 and variance > 0 else most
    if len(counts) > 1 and counts.min() >= LEAST_OF_A_STRATUM:
        most = math.inf
    count = min(count, most)
    return DrawnMean(value, count, sum(one.population for one in strata))


def _spreads(values: Floats, groups: Any, counts: Any, means: Any, variance: float) -> Any:
    """Return the variance within each stratum; of one value, that of all."""
    import numpy as np

    squares = np.bincount(groups, weights=(values - means[groups]) ** 2)
    return np.where(counts > 1, squares / np.maximum(counts - 1, 1), variance)


def ranks_of(values: Floats, drawn: Sequence[Drawn]) -> tuple[Floats, Floats]:
    """Return the values in order, and the share of the population up to each of them."""
    import numpy as np

    weights = np.array([one.population / one.count for one in drawn])
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weights[order])
    return values[order], shares / shares[-1]


def needed_of(needed: int, count: int, drawn: Sequence[Drawn]) -> int:
    """Return how many more of a population are as good as `needed` more of an endless one.

    Args:
        needed: How many more it would be beside those that were drawn.
        count: How many were drawn and have a value.
        drawn: What each of them was drawn from.
    """
    strata = set(drawn)
    population, chosen = sum(one.population for one in strata), sum(one.count for one in strata)
    if chosen >= population:
        return 0
    endless = (count + needed) / (1 - chosen / population)
    return max(1, math.ceil(endless / (1 + endless / population) - count))
