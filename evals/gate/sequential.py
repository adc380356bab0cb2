"""Sequential tests: verdicts before the last question, which may be looked at after every value.

Bets against a candidate mean gain nothing on average while it is the true one, so their wealth ever
exceeds 1 / alpha with a chance of at most alpha (Ville 1939). Bets are the approximate GRAPA of Waudby-Smith
& Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS B 86.

Values must come in an order that has nothing to do with them: shuffle the questions, by a seed. Questions
of one document then count as questions: early verdicts speak of further questions on the same documents.
"""

from __future__ import annotations

import math
from dataclasses import replace

from rag_evals.evals.base.arrays import Floats
from rag_evals.evals.gate.paired import ALPHA, Difference, Pairs, difference, reaches
from rag_evals.evals.gate.verdict import Verdict

# An error may come early or at the end; both together are the 5 % of one look at the end. BLOCK keeps its
# power at the end, PASS saves questions, a condition has either.
EARLY_BLOCK = 0.01
EARLY_PASS = 0.02
EARLY_BOUND = 0.015
END_LEVEL = 0.95 + EARLY_BOUND
# Nobody bets all they have: a single value at the wrong end would end the game.
LARGEST_BET = 0.75
# Before the first value: a mean in the middle and a standard deviation of a fifth of the range.
PRIOR_MEAN = 0.5
PRIOR_VARIANCE = 0.04


class EarlyBound:
    """Tells as early as it is sure whether the mean of a condition is at least a bound.

    A condition on a quantile is one on a mean: `p10 >= 0.5` says that at least 0.9 of the values are 0.5 or
    more, so feed 1 or 0 and give 0.9 as the bound.

    Attributes:
        verdict: PASS (at least the bound), BLOCK (below it) or None (not yet); once given it stays. At the
            end of an undecided run take the interval at `END_LEVEL`, such as `rate_interval(sample,
            level=END_LEVEL)`: early and late together err as often as one look at the end at 95 %.
    """

    def __init__(self, bound: float, *, conditions: int = 1) -> None:
        """Take the bound, strictly between 0 and 1 as are means, and how many conditions decide together."""
        import numpy as np

        self.verdict: Verdict | None = None
        self._enough = math.log(2 * conditions / EARLY_BOUND)
        self._above, self._below = Wealth(np.array([bound])), Wealth(np.array([1 - bound]))

    def add(self, value: float) -> None:
        """Take the next value, from 0 to 1."""
        self._above.add(value)
        self._below.add(1 - value)
        if self.verdict is None and self._above.most[0] >= self._enough:
            self.verdict = Verdict.PASS
        if self.verdict is None and self._below.most[0] >= self._enough:
            self.verdict = Verdict.BLOCK


class EarlyDifference:
    """Tells as early as it is sure what `decide` would say of a run against another.

    Attributes:
        verdict: BLOCK (for sure below 0, and the mean drop is the margin or more), PASS (for sure above minus
            the margin) or None (not yet); once given it stays. At the end of an undecided run the verdict is
            that of `decide` on `difference_at_end`, never on `difference`.
    """

    def __init__(self, margin: float, *, comparisons: int = 1) -> None:
        """Take the margin, and the number of comparisons of which a single BLOCK blocks (Bonferroni)."""
        import numpy as np

        self.verdict: Verdict | None = None
        self._margin = margin
        self._count, self._sum = 0, 0.0
        self._above, self._below = Wealth(np.array([(1 - margin) / 2])), Wealth(np.array([0.5]))
        self._is_above, self._is_below = math.log(1 / EARLY_PASS), math.log(comparisons / EARLY_BLOCK)

    def add(self, before: float, after: float) -> None:
        """Take the next question's two values, from 0 to 1."""
        self._count += 1
        self._sum += after - before
        share = (1 + after - before) / 2
        self._above.add(share)
        self._below.add(1 - share)
        if self.verdict is None:
            self.verdict = self._decided()

    def _decided(self) -> Verdict | None:
        is_worse = self._below.most[0] >= self._is_below
        if is_worse and reaches(self._sum / self._count, self._margin):
            return Verdict.BLOCK
        return Verdict.PASS if self._above.most[0] >= self._is_above else None


def difference_at_end(pairs: Pairs, *, margin: float) -> Difference:
    """Compare as `difference`, for a run that might have been stopped early but was not.

    What looking early may have cost is taken off the 5 %: the lower bound errs in 3 %, the upper in 4 %, and
    p-values are raised by 0.05 / 0.04. `holm` and `decide` take them as usual.
    """
    left = ALPHA - EARLY_BLOCK
    found = difference(pairs, margin=margin, alpha=left, bound_alpha=ALPHA - EARLY_PASS)
    return replace(found, p_worse=min(1.0, found.p_worse * ALPHA / left))


class Wealth:
    """Log wealth from betting that a mean (0 to 1) lies above each of some candidates.

    Attributes:
        most: The greatest log wealth so far, per candidate. A candidate is refuted, and every lower mean with
            it, when this reaches log(1 / alpha).
    """

    def __init__(self, means: Floats) -> None:
        import numpy as np

        self.most = np.zeros(len(means))
        self._now = np.zeros(len(means))
        self._means = means
        self._largest = LARGEST_BET / means
        self._count = 1
        self._sum: float | Floats = PRIOR_MEAN
        self._squares: float | Floats = PRIOR_VARIANCE

    def add(self, value: float | Floats) -> None:
        """Bet on what is known so far, then take the value; an array has one for each candidate."""
        import numpy as np

        mean, variance = self._sum / self._count, self._squares / self._count
        edge = mean - self._means
        bets = np.clip(edge / (variance + edge**2), 0.0, self._largest)
        self._now += np.log1p(bets * (value - self._means))
        np.maximum(self.most, self._now, out=self.most)
        self._count += 1
        self._sum = self._sum + value
        self._squares = self._squares + (value - self._sum / self._count) ** 2
