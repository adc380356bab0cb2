"""Judges: the protocol that every judge follows; one file a judge beside it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from evals.questions import Question
from evals.records import Judgement
from rag.answer import Answer


@runtime_checkable
class Judge(Protocol):
    """Scores answers. What else it may say of itself is its `profile` (`rag.profile`)."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a score."""

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that applies to `question`."""
