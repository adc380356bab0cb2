"""Turns of conversations: each is answered once in a run, for itself and for the turns behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass

from rag_evals.evals.engine.reuse import KeyedResult
from rag_evals.evals.engine.task import Task
from rag_evals.rag.answer import Answer, replays
from rag_evals.rag.llm.deadline import current

# Makes an answer, or has it from before.
Answers = Callable[[Task], Awaitable[KeyedResult[Answer]]]


class NoAnswerError(Exception):
    """Raised where the answer to a turn was given up before it was there."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn that was asked.

    Attributes:
        attempt: Which attempt of its test asked it.
        answer: What it gave, will give, or why there is nothing.
    """

    attempt: int
    answer: Future[Answer]


class Turns:
    """The turns that were asked, by pipeline, question and repeat; of a test that ran again the last attempt.

    Args:
        answers: Makes the answers.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._asked: dict[tuple[object, ...], _Turn] = {}

    def forget_waiting(self) -> None:
        """Forget what has no answer yet: it is given up, with the loop that it was asked on."""
        self._asked = {key: turn for key, turn in self._asked.items() if turn.answer.done()}

    def attempt(self, task: Task) -> int | None:
        """Return the attempt that the turn was asked in last; None where it was not asked."""
        known = self._asked.get(_key(task))
        return known.attempt if known else None

    def take(self, task: Task, answer: Answer) -> None:
        """Take an answer that was recorded before, in a run that goes on."""
        if task.question.conversation is not None:
            self._begun(task).set_result(answer)

    async def answer(self, task: Task) -> KeyedResult[Answer]:
        """Return the answer to a question; one that a turn gave is given again.

        Raises:
            Exception: Whatever the pipeline raises, then and again.
        """
        # An answer of a log is read again where it is wanted: kept, a log would have to fit into memory.
        if task.question.conversation is None or replays(task.pipeline):
            return await self._answers(task)
        known = self._asked.get(_key(task))
        if known and known.attempt >= task.attempt:
            # Shielded: one that waits no longer does not end it for the others.
            answer = await asyncio.shield(asyncio.wrap_future(known.answer))
            return KeyedResult(answer, task.answer_key, is_cached=True)
        answered = self._begun(task)
        try:
            made = await self._answers(task)
        except BaseException as error:
            answered.set_exception(_given_up() if isinstance(error, asyncio.CancelledError) else error)
            raise
        answered.set_result(made.value)
        return made

    def _begun(self, task: Task) -> Future[Answer]:
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()  # those who wait cannot cancel it
        self._asked[_key(task)] = _Turn(task.attempt, answer)
        return answer


def _key(task: Task) -> tuple[object, ...]:
    return (id(task.pipeline), task.name, task.question.conversation, task.question.turn, task.repeat)


def _given_up() -> NoAnswerError:
    """Return why a turn has no answer whose asking was ended."""
    bound = current()
    is_over = bound.left == 0.0 and bound.seconds is not None
    return NoAnswerError(
        f"there is no answer{f' within {bound.seconds:g} s' if is_over else ': it was given up'}"
    )
