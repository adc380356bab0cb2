"""What is known of a run while it goes on: the scores of each test, and the means until then."""

from __future__ import annotations

import math
from collections import defaultdict

from evals.records import Evaluation
from evals.stats import QUANTILE


class Mean:
    """A mean that takes one value after the other (Welford 1962, Technometrics 4)."""

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Take a value."""
        self.count += 1
        before = value - self.value
        self.value += before / self.count
        self._squares += before * (value - self.value)

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval by the normal distribution: for watching, not for deciding."""
        if self.count < 2:
            return math.inf
        return QUANTILE * math.sqrt(self._squares / (self.count - 1) / self.count)


class Running:
    """Makes the scalars of one test after the other."""

    def __init__(self) -> None:
        self._count = 0
        self._unscored = 0
        self._scores: dict[str, Mean] = defaultdict(Mean)
        self._passed = Mean()

    def add(self, evaluation: Evaluation) -> dict[str, float]:
        """Give the scalars of a test; the first is `test/index`, its number from 0."""
        scalars = {"test/index": float(self._count)}
        self._count += 1
        scalars |= self._score(evaluation)
        outcome = evaluation.outcome
        self._unscored += outcome == "unscored"
        if outcome != "unscored":
            self._passed.add(float(outcome == "passed"))
            scalars |= _bounded("pass_rate", self._passed)
        used = evaluation.total
        return scalars | {
            "unscored": float(self._unscored),
            "seconds": sum(evaluation.seconds.values()),
            **{f"seconds/{stage}": seconds for stage, seconds in evaluation.seconds.items()},
            "tokens/evaluated": float(used.evaluated),
            "tokens/reused": float(used.reused),
            "tokens/generated": float(used.generated),
        }

    def _score(self, evaluation: Evaluation) -> dict[str, float]:
        scalars: dict[str, float] = {}
        for score in evaluation.scores:
            # No verdict is no number: the curve has a gap there.
            if score.value is not None and math.isfinite(score.value):
                mean = self._scores[score.metric]
                mean.add(score.value)
                scalars[f"score/{score.metric}"] = score.value
                scalars |= _bounded(f"mean/{score.metric}", mean)
        return scalars


def _bounded(name: str, mean: Mean) -> dict[str, float]:
    half = mean.half_width
    if half == math.inf:
        return {name: mean.value}
    return {
        name: mean.value,
        f"{name}/low": max(0.0, mean.value - half),
        f"{name}/high": min(1.0, mean.value + half),
    }
