"""Intervals of one run's rates, means and quantiles, and the correction for many tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from rag_evals.evals.base.arrays import Floats
from rag_evals.evals.base.drawn import Drawn, drawn_mean, ranks_of

QUANTILE = NormalDist().inv_cdf(0.975)
# Over 5 clusters the interval of a mean holds 91 % of the time, over 6 94 %.
LEAST_CLUSTERS = 6
# Fewer values than this resample into a handful of different sets.
LEAST_RESAMPLED = 5
# More take scipy over 50 ms and, squared, its memory; the skew of so many is gone.
MOST_RESAMPLED = 500
RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One value a question, repeats already averaged.

    Attributes:
        values: The values; none of them NaN.
        clusters: The document that a question was asked about; "" for none. Questions of one document are
            alike: where there are documents enough (`cluster_numbers`), they are the units of chance. Else
            the questions are, and intervals speak of further questions on these same documents.
        limits: The least and the greatest possible value: (0, 1) for scores, (0, math.inf) for times and
            counts. What few values cannot exclude reaches this far; values beyond 1 lift the upper limit.
        drawn: What each value was drawn from; empty where they were not drawn. Of what was drawn intervals
            speak of the rest of that population, whatever documents it is about.
    """

    values: tuple[float, ...]
    clusters: tuple[str, ...]
    limits: tuple[float, float] = (0.0, 1.0)
    drawn: tuple[Drawn, ...] = ()


def rate_interval(sample: Sample, *, level: float = 0.95) -> Interval:
    """Return Wilson's interval of the mean of values from 0 to 1.

    Questions that share documents count as fewer (Korn & Graubard 1998, Survey Methodology 24: effective
    sample size, Student's t over clusters; Dean & Pagano 2015, J. Survey Stat. Methodol. 3, on Wilson's).
    Without a value: 0 to 1.
    """
    import numpy as np

    if not sample.values:
        return Interval(0.0, 0.0, 1.0)
    values = np.asarray(sample.values, dtype=np.float64)
    if sample.drawn:
        return _drawn_rate(values, sample.drawn, reach_of(None, level))
    groups = cluster_numbers(sample.clusters)
    share = min(1.0, max(0.0, float(values.mean())))
    return wilson(share, effective_count(values, groups, share * (1 - share)), reach_of(groups, level))


def mean_interval(sample: Sample, *, level: float = 0.95) -> Interval:
    """Return the BCa bootstrap interval of the mean (Efron 1987, JASA 82), whole clusters resampled.

    The level is raised for few units, as Hesterberg 2015 (The American Statistician 69) does for percentiles.
    Values that are all equal resample into themselves: their interval is as wide as Wilson's doubt about
    how many other values there are, which may lie at the limits. So one value, or none, gives the limits or
    nearly so. An end may be infinite when the limits are.
    """
    import numpy as np

    low, high = limits_of(sample)
    if not sample.values:
        return Interval(low, low, high)
    values = np.asarray(sample.values, dtype=np.float64)
    if len(values) == 1:
        return Interval(float(values[0]), low, high)
    if sample.drawn:
        return _drawn_mean(values, sample, level)
    groups = cluster_numbers(sample.clusters)
    if np.ptp(values) < 1e-12:
        return _of_equal(float(values[0]), len(values), (low, high), reach_of(groups, level))
    found = bootstrap(values, groups, level)
    return Interval(found.value, max(low, found.low), min(high, found.high))


def quantile_interval(sample: Sample, q: float, *, level: float = 0.95) -> Interval:
    """Return the interval of quantile `q` (0 to 1) between two order statistics, exact by the binomial.

    Questions that share documents count as fewer, by their spread around the quantile (Woodruff 1952, JASA
    47). An end that too few values can bound is the limit, which is math.inf for times: no JSON number, so
    writers write null. `least_for_quantile` says how many values bound both.
    """
    import numpy as np
    from scipy.stats import binom

    low, high = limits_of(sample)
    if not sample.values:
        return Interval(low, low, high)
    if sample.drawn:
        return _drawn_quantile(sample, q, level)
    values = np.sort(np.asarray(sample.values, dtype=np.float64))
    value = float(np.quantile(values, q))
    count = _effective_around(sample, value, q, level)
    first, last = (int(rank) for rank in binom.ppf([(1 - level) / 2, (1 + level) / 2], count, q))
    # Ranks among `count` independent values become ranks among all: outwards.
    if first > 0:
        low = min(value, float(values[first * len(values) // count - 1]))
    if last < count:
        high = max(value, float(values[-(-(last + 1) * len(values) // count) - 1]))
    return Interval(value, low, high)


def least_for_quantile(q: float, *, level: float = 0.95) -> int:
    """Return the least number of independent values that bound both ends of a quantile, 0 < q < 1."""
    tail = (1 - level) / 2
    return math.ceil(math.log(tail) / math.log(max(q, 1 - q)))


def questions_needed(interval: Interval, count: int, bound: float, *, is_rate: bool = False) -> int | None:
    """Return how many further questions would move `bound` out of the interval, its value staying as it is.

    Widths shrink as 1 / sqrt(count). Wilson's interval (`is_rate`) is lopsided: there the number is the one
    at which the bound becomes its end.

    Returns:
        0 when the bound is outside already; None when no number would do (the value is the bound), or when
        the interval has no end on the side of the bound (`least_for_quantile` is then what it takes).
    """
    if not interval.low <= bound <= interval.high:
        return 0
    end = interval.low if bound < interval.value else interval.high
    if bound == interval.value or math.isinf(end):
        return None
    ratio = ((interval.value - end) / (interval.value - bound)) ** 2
    if is_rate and 0 < end < 1:
        ratio *= bound * (1 - bound) / (end * (1 - end))
    return math.floor(count * (ratio - 1)) + 1 if math.isfinite(ratio) else None


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for being many (Holm 1979, Scandinavian Journal of Statistics 6), in their order."""
    if not p_values:
        return ()
    from statsmodels.stats.multitest import multipletests

    return tuple(float(p) for p in multipletests(p_values, method="holm")[1])


def wilson(share: float, count: float, quantile: float = QUANTILE) -> Interval:
    """Return Wilson's score interval (1927) of a share; `count` may be an effective, fractional one."""
    pull = quantile**2 / count
    centre = (share + pull / 2) / (1 + pull)
    half = math.sqrt(pull * share * (1 - share) + pull**2 / 4) / (1 + pull)
    # At a share of 0 or 1 rounding would leave it a hair outside of its own interval.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def t_quantile(freedom: int, p: float = 0.975) -> float:
    """Return the quantile `p` of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, p))


def cluster_numbers(clusters: Sequence[str]) -> Any:
    """Return the number of each question's cluster, or None where questions are the units of chance.

    They are when every question has its own cluster ("" is one of its own), and when clusters are worth
    fewer than 6 of equal size (`units_of`): too few to tell of others.
    """
    import numpy as np

    numbers: dict[Any, int] = {}
    keys = [cluster or place for place, cluster in enumerate(clusters)]
    groups = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    return groups if len(numbers) < len(groups) and units_of(groups) >= LEAST_CLUSTERS else None


def units_of(groups: Any) -> int:
    """Return how many clusters of equal size these are worth (Kish 1965, Survey Sampling)."""
    import numpy as np

    counts = np.bincount(groups)
    return int(counts.sum() ** 2 / (counts**2).sum() + 1e-9)


def effective_count(values: Floats, groups: Any, variance: float) -> float:
    """Return the count of independent values whose mean would vary as that of these clustered ones.

    Never more than there are; `variance` is that of a single value.
    """
    of_mean = 0.0 if groups is None else standard_error(values, groups) ** 2
    return min(len(values), variance / of_mean) if of_mean > 0 and variance > 0 else len(values)


def standard_error(values: Floats, groups: Any) -> float:
    """Return the standard error of the mean of two values or more, over clusters where there are any."""
    import numpy as np

    if groups is None:
        return float(values.std(ddof=1)) / math.sqrt(len(values))
    sums = np.bincount(groups, weights=values - values.mean())
    return math.sqrt(float((sums**2).sum()) * len(sums) / (len(sums) - 1)) / len(values)


def bootstrap(values: Floats, groups: Any, level: float) -> Interval:
    """Return the BCa interval of the mean of values that are not all equal; the same every time.

    Fewer than 5 units and more than 500 have the t interval.
    """
    import numpy as np
    from scipy.stats import bootstrap as resampled

    value = float(values.mean())
    clusters = _clusters(values, groups)
    units = units_of(groups) if clusters else len(values)
    if not LEAST_RESAMPLED <= units <= MOST_RESAMPLED:
        half = t_quantile(units - 1, (1 + level) / 2) * standard_error(values, groups)
        return Interval(value, value - half, value + half)
    found = resampled(
        clusters or (values,),
        _ratio if clusters else np.mean,
        n_resamples=RESAMPLES,
        paired=bool(clusters),
        vectorized=True,
        confidence_level=_raised(level, units),
        method="BCa",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(value, min(value, float(found.low)), max(value, float(found.high)))


def reach_of(groups: Any, level: float) -> float:
    """Return how many standard errors an interval reaches: the normal's, over clusters Student's t."""
    tail = (1 + level) / 2
    return NormalDist().inv_cdf(tail) if groups is None else t_quantile(units_of(groups) - 1, tail)


def limits_of(sample: Sample) -> tuple[float, float]:
    """Return the possible range of a sample: its limits, or without end where values lie beyond them."""
    low, high = sample.limits
    if not sample.values:
        return low, high
    return (
        low if min(sample.values) >= low else -math.inf,
        high if max(sample.values) <= high else math.inf,
    )


def _of_equal(value: float, count: float, limits: tuple[float, float], quantile: float) -> Interval:
    """Return what equal values leave open: as many others as Wilson allows, at either limit."""
    others = wilson(0.0, count, quantile).high
    low, high = limits
    return Interval(value, value - others * (value - low), value + others * (high - value))


def _effective_around(sample: Sample, value: float, q: float, level: float) -> int:
    """Return how many independent values know as much of a quantile as these clustered ones."""
    import numpy as np

    below = (np.asarray(sample.values) <= value).astype(np.float64)
    groups = cluster_numbers(sample.clusters)
    count = effective_count(below, groups, q * (1 - q))
    wider = reach_of(groups, level) / reach_of(None, level)
    return max(1, math.floor(count / wider**2))


def _raised(level: float, units: int) -> float:
    """Return the level whose percentiles make a mean's interval as wide as its t interval."""
    reach = t_quantile(units - 1, (1 + level) / 2) * math.sqrt(units / (units - 1))
    return 1 - 2 * NormalDist().cdf(-reach)


def _clusters(values: Floats, groups: Any) -> tuple[Floats, ...]:
    """Return sum and count of each cluster; none where clusters have the same mean or are no units."""
    import numpy as np

    if groups is None:
        return ()
    sums, counts = (np.bincount(groups, weights=w).astype(float) for w in (values, np.ones(len(groups))))
    return (sums, counts) if np.ptp((sums / counts).round(12)) > 0 else ()


def _ratio(sums: Floats, counts: Floats, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


# --- of what was drawn ---


def _drawn_rate(values: Floats, drawn: Sequence[Drawn], quantile: float) -> Interval:
    """Return Wilson's interval of the rate of a population; its steps are one of those that are in it."""
    share = min(1.0, max(0.0, drawn_mean(values, drawn).value))
    found = drawn_mean(values, drawn, share * (1 - share))
    if math.isinf(found.count):
        return Interval(share, share, share)
    step = 0.5 / found.population
    inside = wilson(share, found.count, quantile)
    return Interval(share, max(0.0, inside.low - step), min(1.0, inside.high + step))


def _drawn_mean(values: Floats, sample: Sample, level: float) -> Interval:
    """Return the bootstrap interval around the mean of the population, as narrow as its draws make it."""
    import numpy as np

    low, high = limits_of(sample)
    found = drawn_mean(values, sample.drawn)
    if math.isinf(found.count):
        return Interval(found.value, found.value, found.value)
    if np.ptp(values) < 1e-12:
        return _of_equal(found.value, found.count, (low, high), reach_of(None, level))
    apart = bootstrap(values, None, level)
    scale = math.sqrt(len(values) / found.count)
    below, above = ((end - apart.value) * scale for end in (apart.low, apart.high))
    return Interval(found.value, max(low, found.value + below), min(high, found.value + above))


def _drawn_quantile(sample: Sample, q: float, level: float) -> Interval:
    """Return the interval of a quantile of the population between two values that were drawn."""
    import numpy as np
    from scipy.stats import binom

    low, high = limits_of(sample)
    values, shares = ranks_of(np.asarray(sample.values, dtype=np.float64), sample.drawn)
    value = float(values[min(int(np.searchsorted(shares, q - 1e-12)), len(values) - 1)])
    below = (np.asarray(sample.values) <= value).astype(np.float64)
    count = drawn_mean(below, sample.drawn, q * (1 - q)).count
    if math.isinf(count):
        return Interval(value, value, value)
    count = max(1, math.floor(count))
    first, last = (int(rank) for rank in binom.ppf([(1 - level) / 2, (1 + level) / 2], count, q))
    before = int(np.searchsorted(shares, first / count + 1e-12)) - 1
    behind = int(np.searchsorted(shares, (last + 1) / count - 1e-12))
    if first > 0 and before >= 0:
        low = min(value, float(values[before]))
    if last < count and behind < len(values):
        high = max(value, float(values[behind]))
    return Interval(value, low, high)
