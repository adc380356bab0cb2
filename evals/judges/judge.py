"""Readings: what is seen of an answer, claim by claim, before a score is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Judgement
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.tracing.conventions import INPUT, OUTPUT


@dataclass(frozen=True, slots=True)
class Reading:
    """What is seen of one claim, or of whatever else a metric goes through one by one.

    Attributes:
        text: The claim.
        value: From 0 to 1, higher is better, as the model says it; None when there is no verdict.
        features: Numbers a judge card weighs, by name; empty when there is no verdict.
        start: Character offset of the claim in the text it was taken from.
        end: Character offset behind it.
        closest: The part of the contexts that is closest to the claim.
        reason: Why there is no verdict.
        graded: False when the verdict was read from a word, not from probabilities.
        is_opposite: Whether the features speak for the opposite of `value`, as a decline does where there is
            an answer.
    """

    text: str
    value: float | None
    features: Mapping[str, float] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    closest: Context | None = None
    reason: str | None = None
    graded: bool = True
    is_opposite: bool = False


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings of one metric on one answer.

    Attributes:
        items: One reading a claim; empty when there is nothing to read.
        tokens: What they cost.
        reason: Why there is nothing to read.
    """

    items: tuple[Reading, ...] = ()
    tokens: Tokens = Tokens()
    reason: str | None = None


class Reader(Protocol):
    """Reads answers for a judge.

    What else it may say of itself is its `profile` (`rag_evals.rag.profile`).
    """

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a reading."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics it can read."""

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, Readings]:
        """Read `answer` for each of `metrics`, in the calling thread."""


def told_of(reading: Reading) -> dict[str, Any]:
    """Describe `reading` for a trace: the claim, and its value or why there is none."""
    return {
        INPUT: reading.text,
        OUTPUT: str(reading.reason if reading.value is None else reading.value),
        "evals.claim": reading.text,
        "evals.value": reading.value,
        "evals.closest": reading.closest.text if reading.closest else None,
    }


@runtime_checkable
class Judge(Protocol):
    """Scores answers. What else it may say of itself is its `profile` (`rag_evals.rag.profile`)."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a score."""

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that applies to `question`."""
