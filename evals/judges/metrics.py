"""The metrics: what a low score means, which questions each applies to, how raw scores become a score.

How a metric is read is the business of each judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import fmean
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.criteria.check import Check
from rag_evals.evals.judges.criteria.criterion import NAME, Criterion, is_answerable
from rag_evals.evals.questions.question import Question
from rag_evals.evals.retrieval.metric_names import is_retrieval_metric, parse_metric

# Least value that is no breach, where nothing else is said.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a judge says about an answer.

    Attributes:
        name: The metric's name in options, records and reports.
        breach: What a low score means, for the assertion's text.
        breach_if_unanswerable: The same for questions that the documents do not answer.
        applies: Tells whether it is asked of a question.
        total: Makes the score of the values of its raw scores.
        is_default: Whether it is part of a run that names no metrics.
        read_as: The metric whose reading it is made of, and whose calibration it has; its own if empty.
        of_contexts: Whether it is held against the contexts: without knowing them nothing can be said.
        own: The criterion or check of a project's own that it is; None for a bundled metric.
        threshold: Least value that is no breach, whatever a judge card says; None where the card may say it.
    """

    name: str
    breach: str
    applies: Callable[[Question], bool]
    total: Callable[[Sequence[float]], float] = fmean
    is_default: bool = False
    breach_if_unanswerable: str = ""
    read_as: str = ""
    of_contexts: bool = False
    own: Criterion | Check | None = None
    threshold: float | None = None

    @property
    def criterion(self) -> Criterion | None:
        """The criterion that it is; None for all others."""
        return self.own if isinstance(self.own, Criterion) else None

    @property
    def check(self) -> Check | None:
        """The check without a model that it is; None for what a judge scores."""
        return self.own if isinstance(self.own, Check) else None

    def complaint(self, question: Question) -> str:
        """Return what a low score means for an answer to `question`."""
        return self.breach if question.answerable else self.breach_if_unanswerable or self.breach


def _has_reference(question: Question) -> bool:
    return question.answerable and question.reference is not None


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "faithfulness",
                "is not supported by the contexts",
                is_answerable,
                total=min,
                is_default=True,
                of_contexts=True,
            ),
            Metric("relevancy", "does not answer the question", is_answerable, is_default=True),
            Metric(
                "refusal",
                "declines, though the documents answer this question",
                lambda _: True,
                is_default=True,
                breach_if_unanswerable="should have declined: the documents do not answer this question",
            ),
            Metric("context_relevancy", "is of no use for the question", is_answerable, of_contexts=True),
            Metric("context_recall", "is not found in the contexts", _has_reference, of_contexts=True),
            Metric("correctness", "does not agree with the reference", _has_reference, total=min),
            Metric(
                "citation_precision",
                "is not supported by what it cites",
                is_answerable,
                total=min,
                read_as="faithfulness",
                of_contexts=True,
            ),
            Metric(
                "citation_recall",
                "cites nothing that supports it",
                is_answerable,
                read_as="faithfulness",
                of_contexts=True,
            ),
        )
    }
)
DEFAULT_METRICS = tuple(name for name, metric in METRICS.items() if metric.is_default)


@dataclass(frozen=True, slots=True)
class MetricSet:
    """The metrics that a run can have: the bundled ones, and those of its own.

    Attributes:
        own: Those of its own, in their order.
        offered: Names of those that installed packages bring, which are loaded when they are asked for.
        takes_any: Whether any name is taken: in a process that does not see the tests, others look at them.
    """

    own: tuple[Metric, ...] = ()
    offered: tuple[str, ...] = ()
    takes_any: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them, in the order in which they are shown."""
        return tuple(dict.fromkeys((*METRICS, *(metric.name for metric in self.own), *self.offered)))

    @property
    def criteria(self) -> Mapping[str, Criterion]:
        """The criteria of its own, by name."""
        return {metric.name: metric.criterion for metric in self.own if metric.criterion}

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The least values that are no breach where nobody says another, by metric."""
        return dict.fromkeys((*METRICS, *(metric.name for metric in self.own)), DEFAULT_THRESHOLD)

    @property
    def set_thresholds(self) -> Mapping[str, float]:
        """Those that its own metrics say themselves, which count more than a judge card's."""
        return {metric.name: metric.threshold for metric in self.own if metric.threshold is not None}

    def of(self, chosen: Sequence[str]) -> tuple[Metric, ...]:
        """Return those of its own that are among the `chosen`."""
        return tuple(metric for metric in self.own if metric.name in chosen)

    def check(self, metric: str, problem: str) -> None:
        """Check that there is such a metric.

        Raises:
            UsageError: There is none: `problem`, and what was perhaps meant. Of metrics of retrieval what is
                wrong with the name.
        """
        if is_retrieval_metric(metric):
            parse_metric(metric)
        elif metric not in self.names and not (self.takes_any and NAME.fullmatch(metric)):
            hint = get_close_matches(metric, self.names, 1)
            tail = f", did you mean {hint[0]!r}?" if hint else f": known are {', '.join(self.names)}"
            raise UsageError(f"{problem}{tail}")


# The metrics of a run without any of its own.
BUNDLED = MetricSet()
# What a record speaks of was known to the run that wrote it.
RECORDED = MetricSet(takes_any=True)


def metrics_for(
    question: Question, chosen: Sequence[str] = DEFAULT_METRICS, known: MetricSet = BUNDLED
) -> tuple[Metric, ...]:
    """Return those of the `chosen` metrics that apply to `question`, in the order of `METRICS`, then others.

    An answer to a question that the documents cannot answer is right when it declines; whether it is
    faithful or relevant says nothing then.
    """
    bundled = [metric for name, metric in METRICS.items() if name in chosen]
    ours = [metric for metric in (*bundled, *known.of(chosen)) if metric.applies(question)]
    if question.answerable:
        ours += [_of_retrieval(name) for name in chosen if is_retrieval_metric(name)]
    return tuple(ours)


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of metrics, each once: the bundled ones in the order of `METRICS`, then others."""
    given = dict.fromkeys(names)
    return [*(name for name in METRICS if name in given), *(name for name in given if name not in METRICS)]


def _of_retrieval(name: str) -> Metric:
    return Metric(name, "did not find what answers the question", is_answerable, of_contexts=True)


def checked_thresholds(
    thresholds: Mapping[str, Any], where: str = "", known: MetricSet = BUNDLED
) -> Mapping[str, float]:
    """Return `thresholds` if every metric is known and every value is a number from 0 to 1.

    Raises:
        UsageError: A metric is unknown, or a value is wrong.
    """
    for metric, value in thresholds.items():
        known.check(metric, f"{where}unknown metric {metric!r} in a threshold")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"{where}threshold {metric} = {value!r} is not a number")
        if not 0 <= value <= 1:
            raise UsageError(f"{where}threshold {metric} = {value} is outside 0..1")
    return MappingProxyType(dict(thresholds))
