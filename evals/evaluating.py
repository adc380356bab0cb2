"""One evaluation: ask the pipeline, then the judge, and make a record of whatever comes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from operator import add
from typing import Protocol

from evals.errors import UsageError
from evals.metrics import metrics_for
from evals.records import Evaluation, Judgement, Score
from evals.remembering import ANSWER, SCORES, Remembering, Task
from evals.secrets import masked_text
from rag.answer import Answer
from rag.errors import RemoteError
from rag.llm.deadline import deadline


class Watcher(Protocol):
    """Is told what the engine is at, in the engine's thread."""

    def started(self, pipeline: str, question_id: str) -> None:
        """Note that an evaluation begins."""

    def stage(self, name: str) -> None:
        """Note what it is at."""

    def finished(self, evaluation: Evaluation) -> None:
        """Note that it is there."""


class _Trouble(Exception):
    """Says why there is no answer or no judgement; never leaves this module."""

    def __init__(self, reason: str, *, is_error: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_error = is_error


async def evaluate(
    task: Task, remembering: Remembering, *, seconds: float | None = None, watcher: Watcher | None = None
) -> Evaluation:
    """Get the answer and its judgement, made now or before; thresholds are none of its business.

    Whatever the pipeline raises becomes the evaluation's `error`; whatever the judge raises, a model's server
    that does not answer, or the end of the time leaves the scores unscored with that reason. One question's
    trouble is never another's: not even `SystemExit`, which would end the engine's thread and leave every
    later test waiting.

    Args:
        task: What is evaluated.
        remembering: Has what was made before.
        seconds: What the question may take in all; None for no bound.
        watcher: Is told of the stages.

    Raises:
        UsageError: The pipeline or the judge cannot be loaded.
    """
    until = None if seconds is None else asyncio.get_running_loop().time() + seconds
    if watcher:
        watcher.started(task.name, task.question.id)
    with deadline(seconds):
        evaluation = await _evaluation(task, remembering, until, seconds, watcher)
    if watcher:
        watcher.finished(evaluation)
    return evaluation


async def _evaluation(
    task: Task, remembering: Remembering, until: float | None, seconds: float | None, watcher: Watcher | None
) -> Evaluation:
    try:
        if watcher:
            watcher.stage("answer")
        answer, is_old = await _answer(task, remembering, until, seconds)
    except _Trouble as trouble:
        error = trouble.reason if trouble.is_error else None
        scores = _unscored(task, "there is no answer" if trouble.is_error else trouble.reason)
        return Evaluation(task.question, task.name, None, scores, {}, repeat=task.repeat, error=error)
    try:
        if watcher:
            watcher.stage("judge")
        judgement, is_judged = await _judged(task, remembering, answer, until, seconds)
    except _Trouble as trouble:
        judgement, is_judged = Judgement(_unscored(task, trouble.reason)), False
    cached = (*([ANSWER] if is_old else []), *([SCORES] if is_judged else []))
    return evaluation_of(task, answer, judgement, cached=cached)


def evaluation_of(
    task: Task, answer: Answer, judgement: Judgement, *, cached: tuple[str, ...] = ()
) -> Evaluation:
    """Put an answer and its judgement together."""
    return Evaluation(
        question=task.question,
        pipeline=task.name,
        answer=answer,
        # Without a score nothing could be below its threshold: the question would pass without a verdict.
        scores=judgement.scores or _unscored(task, "the judge gave no score"),
        thresholds={},
        seconds={**answer.seconds, "judge": judgement.seconds},
        tokens={**answer.tokens, "judge": judgement.tokens},
        repeat=task.repeat,
        cached=cached,
        judged=judgement.parts,
    )


async def _answer(
    task: Task, remembering: Remembering, until: float | None, seconds: float | None
) -> tuple[Answer, bool]:
    bound = asyncio.timeout_at(until)
    try:
        async with bound:
            return await remembering.answer(task)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # the system under test may raise anything
        if bound.expired():
            raise _Trouble(f"there is no answer within {seconds:g} s") from error
        if isinstance(error, RemoteError):
            raise _Trouble(masked_text(f"there is no answer: {error}")) from error
        raise _Trouble(_named(error), is_error=True) from error


async def _judged(
    task: Task, remembering: Remembering, answer: Answer, until: float | None, seconds: float | None
) -> tuple[Judgement, bool]:
    """Judge `answer` as many times as the task says; the first judging counts, the others tell its noise."""
    first, is_old = await _judgement(task, remembering, answer, until, seconds)
    for judging in range(1, task.judgings):
        more, is_known = await _judgement(task, remembering, answer, until, seconds, judging)
        first, is_old = _with(first, more), is_old and is_known
    return first, is_old


def _with(first: Judgement, more: Judgement) -> Judgement:
    values = {score.metric: score.value for score in more.scores}
    scores = tuple(replace(s, again=(*s.again, values.get(s.metric))) for s in first.scores)
    members = tuple(map(add, first.members, more.members))
    return Judgement(scores, first.seconds + more.seconds, first.tokens + more.tokens, members)


async def _judgement(
    task: Task,
    remembering: Remembering,
    answer: Answer,
    until: float | None,
    seconds: float | None,
    judging: int = 0,
) -> tuple[Judgement, bool]:
    bound = asyncio.timeout_at(until)
    try:
        async with bound:
            return await remembering.judgement(task, answer, judging=judging)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a judge that fails has given no verdict
        if bound.expired():
            raise _Trouble(f"there is no verdict within {seconds:g} s") from error
        raise _Trouble(f"the judge raised {_named(error)}") from error


def _unscored(task: Task, reason: str) -> tuple[Score, ...]:
    applying = metrics_for(task.question, task.metrics)
    return tuple(Score(metric.name, None, reason=reason) for metric in applying)


def _named(error: BaseException) -> str:
    # What a client raises may quote the request, with its key.
    return masked_text(f"{type(error).__name__}: {error}") if str(error) else type(error).__name__
