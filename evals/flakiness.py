"""How much the same question wavers when answered again, and the same answer when judged again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from evals.measurements import Group, Measurement
from evals.metrics import METRICS
from evals.records import is_below


@dataclass(frozen=True, slots=True)
class Noise:
    """How much one metric wavers: standard deviations, pooled over what was measured more than once.

    Attributes:
        metric: The metric.
        judge: Within answers: how far judgings of the same answer lie apart; None when none was judged twice.
        judged: Answers that were judged more than once.
        pipeline: Between answers to the same question, each with the mean of its judgings. What the judge's
            noise adds to such means is taken off, where it is known (the method of moments for a one-way
            layout with random effects). None when no question was answered twice.
        answered: Questions that were answered more than once.
    """

    metric: str
    judge: float | None
    judged: int
    pipeline: float | None
    answered: int


@dataclass(frozen=True, slots=True)
class Flaky:
    """A question whose verdict flips.

    Attributes:
        pipeline: Name of the pipeline.
        question: Id of the question.
        version: Stands for the pipeline and the judge as they were.
        count: Measurements that have a verdict.
        passed: The share of them that passed.
        spreads: Least and greatest value by metric.
    """

    pipeline: str
    question: str
    version: str
    count: int
    passed: float
    spreads: Mapping[str, tuple[float, float]]


def noise_of(groups: Sequence[Group]) -> tuple[Noise, ...]:
    """Give the noise of each metric that was scored, in the order in which metrics are shown."""
    used = {metric: None for group in groups for m in group.measurements for metric in m.values}
    names = [*(name for name in METRICS if name in used), *sorted(used.keys() - METRICS.keys())]
    return tuple(_noise(name, groups) for name in names)


def flaky_questions(groups: Iterable[Group]) -> tuple[Flaky, ...]:
    """Give the questions that both passed and failed: those that flip most evenly first.

    All measurements of a question are held to the thresholds of the newest, in the metrics that all of them
    have: a threshold that was raised flips nothing.
    """
    found = [flaky for group in groups if (flaky := _flaky(group))]
    return tuple(sorted(found, key=lambda f: (abs(f.passed - 0.5), -f.count, f.pipeline, f.question)))


# --- noise ---


def _noise(metric: str, groups: Sequence[Group]) -> Noise:
    by_group = [(group, _judgings(metric, group)) for group in groups]
    twice = [values for _, judged in by_group for values in judged.values() if len(values) > 1]
    judge = _deviation(sum(map(_squares, twice)), sum(len(values) - 1 for values in twice))
    squares, freedom, answered = 0.0, 0, 0
    for group, judged in by_group:
        times = Counter(m.answer for m in group.measurements if m.is_answered and m.answer in judged)
        count = times.total()
        if count > 1:
            means = {answer: fmean(judged[answer]) for answer in times}
            squares += _squares([means[answer] for answer in times.elements()])
            # The variance that judging leaves in a mean, as often as the mean is there.
            left = (n * (1 - n / count) / len(judged[answer]) for answer, n in times.items())
            squares -= (judge or 0.0) ** 2 * sum(left)
            freedom += count - 1
            answered += 1
    return Noise(metric, judge, len(twice), _deviation(squares, freedom), answered)


def _judgings(metric: str, group: Group) -> dict[str | None, list[float]]:
    """Give all values of each answer of a group."""
    found: dict[str | None, list[float]] = {}
    for measurement in group.measurements:
        values = [value for value in measurement.values.get(metric, ()) if value is not None]
        if measurement.is_judged and values:
            found.setdefault(measurement.answer, []).extend(values)
    return found


def _squares(values: Sequence[float]) -> float:
    """Give the sum of squared distances from the mean; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _deviation(squares: float, freedom: int) -> float | None:
    return math.sqrt(max(0.0, squares) / freedom) if freedom else None


# --- flips ---


def _flaky(group: Group) -> Flaky | None:
    verdicts = [v for v in _verdicts(group.measurements) if v is not None]
    if not 0 < sum(verdicts) < len(verdicts):
        return None
    passed = sum(verdicts) / len(verdicts)
    return Flaky(group.pipeline, group.question, group.version, len(verdicts), passed, _spreads(group))


def _verdicts(measurements: Sequence[Measurement]) -> list[bool | None]:
    scored = [m for m in measurements if not m.is_error]
    if not scored:
        return [False for _ in measurements]
    newest = scored[-1]
    shared = [metric for metric in newest.values if all(metric in m.values for m in scored)]
    held = {metric: newest.thresholds.get(metric, 0.0) for metric in shared}
    return [_is_passed(measurement, held) for measurement in measurements]


def _is_passed(measurement: Measurement, thresholds: Mapping[str, float]) -> bool | None:
    """Tell whether a measurement holds; None without a verdict."""
    if measurement.is_error:
        return False
    values = [(measurement.values[metric][0], least) for metric, least in thresholds.items()]
    if any(is_below(value, least) for value, least in values):
        return False
    return None if not values or any(value is None for value, _ in values) else True


def _spreads(group: Group) -> dict[str, tuple[float, float]]:
    found: dict[str, list[float]] = {}
    for measurement in group.measurements:
        for metric, values in measurement.values.items():
            found.setdefault(metric, []).extend(value for value in values if value is not None)
    return {metric: (min(values), max(values)) for metric, values in found.items() if values}
