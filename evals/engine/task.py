"""Tasks: one question to one pipeline, to be judged by one judge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Pipeline
from rag_evals.rag.identity import digest


@dataclass(frozen=True)
class Task:
    """One evaluation to be made.

    Attributes:
        pipeline: What is asked.
        question: The question.
        judge: What scores the answer.
        metrics: Names of the metrics to score, as far as they apply to the question.
        name: Name of the pipeline in records and reports.
        repeat: 0 for the first time that the question is put in a run; a repeat is never a replay.
        attempt: 0 for the first time that its test runs; a rerun of a test is no replay either.
        judgings: How many times the answer is judged.
    """

    pipeline: Pipeline
    question: Question
    judge: Judge
    metrics: tuple[str, ...]
    name: str
    repeat: int = 0
    attempt: int = 0
    judgings: int = 1

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same task as another one of this process."""
        question = self.question
        return (id(self.pipeline), id(self.judge), self.name, question.id, question.question, self.turn)

    @property
    def turn(self) -> int | tuple[int, int]:
        """What tells it from other times that the question is put: the repeat, and any further attempt."""
        return (self.repeat, self.attempt) if self.attempt else self.repeat

    @cached_property
    def answer_key(self) -> str:
        """The identity of its answer."""
        return digest([self.pipeline.fingerprint, self.question.question, self.turn])
