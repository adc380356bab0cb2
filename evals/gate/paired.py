"""Paired tests of one run against another: how much worse it is, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from rag_evals.evals.base.arrays import Floats
from rag_evals.evals.base.intervals import (
    SEED,
    Interval,
    bootstrap,
    cluster_numbers,
    effective_count,
    reach_of,
    standard_error,
    units_of,
    wilson,
)
from rag_evals.evals.gate.verdict import Verdict

ValueKind = Literal["rate", "score"]
ALPHA = 0.05
FLIPS = 9999
# Up to here all flips of signs are tried (2**13 < 9,999). So does scipy's `wilcoxon`, in 0.5 s.
FLIPPED = 13


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same questions in two runs, one entry a question, repeats averaged.

    Attributes:
        before: Values of the run that is compared with, from 0 to 1.
        after: Values of the new run, in the same order.
        clusters: The document that each question was asked about; "" for none.
        kind: `rate` for verdicts (0 or 1, or the share of repeats that passed), `score` for scores.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    clusters: tuple[str, ...]
    kind: ValueKind


@dataclass(frozen=True, slots=True)
class Difference:
    """After minus before; higher is better.

    Attributes:
        count: Number of pairs.
        before: Mean before; 0 without pairs.
        after: Mean after.
        value: Mean difference.
        low: Lower one-sided 95 % bound of it.
        high: Upper one-sided 95 % bound: both together are a 90 % interval.
        p_worse: One-sided p-value of "not worse".
        detectable: The smallest drop that `paired_verdict` would have called BLOCK with 80 % power, given how
            much the pairs differ, without a correction for many tests; None when no drop would have been.
    """

    count: int
    before: float
    after: float
    value: float
    low: float
    high: float
    p_worse: float
    detectable: float | None


def difference(
    pairs: Pairs, *, margin: float, alpha: float = ALPHA, bound_alpha: float = ALPHA
) -> Difference:
    """Compare two runs on the questions they share.

    Verdicts of 0 and 1: exact McNemar test and Tango's score interval (1998, Statistics in Medicine 17),
    which stays open when no verdict changed. Scores, and shares of repeats: Wilcoxon's signed-rank test
    without the pairs that did not change, and the BCa bootstrap. Where questions share documents
    (`cluster_numbers`), both tests become a sign-flip test on the sums of the documents (which McNemar's is
    on questions), the bootstrap resamples documents, and Tango's counts shrink to the effective ones.

    Args:
        pairs: The values.
        margin: The drop that matters; decides nothing here but what is detectable.
        alpha: Error of BLOCK: that of the upper bound and of what is detectable.
        bound_alpha: Error of PASS: that of the lower bound.
    """
    import numpy as np

    if not pairs.before:
        return Difference(0, 0.0, 0.0, 0.0, -1.0, 1.0, 1.0, None)
    before, after = np.asarray(pairs.before, dtype=np.float64), np.asarray(pairs.after, dtype=np.float64)
    # Means of repeats differ in the last digit where nothing changed.
    changes = (after - before).round(12)
    groups = cluster_numbers(pairs.clusters)
    is_binary = pairs.kind == "rate" and bool(np.isin([before, after], (0, 1)).all())
    interval = _interval_of_verdicts if is_binary else _interval_of_scores
    lower = interval(changes, groups, bound_alpha)
    upper = lower if alpha == bound_alpha else interval(changes, groups, alpha)
    return Difference(
        count=len(changes),
        before=float(before.mean()),
        after=float(after.mean()),
        value=lower.value,
        low=lower.low,
        high=upper.high,
        p_worse=_p_worse(changes, groups, is_binary),
        detectable=detectable(changes, groups, is_binary, margin, alpha),
    )


def paired_verdict(difference: Difference, *, margin: float, p_adjusted: float | None = None) -> Verdict:
    """Return BLOCK, PASS or INCONCLUSIVE.

    BLOCK: worse beyond chance (p below 0.05, adjusted where given, and the upper bound below 0) and by the
    margin or more. PASS: the lower bound is above minus the margin. Without pairs: INCONCLUSIVE.

    Both p and the bound are asked for as Wilcoxon's test is of symmetric changes: nine scores that each fall
    a little and one that rises much are no drop of the mean.
    """
    p = difference.p_worse if p_adjusted is None else p_adjusted
    is_worse = p < ALPHA and difference.high < 0
    if is_worse and reaches(difference.value, margin):
        return Verdict.BLOCK
    return Verdict.PASS if difference.low > -margin else Verdict.INCONCLUSIVE


def reaches(value: float, margin: float) -> bool:
    """Return whether a difference is a drop of the margin or more; 0.80 - 0.85 is -0.04999999999999993."""
    return value <= -margin + 1e-9


def tango(lost: float, gained: float, count: float, quantile: float) -> Interval:
    """Return Tango's score interval of a difference of paired rates, gained minus lost.

    Measured by enumeration (20 to 200 pairs, a true drop of just the margin): its lower bound passes 4.9 to
    5.5 % of them; that of Bonett & Price 2012 up to 7.7 %, Wald's up to 36 %.

    Args:
        lost: Pairs that went from 1 to 0; may be an effective, fractional count.
        gained: Pairs that went from 0 to 1.
        count: All pairs.
        quantile: How many standard errors the interval reaches.
    """
    value = (gained - lost) / count
    low = _score_bound(lost, gained, count, quantile)
    high = -_score_bound(gained, lost, count, quantile)
    return Interval(value, min(value, low), max(value, high))


def _score_bound(lost: float, gained: float, count: float, quantile: float) -> float:
    """Return the lowest difference whose score statistic the counts do not reject."""
    from scipy.optimize import brentq

    value = (gained - lost) / count
    if value <= -1:
        return -1.0

    def excess(drift: float) -> float:
        # The likeliest share of losses when the difference is `drift`: the root of a quadratic.
        b = (2 * count - gained + lost) * drift - gained - lost
        c = -lost * drift * (1 - drift)
        share = (math.sqrt(max(0.0, b * b - 8 * count * c)) - b) / (4 * count)
        variance = max(0.0, count * (2 * share + drift * (1 - drift)))
        return gained - lost - count * drift - quantile * math.sqrt(variance)

    # Just below the value: at the value itself nothing is in excess where no pair changed.
    return float(brentq(excess, -1.0, value - 1e-9))


def _interval_of_verdicts(changes: Floats, groups: Any, alpha: float) -> Interval:
    """Return Tango's interval, its counts and its quantile those of clusters where there are any."""
    count = len(changes)
    scale = effective_count(changes, groups, float(changes.var())) / count
    lost, gained = int((changes < 0).sum()), int((changes > 0).sum())
    return tango(lost * scale, gained * scale, count * scale, reach_of(groups, 1 - 2 * alpha))


def _interval_of_scores(changes: Floats, groups: Any, alpha: float) -> Interval:
    """Return the BCa interval, its lower end at most what falls not seen yet would make of the mean.

    Up to as many falls to -1 as Wilson's interval of none leaves open: without them 20 scores that moved by
    0.02 would exclude that one answer in twenty breaks, which is found among none of 20 in 36 %. The changes
    being all equal, the upper end is that of as many rises.
    """
    import numpy as np

    value = float(changes.mean())
    if len(changes) == 1:
        return Interval(value, -1.0, 1.0)
    unseen = wilson(0.0, len(changes), reach_of(groups, 1 - 2 * alpha)).high
    low, high = value - unseen * (1 + value), value + unseen * (1 - value)
    if np.ptp(changes) > 0:
        found = bootstrap(changes, groups, 1 - 2 * alpha)
        low, high = min(low, found.low), found.high
    return Interval(value, max(-1.0, low), min(1.0, high))


def _p_worse(changes: Floats, groups: Any, is_binary: bool) -> float:
    """Return the one-sided p-value of "not worse"; 1 where nothing changed."""
    import numpy as np

    if not changes.any():
        return 1.0
    if groups is not None:
        return _flipped(np.bincount(groups, weights=changes).round(12))
    return _mcnemar(changes) if is_binary else _wilcoxon(changes)


def _mcnemar(changes: Floats) -> float:
    """Return McNemar's exact one-sided test (1947): of the verdicts that changed, half are lost by chance.

    statsmodels' `mcnemar` is two-sided only.
    """
    from scipy.stats import binomtest

    lost, changed = int((changes < 0).sum()), int((changes != 0).sum())
    return float(binomtest(lost, changed, 0.5, alternative="greater").pvalue)


def _wilcoxon(changes: Floats) -> float:
    """Return Wilcoxon's test (1945) without zeros; exact up to 13 changes, or 50 without equal ones."""
    import numpy as np
    from scipy.stats import rankdata, wilcoxon

    changed = changes[changes != 0]
    if len(changed) <= FLIPPED:
        return _flipped(rankdata(np.abs(changed)) * np.sign(changed))
    return float(wilcoxon(changed, zero_method="wilcox", alternative="less").pvalue)


def _flipped(sums: Any) -> float:
    """Return the sign-flip test of a sum being below 0: exact up to 13 terms, then by 9,999 draws."""
    import numpy as np
    from scipy.stats import permutation_test

    if len(sums) == 1:
        return 0.5 if sums[0] < 0 else 1.0
    found = permutation_test(
        (sums,),
        np.sum,
        permutation_type="samples",
        alternative="less",
        vectorized=True,
        n_resamples=FLIPS,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


POWER = 0.8
# 1 / 2**4 > 0.05: four questions that all got worse are not beyond chance.
LEAST_PAIRS = 5
# Wilcoxon's test needs this much more of normal differences than the t test (Hodges & Lehmann 1956).
WILCOXON = math.pi / 3


def detectable(changes: Floats, groups: Any, is_binary: bool, margin: float, alpha: float) -> float | None:
    """Return the smallest drop that is both beyond chance and at least the margin with 80 % power."""
    count = len(changes)
    if count < LEAST_PAIRS:
        return None
    if is_binary:
        effective = effective_count(changes, groups, float(changes.var()))
        # Where no verdict changed, one might have.
        return _drop_of_verdicts(math.floor(effective), max((changes != 0).mean(), 1 / count), margin, alpha)
    units = count if groups is None else units_of(groups)
    return _drop_of_scores(standard_error(changes, groups) or 1 / count, units, margin, alpha)


def _drop_of_scores(error: float, units: int, margin: float, alpha: float) -> float | None:
    """Return the drop by the power of the t test, and of staying below the margin, at a standard error."""
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=units, alpha=alpha, power=POWER, alternative="larger")
    beyond_chance = float(effect) * error * math.sqrt(units * WILCOXON)
    drop = max(beyond_chance, margin + NormalDist().inv_cdf(POWER) * error)
    return drop if drop <= 1 else None


def _drop_of_verdicts(count: int, changed: float, margin: float, alpha: float) -> float | None:
    """Return the drop at which McNemar's exact test and the margin together have their power."""
    from scipy.optimize import brentq

    power = _power_of_verdicts(count, changed, margin, alpha)
    if power(1.0) <= POWER:
        return None
    return float(brentq(lambda drop: power(drop) - POWER, 0.0, 1.0, xtol=1e-4))


def _power_of_verdicts(count: int, changed: float, margin: float, alpha: float) -> Callable[[float], float]:
    """Return the exact chance of BLOCK at a drop, `changed` being the share of verdicts that change."""
    import numpy as np
    from scipy.stats import binom

    flips = np.arange(count + 1)
    needed = np.maximum(binom.isf(alpha, flips, 0.5) + 1, np.ceil((flips + margin * count) / 2 - 1e-9))

    def power(drop: float) -> float:
        share = max(changed, drop)
        return float(binom.pmf(flips, count, share) @ binom.sf(needed - 1, flips, (1 + drop / share) / 2))

    return power
