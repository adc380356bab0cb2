"""The smallest drop that a comparison of two runs could have called BLOCK."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from evals.stats import effective_count, standard_error, units_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POWER = 0.8
# 1 / 2**4 > 0.05: four questions that all got worse are not beyond chance.
LEAST_PAIRS = 5
# Wilcoxon's test needs this much more of normal differences than the t test (Hodges & Lehmann 1956).
WILCOXON = math.pi / 3


def detectable(changes: Floats, groups: Any, is_binary: bool, margin: float, alpha: float) -> float | None:
    """Give the smallest drop that is both beyond chance and at least the margin with 80 % power."""
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
    """Give the drop by the power of the t test, and of staying below the margin, at a standard error."""
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=units, alpha=alpha, power=POWER, alternative="larger")
    beyond_chance = float(effect) * error * math.sqrt(units * WILCOXON)
    drop = max(beyond_chance, margin + NormalDist().inv_cdf(POWER) * error)
    return drop if drop <= 1 else None


def _drop_of_verdicts(count: int, changed: float, margin: float, alpha: float) -> float | None:
    """Give the drop at which McNemar's exact test and the margin together have their power."""
    from scipy.optimize import brentq

    power = _power_of_verdicts(count, changed, margin, alpha)
    if power(1.0) <= POWER:
        return None
    return float(brentq(lambda drop: power(drop) - POWER, 0.0, 1.0, xtol=1e-4))


def _power_of_verdicts(count: int, changed: float, margin: float, alpha: float) -> Callable[[float], float]:
    """Give the exact chance of BLOCK at a drop, `changed` being the share of verdicts that change."""
    import numpy as np
    from scipy.stats import binom

    flips = np.arange(count + 1)
    needed = np.maximum(binom.isf(alpha, flips, 0.5) + 1, np.ceil((flips + margin * count) / 2 - 1e-9))

    def power(drop: float) -> float:
        share = max(changed, drop)
        return float(binom.pmf(flips, count, share) @ binom.sf(needed - 1, flips, (1 + drop / share) / 2))

    return power
