"""Tasks: one question to one pipeline, to be judged by one judge; and calls that its test is to make."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import Any

from rag_evals.evals.judges.criteria.check import Check
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.judges.metrics import BUNDLED, Metric, MetricSet, metrics_for
from rag_evals.evals.questions.question import Question, messages_to_json
from rag_evals.evals.retrieval.metric_names import is_retrieval_metric
from rag_evals.rag.answer import HISTORY_VERSION, Answer, Context, Message, Pipeline, replays
from rag_evals.rag.identity import digest

Call = Callable[[], Coroutine[Any, Any, Any]]
# Gives the least values that are no breach, by metric, of a question whose breaches are to be explained.
Explained = Callable[[Question], Mapping[str, float]]


class CallsInTest:
    """Calls that the engine hands to the test, which makes them while it waits for its evaluation."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Call, contextvars.Context, Future[Any]]] = SimpleQueue()

    async def made(self, call: Call) -> Any:
        """Return what a call gives that the test makes.

        Raises:
            Exception: Whatever it raises.
        """
        future: Future[Any] = Future()
        self._calls.put((call, contextvars.copy_context(), future))
        return await asyncio.wrap_future(future)

    def make(self) -> None:
        """Make the calls that are waiting, in this thread, which has no loop."""
        for call, context, future in self._waiting():
            context.run(asyncio.run, _settle(call, future))

    async def make_here(self) -> None:
        """Make the calls that are waiting, on this loop."""
        for call, context, future in self._waiting():
            await asyncio.get_running_loop().create_task(_settle(call, future), context=context)

    def _waiting(self) -> list[tuple[Call, contextvars.Context, Future[Any]]]:
        found = []
        while True:
            try:
                found.append(self._calls.get_nowait())
            except Empty:
                return [one for one in found if one[2].set_running_or_notify_cancel()]


async def _settle(call: Call, future: Future[Any]) -> None:
    """Make a call; what it gives, or raises, is the engine's, which waits for it. No exit ends the test."""
    try:
        result = await call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the system under test may raise anything
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where another process finds pipeline and judge: what the fixtures of a test gave.

    Attributes:
        test: The test function and its pipeline.
        pipeline: Name of the fixture that gave the pipeline.
        judge: Name of the one that gave the judge; None for the judge of retrieval.
        problem: Why no other process can have them; "" where they can be had.
    """

    test: str
    pipeline: str
    judge: str | None
    problem: str = ""


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
        explains: Whose breaches are to be explained; None where none are.
        calls: Takes the calls of a pipeline that is asked in the test; None where it is asked by the engine.
        earlier: The turns of the question's conversation before it, in their order: with what the pipeline
            answers to them they become the question's history.
        known: The metrics that there are.
        origin: Where pipeline and judge come from; None where they are wanted here alone.
    """

    pipeline: Pipeline
    question: Question
    judge: Judge
    metrics: tuple[str, ...]
    name: str
    repeat: int = 0
    attempt: int = 0
    judgings: int = 1
    explains: Explained | None = None
    calls: CallsInTest | None = None
    earlier: tuple[Question, ...] = ()
    known: MetricSet = BUNDLED
    origin: Origin | None = None

    @cached_property
    def applying(self) -> tuple[Metric, ...]:
        """Those of the metrics that apply to the question."""
        return metrics_for(self.question, self.metrics, self.known)

    @cached_property
    def judged(self) -> tuple[Metric, ...]:
        """Those that the judge scores."""
        return tuple(metric for metric in self.applying if metric.check is None)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Those that are checks without a model, which no judge is asked for."""
        return tuple(metric.check for metric in self.applying if metric.check)

    @cached_property
    def has_checks(self) -> bool:
        """Whether any of its metrics is a check, asked of its question or not."""
        return any(metric.check for metric in self.known.of(self.metrics))

    @property
    def is_retrieval(self) -> bool:
        """Whether what is retrieved is scored, and no answer."""
        return any(map(is_retrieval_metric, self.metrics))

    @cached_property
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
        """The identity of its answer; what is there already is told apart by the id of its question."""
        question = self.question
        own = [question.id] if replays(self.pipeline) else []
        parts = [self.pipeline.fingerprint, question.question, self.turn, *said_before(question), *own]
        return digest(parts)


def said_before(question: Question) -> list[Any]:
    """Return what the history of a question adds to identities; nothing where there is none."""
    return [[HISTORY_VERSION, messages_to_json(question.history)]] if question.history else []


def with_turn(question: Question, answer: Answer) -> tuple[Message, ...]:
    """Return the history of the turn behind `question`, to which `answer` was given."""
    return (*question.history, Message("user", question.question), Message("assistant", answer.text))


def behind(task: Task, question: Question, history: tuple[Message, ...]) -> Task:
    """Return the task that asks `question` behind `history`, or behind the history that it has itself."""
    return replace(task, question=replace(question, history=question.history or history), earlier=())


def with_known_history(task: Task, known: Callable[[Task], Answer | None]) -> Task | None:
    """Return a task with what was said before its question, where each answer to an earlier turn is known."""
    history: tuple[Message, ...] = ()
    for question in task.earlier:
        before = behind(task, question, history)
        answer = known(before)
        if answer is None:
            return None
        history = with_turn(before.question, answer)
    return behind(task, task.question, history) if history else task


def written_key(task: Task, writing: str, contexts: Sequence[Context]) -> str:
    """Return the identity of what a pipeline writes from `contexts`, by what changes its writing."""
    texts = [context.text for context in contexts]
    question = task.question
    return digest([writing, question.question, texts, task.turn, *said_before(question)])
