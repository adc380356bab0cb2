"""Noise and flaky questions: the evaluations of each question in one run or in many, like with like.

It is measured again only with the same pipeline, judge (by their fingerprints) and question.
What was taken from the cache was measured before, and counts once.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from rag_evals.evals.judges.metrics import in_order
from rag_evals.evals.runs.evaluation import ANSWER, SCORES, Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import is_below
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is kept of an evaluation: enough to compare it with others, without its texts.

    Attributes:
        repeat: Which repeat of its run it is.
        answer: Identity of the answer and its passages; None without an answer.
        values: Values by metric: that which counts, then those of further judgings; None without a verdict.
        thresholds: Least value that is no breach, by metric.
        is_error: Whether the pipeline raised.
        is_answered: Whether it is an answering of its own, not one that was measured before.
        is_judged: Whether it is a judging of its own.
    """

    repeat: int
    answer: str | None
    values: Mapping[str, tuple[float | None, ...]]
    thresholds: Mapping[str, float]
    is_error: bool
    is_answered: bool
    is_judged: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What was measured of one question with one pipeline and one judge.

    Attributes:
        pipeline: Name of the pipeline.
        question: Id of the question.
        version: Stands for the pipeline and the judge as they were.
        measurements: The measurements, oldest first, each once.
    """

    pipeline: str
    question: str
    version: str
    measurements: tuple[Measurement, ...]

    @property
    def is_repeated(self) -> bool:
        """Whether anything was measured more than once."""
        return len(self.measurements) > 1 or any(
            len(values) > 1 for m in self.measurements for values in m.values.values()
        )

    @property
    def is_agreed(self) -> bool:
        """Whether every measurement gave the same, to the last digit."""
        seen: dict[str, set[float | None]] = {}
        for measurement in self.measurements:
            for metric, values in measurement.values.items():
                seen.setdefault(metric, set()).update(values)
        return len({m.is_error for m in self.measurements}) <= 1 and all(len(v) == 1 for v in seen.values())


def groups_of(evaluations: Iterable[Evaluation]) -> tuple[Group, ...]:
    """Group the evaluations of one run, sorted by pipeline and question."""
    return _grouped(("", evaluation) for evaluation in evaluations)


def groups_of_runs(runs: Iterable[Run]) -> tuple[Group, ...]:
    """Group the evaluations of runs without holding more than one of them; the newest run comes last."""
    return _grouped(_read(sorted(runs, key=lambda run: run.name)))


def _read(runs: Iterable[Run]) -> Iterator[tuple[str, Evaluation]]:
    """Yield each evaluation once, with its version: a merged run has the very lines of its parts."""
    seen: set[bytes] = set()
    for number, run in enumerate(runs):
        version_of = _versions(run, number)
        for line, evaluation in run.records.evaluations():
            mark = hashlib.sha256(line.text.encode(errors="surrogatepass")).digest()
            if mark not in seen:
                seen.add(mark)
                yield version_of(evaluation.pipeline), evaluation


def _versions(run: Run, number: int) -> Callable[[str], str]:
    """Return what tells by fingerprints the pipeline and judge of a run; without any it is like no other."""
    judges = _fingerprints(run.judges)

    @cache
    def version_of(pipeline: str) -> str:
        prints = _fingerprints(one for one in run.pipelines if one.name == pipeline)
        return digest([prints, judges] if prints and judges else number)

    return version_of


def _fingerprints(components: Iterable[ComponentInfo]) -> list[str]:
    return sorted({one.fingerprint for one in components})


def _grouped(evaluations: Iterable[tuple[str, Evaluation]]) -> tuple[Group, ...]:
    found: dict[tuple[str, str, str, str], list[Measurement]] = {}
    for version, evaluation in evaluations:
        if evaluation.is_retrieval:
            continue  # another measurement, and an exact one
        question = evaluation.question
        asked = digest([question.question, question.reference, question.answerable])
        key = (evaluation.pipeline, question.id, version, asked)
        found.setdefault(key, []).append(_measurement(evaluation))
    return tuple(
        Group(pipeline, question, version, _settled(found[pipeline, question, version, asked]))
        for pipeline, question, version, asked in sorted(found)
    )


def _measurement(evaluation: Evaluation) -> Measurement:
    return Measurement(
        repeat=evaluation.repeat,
        answer=_identity(evaluation.answer) if evaluation.answer else None,
        values={s.metric: tuple(map(_finite, (s.value, *s.repeats))) for s in evaluation.scores},
        thresholds=evaluation.thresholds,
        is_error=bool(evaluation.error),
        is_answered=ANSWER not in evaluation.cached,
        is_judged=SCORES not in evaluation.cached,
    )


def _identity(answer: Answer) -> str:
    return digest([answer.text, answer.finished, [context.text for context in answer.contexts]])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _settled(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Leave out replays of what is there.

    What was taken from the cache is a measurement of a run that is not among these when nothing here could
    be what it replays; it counts once.
    """
    found = list(measurements)
    answered = {(m.repeat, m.answer) for m in found if m.is_answered}
    judged = {(m.repeat, m.answer) for m in found if m.is_judged}
    kept = []
    for one in found:
        place = (one.repeat, one.answer)
        is_answered = one.is_answered or place not in answered
        is_judged = one.is_judged or place not in judged
        answered.add(place)
        judged.add(place)
        if is_answered or is_judged:
            kept.append(replace(one, is_answered=is_answered, is_judged=is_judged))
    return tuple(kept)


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
    """Return the noise of each metric that was scored, in the order in which metrics are shown."""
    used = {metric for group in groups for m in group.measurements for metric in m.values}
    return tuple(_noise(name, groups) for name in in_order(sorted(used)))


def flaky_questions(groups: Iterable[Group]) -> tuple[Flaky, ...]:
    """Return the questions that both passed and failed: those that flip most evenly first.

    All measurements of a question are held to the thresholds of the newest, in the metrics that all of them
    have: a threshold that was raised flips nothing.
    """
    found = [flaky for group in groups if (flaky := _flaky(group))]
    return tuple(sorted(found, key=lambda f: (abs(f.passed - 0.5), -f.count, f.pipeline, f.question)))


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
    """Return all values of each answer of a group."""
    found: dict[str | None, list[float]] = {}
    for measurement in group.measurements:
        values = [value for value in measurement.values.get(metric, ()) if value is not None]
        if measurement.is_judged and values:
            found.setdefault(measurement.answer, []).extend(values)
    return found


def _squares(values: Sequence[float]) -> float:
    """Return the sum of squared distances from the mean; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _deviation(squares: float, freedom: int) -> float | None:
    return math.sqrt(max(0.0, squares) / freedom) if freedom else None


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
    """Return whether a measurement holds; None without a verdict."""
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
