"""One evaluation: ask the pipeline, then the judge, and make a record of whatever comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, Protocol, TypeVar

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import quoted
from rag_evals.evals.engine.order.turns import Answers, NoAnswerError, Turns
from rag_evals.evals.engine.reuse import KeyedResult, ReuseCache, scores_key
from rag_evals.evals.engine.task import Task, behind, with_turn
from rag_evals.evals.judges.criteria.check import check_scores
from rag_evals.evals.judges.metrics import Metric
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import ANSWER, SCORES, Evaluation
from rag_evals.evals.runs.masking import masked_text
from rag_evals.evals.runs.score import Judgement, Score, is_below
from rag_evals.rag.answer import Answer, Message, Tokens
from rag_evals.rag.errors import ModelDiedError, RemoteError
from rag_evals.rag.llm.deadline import Deadline, deadline

T = TypeVar("T")
NO_CONTEXTS = "the log has no contexts"


class Watcher(Protocol):
    """Is told what the engine is at, in the engine's thread."""

    def started(self, pipeline: str, question_id: str) -> None:
        """Note that an evaluation begins."""

    def stage(self, name: str) -> None:
        """Note what it is at."""

    def waiting(self, seconds: float) -> None:
        """Note that a server is to be left alone for so long; it is told in any thread."""

    def gave_up(self, reason: str) -> None:
        """Note that a model is not to be had any more: the evaluations to come need not be begun."""

    def finished(self, evaluation: Evaluation) -> None:
        """Note that it is there."""


class NoHistoryError(Exception):
    """Raised where an earlier turn of a conversation has no answer; says which, and why."""


class _Trouble(Exception):
    """Says why there is no answer or no judgement; never leaves this module."""

    def __init__(self, reason: str, *, is_error: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_error = is_error


async def evaluate(
    task: Task,
    reuse_cache: ReuseCache,
    *,
    seconds: float | None = None,
    latest: float | None = None,
    watcher: Watcher | None = None,
    answers: Answers | None = None,
) -> Evaluation:
    """Get the answer and its judgement, made now or before; thresholds are none of its business.

    Whatever the pipeline raises becomes the evaluation's `error`; whatever the judge raises, a model's server
    that does not answer, or the end of the time leaves the scores unscored with that reason. One question's
    trouble is never another's: not even `SystemExit`, which would end the engine's thread and leave every
    later test waiting.

    Args:
        task: What is evaluated.
        reuse_cache: Has what was made before.
        seconds: What the question may take in all, but for waits that a server asks for; None for no bound.
        latest: When it has to end in any case, in seconds of `time.monotonic`; None for no such bound.
        watcher: Is told of the stages.
        answers: Makes the answer; by default the cache does.

    Raises:
        UsageError: The pipeline or the judge cannot be loaded.
    """
    if watcher:
        watcher.started(task.name, task.question.id)
    with deadline(seconds, latest=latest, on_wait=watcher.waiting if watcher else None) as bound:
        evaluation = await _evaluation(task, reuse_cache, answers or reuse_cache.answer, bound, watcher)
    if watcher:
        watcher.finished(evaluation)
    return evaluation


async def _evaluation(
    task: Task, reuse_cache: ReuseCache, answers: Answers, bound: Deadline, watcher: Watcher | None
) -> Evaluation:
    try:
        if watcher:
            watcher.stage("answer")
        answer = await _within(bound, answers(task), "answer", _unanswered)
    except _Trouble as trouble:
        _report_end(trouble, watcher)
        if trouble.is_error:
            return _unanswered_task(task, "there is no answer", error=trouble.reason)
        return _unanswered_task(task, trouble.reason)
    try:
        if watcher:
            watcher.stage("judge")
        judgement = await _judged(task, reuse_cache, answer.value, bound)
    except _Trouble as trouble:
        _report_end(trouble, watcher)
        unscored = Judgement(_unscored(task.judged, trouble.reason))
        judgement = KeyedResult(unscored, scores_key(task, answer.value))
    evaluation = evaluation_of(task, answer, judgement)
    if task.has_checks:
        evaluation = await _checked(task, answer.value, evaluation, bound)
    if task.explains is None:
        return evaluation
    return await _explained(task, reuse_cache, answer.value, evaluation, bound)


def unasked(task: Task, reason: str, watcher: Watcher | None = None) -> Evaluation:
    """Return the evaluation of a question that could not be asked, unscored for that reason."""
    if watcher:
        watcher.started(task.name, task.question.id)
    evaluation = _unanswered_task(task, reason)
    if watcher:
        watcher.finished(evaluation)
    return evaluation


def _unanswered_task(task: Task, reason: str, *, error: str | None = None) -> Evaluation:
    scores = _unscored(task.applying, reason)
    if task.is_retrieval:  # what was not found was not found, whatever the cause
        cause = reason if error is None else error
        scores = tuple(Score(score.metric, 0.0, evidence=cause) for score in scores)
    return Evaluation(
        task.question, task.name, None, scores, {}, repeat=task.repeat, attempt=task.attempt, error=error
    )


async def with_history(task: Task, turns: Turns, ask: Answers) -> tuple[Task, Tokens]:
    """Return a task with what was said before its question, and the tokens that it took to have that.

    Those are the earlier turns, and what the pipeline answered to them in this run.

    Args:
        task: A turn behind others.
        turns: The turns that were asked.
        ask: Asks a turn that nobody has asked: it was not selected, or its test comes later.

    Raises:
        NoHistoryError: A turn has no answer.
        UsageError: The pipeline cannot be loaded.
    """
    history: tuple[Message, ...] = ()
    spent = Tokens()
    for question in task.earlier:
        before = behind(task, question, history)
        attempt = turns.attempt(before)
        try:
            made = await (ask(before) if attempt is None else turns.answer(replace(before, attempt=attempt)))
        except UsageError:
            raise
        except (Exception, SystemExit) as error:  # the system under test may raise anything
            raise NoHistoryError(_without_answer(question, error)) from error
        spent += Tokens() if made.is_cached else made.value.total
        history = with_turn(before.question, made.value)
    return behind(task, task.question, history), spent


def _without_answer(question: Question, error: BaseException) -> str:
    """Return which turn has no answer, and why, in one line."""
    trouble = error if isinstance(error, _Trouble) else _unanswered(error)
    said = trouble.reason.removeprefix("there is no answer")
    why = said if said != trouble.reason else f": {said}"
    return f"turn {question.turn} of conversation {quoted(question.conversation or '')} gave no answer{why}"


async def bounded_answer(
    task: Task,
    answers: Answers,
    *,
    seconds: float | None = None,
    latest: float | None = None,
    watcher: Watcher | None = None,
) -> KeyedResult[Answer]:
    """Return the answer alone, within the bounds of an evaluation.

    Raises:
        Exception: There is none; its text says why.
        UsageError: The pipeline cannot be loaded.
    """
    with deadline(seconds, latest=latest, on_wait=watcher.waiting if watcher else None) as bound:
        try:
            return await _within(bound, answers(task), "answer", _unanswered)
        except _Trouble as trouble:
            _report_end(trouble, watcher)
            raise


async def _checked(task: Task, answer: Answer, evaluation: Evaluation, bound: Deadline) -> Evaluation:
    """Put the scores of the checks behind those of the judge; they are made anew each time, in a thread."""
    checks = task.checks
    try:
        making = asyncio.to_thread(check_scores, checks, task.question, answer)
        found = await _within(bound, making, "verdict", _unjudged)
    except _Trouble as trouble:
        found = tuple(Score(check.name, None, reason=trouble.reason) for check in checks)
    names = {check.name for check in checks}
    judged = tuple(score for score in evaluation.scores if score.metric not in names)
    return replace(evaluation, scores=(*judged, *found))


async def _explained(
    task: Task, reuse_cache: ReuseCache, answer: Answer, evaluation: Evaluation, bound: Deadline
) -> Evaluation:
    """Put a sentence of the judging model on each breach, as far as there is time, and what they took."""
    thresholds = task.explains(task.question) if task.explains else {}
    scores, tokens, seconds, now = [], Tokens(), 0.0, Tokens()
    for score in evaluation.scores:
        said = None
        if is_below(score.value, thresholds.get(score.metric)):
            with suppress(_Trouble):  # the verdict is there, and counts without
                explaining = reuse_cache.explanation(task, answer, score)
                said = await _within(bound, explaining, "reason", _unjudged)
        if said:
            score = replace(score, explanation=said.value.text)
            tokens, seconds = tokens + said.value.tokens, seconds + said.value.seconds
            now += Tokens() if said.is_cached else said.value.tokens
        scores.append(score)
    if tokens == Tokens():
        return evaluation
    first, *others = evaluation.judged
    return replace(
        evaluation,
        scores=tuple(scores),
        seconds={**evaluation.seconds, "reasons": seconds},
        tokens={**evaluation.tokens, "reasons": tokens},
        judged=(first + now, *others),
    )


def evaluation_of(task: Task, answer: KeyedResult[Answer], judgement: KeyedResult[Judgement]) -> Evaluation:
    """Put an answer and its judgement together."""
    made: dict[str, KeyedResult[Any]] = {ANSWER: answer, SCORES: judgement}
    return Evaluation(
        question=task.question,
        pipeline=task.name,
        answer=answer.value,
        # Without a score nothing could be below its threshold: the question would pass without a verdict.
        scores=_known(task, answer.value, _with_criteria(task, judgement.value.scores))
        or _unscored(task.judged, "the judge gave no score"),
        thresholds={},
        seconds={**answer.value.seconds, "judge": judgement.value.seconds},
        tokens={**answer.value.tokens, "judge": judgement.value.tokens},
        repeat=task.repeat,
        attempt=task.attempt,
        judged=judgement.value.parts,
        cached=tuple(kind for kind, part in made.items() if part.is_cached),
        keys={kind: part.key for kind, part in made.items()},
    )


def _known(task: Task, answer: Answer, scores: tuple[Score, ...]) -> tuple[Score, ...]:
    """Leave out what a judge says of contexts that are not known, whatever it took none for."""
    if answer.contexts_known:
        return scores
    of_contexts = {m.name for m in task.judged if m.of_contexts}
    return tuple(
        Score(score.metric, None, reason=NO_CONTEXTS) if score.metric in of_contexts else score
        for score in scores
    )


def _with_criteria(task: Task, scores: tuple[Score, ...]) -> tuple[Score, ...]:
    """Say of criteria that a judge of somebody's own does not know that they have no verdict."""
    if not scores or not task.known.own:
        return scores
    given = {score.metric for score in scores}
    missing = [metric for metric in task.judged if metric.criterion and metric.name not in given]
    reason = f"{task.judge.name} gives no score of it: criteria are put to the judge of --evals-judge"
    return (*scores, *_unscored(missing, reason))


async def _within(
    bound: Deadline, making: Awaitable[T], missing: str, trouble: Callable[[BaseException], _Trouble]
) -> T:
    """Wait for what pipeline or judge make; whatever they raise, or the end of the time, is trouble."""
    limit = asyncio.timeout(None)
    try:
        async with limit:
            with _timed(limit, bound):
                return await making
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # the system under test may raise anything
        if limit.expired() or (isinstance(error, TimeoutError) and bound.left == 0.0):
            raise _Trouble(f"there is no {missing} within {bound.seconds:g} s") from error
        raise trouble(error) from error


@contextmanager
def _timed(limit: asyncio.Timeout, bound: Deadline) -> Iterator[None]:
    """Let `limit` expire when no time is left; it is looked up again then, since waits stop the clock."""
    loop = asyncio.get_running_loop()
    look: asyncio.TimerHandle | None = None

    def wait() -> None:
        nonlocal look
        left = bound.left
        if left == 0.0:
            limit.reschedule(loop.time())
        elif left is not None:
            look = loop.call_later(left, wait)

    wait()
    try:
        yield
    finally:
        if look:
            look.cancel()


def _report_end(trouble: _Trouble, watcher: Watcher | None) -> None:
    """Tell the watcher when the trouble is a model that is given up."""
    cause = trouble.__cause__
    if watcher and isinstance(cause, ModelDiedError | RemoteError) and cause.is_final:
        watcher.gave_up(_in_one_line(cause))


def _in_one_line(error: BaseException) -> str:
    """Return what an error of a model says, its remedy behind a semicolon, without credentials."""
    return masked_text(str(error).replace("\n", "; "))


def _unanswered(error: BaseException) -> _Trouble:
    if isinstance(error, NoAnswerError):
        return _Trouble(str(error))
    if isinstance(error, RemoteError | ModelDiedError):
        return _Trouble(f"there is no answer: {_in_one_line(error)}")
    hint = _IN_TEST if any(text in str(error) for text in _ELSEWHERE) else ""
    return _Trouble(f"{_named(error)}{hint}", is_error=True)


def _unjudged(error: BaseException) -> _Trouble:
    """A judge that fails has given no verdict."""
    if isinstance(error, RemoteError | ModelDiedError):
        return _Trouble(f"there is no verdict: {_in_one_line(error)}")
    return _Trouble(f"the judge raised {_named(error)}")


async def _judged(
    task: Task, reuse_cache: ReuseCache, answer: Answer, bound: Deadline
) -> KeyedResult[Judgement]:
    """Judge `answer` as many times as the task says; the first judging counts, the others tell its noise."""
    made = [
        await _within(bound, reuse_cache.judgement(task, answer, judging=judging), "verdict", _unjudged)
        for judging in range(task.judgings)
    ]
    judgement = reduce(_with, (one.value for one in made))
    return KeyedResult(judgement, made[0].key, is_cached=all(one.is_cached for one in made))


def _with(first: Judgement, more: Judgement) -> Judgement:
    values = {score.metric: score.value for score in more.scores}
    scores = tuple(replace(s, repeats=(*s.repeats, values.get(s.metric))) for s in first.scores)
    members = tuple(map(add, first.members, more.members))
    return Judgement(scores, first.seconds + more.seconds, first.tokens + more.tokens, members)


def _unscored(metrics: Iterable[Metric], reason: str) -> tuple[Score, ...]:
    return tuple(Score(metric.name, None, reason=reason) for metric in metrics)


# What libraries say of what is used on another loop, or in another thread, than it was made for.
_ELSEWHERE = (
    "attached to a different loop",
    "bound to a different event loop",
    "Event loop is closed",
    "no running event loop",
    "no current event loop",
    "can only be used in that same thread",
)
_IN_TEST = (
    ": a pipeline is asked on a loop and in a thread of the harness; pipeline_from(..., in_test=True), or "
    "Profile(runs_in_test=True), has it asked where its test runs"
)


def _named(error: BaseException) -> str:
    # What a client raises may quote the request, with its key.
    return masked_text(f"{type(error).__name__}: {error}") if str(error) else type(error).__name__
