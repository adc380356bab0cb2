"""What was measured of each question: the evaluations of a run or of many, each once, like with like.

It is measured again only with the same pipeline, judge (by their fingerprints) and question.
What was taken from the cache was measured before, and counts once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evals.records import Evaluation, evaluation_from_json
from evals.remembering import ANSWER, SCORES
from rag.answer import Answer
from rag.identity import digest

if TYPE_CHECKING:
    from evals.runs import Run


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
    """Give each evaluation once, with its version: a merged run has the very lines of its parts."""
    seen: set[bytes] = set()
    for number, run in enumerate(runs):
        versions = _Versions(run, number)
        for line, event in run.records.events():
            if event["type"] == "evaluation":
                mark = hashlib.sha256(line.encode(errors="surrogatepass")).digest()
                if mark not in seen:
                    seen.add(mark)
                    yield versions.of(event["pipeline"]), evaluation_from_json(event)


class _Versions:
    """Tells by fingerprints what pipeline and judge were in a run; without any, that it is like no other."""

    def __init__(self, run: Run, number: int) -> None:
        self._number = number
        self._judges = _fingerprints(run.judges)
        self._run = run
        self._known: dict[str, str] = {}

    def of(self, pipeline: str) -> str:
        if pipeline not in self._known:
            prints = _fingerprints(a for a in self._run.pipelines if a["name"] == pipeline)
            is_known = bool(prints and self._judges)
            self._known[pipeline] = digest([prints, self._judges] if is_known else self._number)
        return self._known[pipeline]


def _fingerprints(abouts: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({str(about["fingerprint"]) for about in abouts})


def _grouped(evaluations: Iterable[tuple[str, Evaluation]]) -> tuple[Group, ...]:
    found: dict[tuple[str, str, str, str], list[Measurement]] = {}
    for version, evaluation in evaluations:
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
        values={s.metric: tuple(map(_finite, (s.value, *s.again))) for s in evaluation.scores},
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
