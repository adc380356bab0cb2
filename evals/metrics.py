"""The metrics: what each reads, what it asks and what it gives. A new one is one function and one entry.

Every pytest session imports this for the names; what reads answers is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from evals.errors import NoVerdict
from evals.questions import Question
from evals.readings import Reading

if TYPE_CHECKING:
    from evals.asking import Asker

# Least value that is no breach, where nothing else is said.
DEFAULT_THRESHOLD = 0.5

Read = Callable[["Asker"], Iterable[Reading]]


def faithfulness(asker: Asker) -> Iterable[Reading]:
    """Is each claim of the answer supported by the contexts? One reading a claim.

    Raises:
        NoVerdict: The answer declines and so claims nothing, or there are no contexts.
    """
    if not asker.evidence.sentences:
        raise NoVerdict("there are no contexts to hold the answer against")
    from evals.claims import split_claims

    if asker.is_decline:
        raise NoVerdict("the answer declines: it makes no claim")
    return asker.support(split_claims(asker.answer.text))


def relevancy(asker: Asker) -> Iterable[Reading]:
    """Does the answer answer the question? One reading, without contexts.

    Next to the passages the model tells whether *they* give the information; alone it looks at the reply.
    """
    return [asker.relevance]


def refusal(asker: Asker) -> Iterable[Reading]:
    """Does the answer decline exactly when the documents do not answer the question? One reading."""
    decline = asker.decline
    return [_opposite(decline) if asker.question.answerable else decline]


def context_relevancy(asker: Asker) -> Iterable[Reading]:
    """Is each retrieved context useful for the question? One reading a context.

    Raises:
        NoVerdict: There are no contexts.
    """
    from evals.asking import whole_of
    from evals.prompts import USEFUL

    if not asker.answer.contexts:
        raise NoVerdict("there are no contexts")
    return [
        asker.ask(USEFUL, whole_of(context.text), asker.asked, closest=context)
        for context in asker.answer.contexts
    ]


def context_recall(asker: Asker) -> Iterable[Reading]:
    """Is each claim of the reference found in the contexts? One reading a claim.

    Raises:
        NoVerdict: There are no contexts.
    """
    from evals.claims import split_claims

    if not asker.evidence.sentences:
        raise NoVerdict("there are no contexts to find the reference in")
    return asker.support(split_claims(asker.question.reference or ""))


def correctness(asker: Asker) -> Iterable[Reading]:
    """Does the answer agree with the reference? Nothing contradicted, nothing essential missing."""
    from evals.asking import whole_of
    from evals.prompts import CONTRADICTS, COVERS, plain

    reference = f"Reference answer: {plain(asker.question.reference or '')}\n"
    whole = whole_of(asker.answer.text)
    return [asker.ask(wording, whole, asker.asked, reference) for wording in (CONTRADICTS, COVERS)]


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a judge says about an answer.

    Attributes:
        read: Reads an answer with the yes/no model.
        breach: What a low score means, for the assertion's text.
        breach_if_unanswerable: The same for questions that the documents do not answer.
        applies: Tells whether it is asked of a question.
        total: Makes the score of the values of its readings.
        is_default: Whether it is part of a run that names no metrics.
    """

    read: Read
    breach: str
    applies: Callable[[Question], bool]
    total: Callable[[Sequence[float]], float] = fmean
    is_default: bool = False
    breach_if_unanswerable: str = ""

    @property
    def name(self) -> str:
        """The metric's name in options, records and reports."""
        return self.read.__name__

    def complaint(self, question: Question) -> str:
        """Say what a low score means for an answer to `question`."""
        return self.breach if question.answerable else self.breach_if_unanswerable or self.breach


def _is_answerable(question: Question) -> bool:
    return question.answerable


def _has_reference(question: Question) -> bool:
    return question.answerable and question.reference is not None


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                faithfulness, "is not supported by the contexts", _is_answerable, total=min, is_default=True
            ),
            Metric(relevancy, "does not answer the question", _is_answerable, is_default=True),
            Metric(
                refusal,
                "declines, though the documents answer this question",
                lambda _: True,
                is_default=True,
                breach_if_unanswerable="should have declined: the documents do not answer this question",
            ),
            Metric(context_relevancy, "is of no use for the question", _is_answerable),
            Metric(context_recall, "is not found in the contexts", _has_reference),
            Metric(correctness, "does not agree with the reference", _has_reference, total=min),
        )
    }
)
DEFAULT_METRICS = tuple(name for name, metric in METRICS.items() if metric.is_default)


def metrics_for(question: Question, chosen: Sequence[str] = DEFAULT_METRICS) -> tuple[Metric, ...]:
    """Give those of the `chosen` metrics that apply to `question`, in the order of `METRICS`.

    An answer to a question that the documents cannot answer is right when it declines; whether it is
    faithful or relevant says nothing then.
    """
    return tuple(METRICS[name] for name in METRICS if name in chosen and METRICS[name].applies(question))


def _opposite(reading: Reading) -> Reading:
    if reading.value is None:
        return reading
    return replace(reading, value=1.0 - reading.value, is_opposite=not reading.is_opposite)
