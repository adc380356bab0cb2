"""The engine: tasks to evaluations, on an event loop of its own in its own thread.

Tests may be async (they await) or plain (they call `result()`); no loop of theirs is patched or shared. Where
a server answers, the engine works ahead of the tests: what they will ask for is under way before they ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NoReturn

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.backends.backend import Backend, Ends
from rag_evals.evals.engine.backends.local import LocalBackend
from rag_evals.evals.engine.backends.tracing import trace_of_nothing
from rag_evals.evals.engine.evaluate import (
    NoHistoryError,
    Watcher,
    evaluation_of,
    unasked,
    with_history,
)
from rag_evals.evals.engine.order.turns import Turns
from rag_evals.evals.engine.reuse import KeyedResult, ReuseCache
from rag_evals.evals.engine.task import CallsInTest, Task
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Answer, Tokens

SOON = 0.001  # seconds
BLOCKED = 2.0  # seconds that a loop takes to answer when something on it never lets go of it
# Seconds. A signal that comes just before the main thread falls asleep does not wake it (and none does on
# Windows): it looks up so often, or a Ctrl-C would wait for the answer.
GLANCE = 0.2
# So many tasks a place are taken on ahead: while the test at the front waits seconds for another try of its
# request, the places go on with those behind it. Their evaluations are kept until their tests come.
AHEAD = 32


class Engine:
    """An event loop in a daemon thread; tasks come from any thread or loop.

    Args:
        reuse_cache: Has what was made before; by default nothing is remembered.
        concurrency: How many tasks may be under way at once, where pipeline and judge do not say
            (`Profile.most_at_once`); 0 for one.
        seconds: What one task may take in all; None for no bound.
        ends: Says when the run has to end, in seconds of `time.monotonic`; None for no such bound.
        watcher: Is told what the engine is at.
        is_traced: Whether evaluations come with the spans of what was done for them.
        backend: Makes the evaluations; by default they are made here, within what the others say.
    """

    def __init__(
        self,
        reuse_cache: ReuseCache | None = None,
        *,
        concurrency: int = 0,
        seconds: float | None = None,
        ends: Ends = lambda: None,
        watcher: Watcher | None = None,
        is_traced: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self._is_traced = is_traced
        self._reuse_cache = reuse_cache or ReuseCache()
        self._backend = backend or LocalBackend(
            self._reuse_cache,
            concurrency=concurrency,
            seconds=seconds,
            ends=ends,
            watcher=watcher,
            is_traced=is_traced,
        )
        self._watcher = watcher
        self._turns = Turns(self._backend.make_answer)
        self._start()

    def _start(self) -> None:
        """Begin with a loop on which nothing is under way."""
        self._turns.forget_waiting()
        self._ahead: dict[tuple[object, ...], tuple[Task, Future[Evaluation]]] = {}
        self._backend.begin()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(DaemonThreads())
        self._thread = threading.Thread(
            target=_run_loop, args=(self._loop,), name="evals-engine", daemon=True
        )
        self._thread.start()

    def submit(self, task: Task) -> Future[Evaluation]:
        """Return the evaluation of `task`, begun ahead or now."""
        if task.attempt and task.question.conversation is not None:
            self._give_up_behind(task)
        begun = self._ahead.pop(task.key, None)
        if begun is not None:
            return begun[1]
        # Looked up here: handing it to the engine's thread and back would cost more than all else.
        known = self._reuse_cache.known(task)
        if known is None:
            self._backend.open(task)
            return self._begin(task)
        evaluation = evaluation_of(task, *known)
        if self._is_traced:
            evaluation = replace(evaluation, spans=trace_of_nothing(task))
        if self._watcher:
            self._watcher.finished(evaluation)
        future: Future[Evaluation] = Future()
        future.set_result(evaluation)
        return future

    def work_ahead(self, tasks: Iterable[Task]) -> None:
        """Begin `tasks`, which tests will ask for."""
        for task in tasks:
            if task.key not in self._ahead:
                self._ahead[task.key] = task, self._begin(task)

    def take_recorded(self, task: Task, evaluation: Evaluation) -> None:
        """Take the recorded evaluation of a turn: the turns behind it go on from its answer."""
        if evaluation.answer is not None:
            self._turns.take(task, evaluation.answer)

    def _give_up_behind(self, task: Task) -> None:
        """Give up the turns behind one that is asked again: they would go on from what it gave before."""
        behind = [key for key, (other, _) in self._ahead.items() if _is_behind(other, task)]
        for key in behind:
            self._ahead.pop(key)[1].cancel()

    def give_up(self, future: Future[Evaluation]) -> None:
        """Give up an evaluation that nobody waits for any more; its place is for others.

        A pipeline that blocks the loop, as one that is called async and is not, cannot be ended: its loop is
        left to it, and others go on with a new one.
        """
        future.cancel()
        if not self._is_running():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._start()

    def _is_running(self) -> bool:
        answered = threading.Event()
        self._loop.call_soon_threadsafe(answered.set)
        return answered.wait(BLOCKED)

    def stop(self) -> None:
        """Give up what no test has asked for yet, and end the backend; what is finished is in the cache."""
        ahead, self._ahead = self._ahead, {}
        # In one go on the loop: one by one, those given up would make room for those not yet given up.
        self._loop.call_soon_threadsafe(lambda: [future.cancel() for _, future in ahead.values()])
        self._backend.close()

    def places(self, task: Task) -> int:
        """Return how many tasks of this kind are worked on at once."""
        return self._backend.places(task)

    def remarks(self, kind: ComponentKind, name: str) -> Sequence[str]:
        """Return what other processes remarked on a pipeline or a judge; what is here says it itself."""
        return self._backend.remarks(kind, name)

    def close(self) -> None:
        """Stop the loop; what still runs is cancelled."""
        self._ahead.clear()
        is_running = self._is_running()
        self._loop.call_soon_threadsafe(self._loop.stop)
        # A loop that is blocked is not waited for: its thread is a daemon, and ends with the process.
        self._thread.join(timeout=5 if is_running else 0)
        self._backend.close()

    def _begin(self, task: Task) -> Future[Evaluation]:
        return asyncio.run_coroutine_threadsafe(self._evaluated(task), self._loop)

    async def _evaluated(self, task: Task) -> Evaluation:
        before = Tokens()
        if task.earlier:
            try:
                task, before = await with_history(task, self._turns, self._ask)
            except NoHistoryError as error:
                evaluation = unasked(task, str(error), self._watcher)
                return replace(evaluation, spans=trace_of_nothing(task)) if self._is_traced else evaluation
        evaluation = await self._backend.evaluate(task, self._turns)
        return replace(evaluation, before=before) if before != Tokens() else evaluation

    async def _ask(self, task: Task) -> KeyedResult[Answer]:
        """Ask an earlier turn that has not been asked, in a place and within the time of an evaluation."""
        return await self._backend.ask(task, self._turns)


def _is_behind(other: Task, task: Task) -> bool:
    """Return whether `other` is a later turn of the conversation that `task` is a turn of."""
    ours, theirs = task.question, other.question
    is_same = (other.name, theirs.conversation, other.repeat) == (task.name, ours.conversation, task.repeat)
    return is_same and (theirs.turn or 0) > (ours.turn or 0)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, then cancel what is left on it."""
    loop.run_forever()
    loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
    loop.close()


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class PendingEvaluation:
    """An evaluation under way: await it in an async test, call `result()` in a plain one.

    Args:
        future: The engine's.
        finish: Makes of what the engine gives what the test gets, and records it: first recorded, then
            asserted.
        refuse: Ends the session when the engine finds the configuration wrong.
        give_up: Ends an evaluation that the test no longer waits for, whatever ended the test.
        calls: What the test is to do itself meanwhile.
    """

    def __init__(
        self,
        future: Future[Evaluation],
        finish: Callable[[Evaluation], Evaluation],
        refuse: Callable[[UsageError], NoReturn],
        give_up: Callable[[Future[Evaluation]], None],
        calls: CallsInTest | None = None,
    ) -> None:
        self._future = future
        self._finish = finish
        self._refuse = refuse
        self._give_up = give_up
        self._calls = calls
        self._finished: Evaluation | None = None

    def __await__(self) -> Generator[Any, None, Evaluation]:
        __tracebackhide__ = True
        # Waking the test's loop from the engine's thread costs 0.4 ms, more than a fake or a remembered
        # evaluation takes: wait that moment for it, and only then leave the loop to others.
        if not _is_done(self._future, SOON):
            try:
                yield from _waking(asyncio.wrap_future(self._future), self._calls).__await__()
            except UsageError as error:
                self._refuse(error)
            except BaseException:
                self._give_up(self._future)
                raise
        return self.result()

    def result(self) -> Evaluation:
        """Wait for the evaluation and give it."""
        __tracebackhide__ = True
        if self._finished is None:
            try:
                while not _is_done(self._future, SOON if self._calls else GLANCE):
                    if self._calls:
                        self._calls.make()
                evaluation = self._future.result()
            except UsageError as error:
                self._refuse(error)
            except BaseException:
                self._give_up(self._future)
                raise
            self._finished = self._finish(evaluation)
        return self._finished


def _is_done(future: Future[Any], seconds: float) -> bool:
    """Wait at most `seconds`; `concurrent.futures.wait` for a single one costs four times as much."""
    with contextlib.suppress(TimeoutError, CancelledError):
        future.exception(timeout=seconds)
    return future.done()


async def _waking(future: asyncio.Future[Evaluation], calls: CallsInTest | None) -> Evaluation:
    while not future.done():
        await asyncio.wait((future,), timeout=SOON if calls else GLANCE)
        if calls:
            await calls.make_here()
    return future.result()


class DaemonThreads(ThreadPoolExecutor):
    """An executor that runs each call in a daemon thread of its own.

    The standard one is waited for when the interpreter ends: a server that does not answer would hold up
    Ctrl-C by minutes. How many run at once is the caller's to bound.
    """

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `call` in a new thread."""
        future: Future[Any] = Future()
        threading.Thread(target=_run, args=(future, call, args, kwargs), daemon=True).start()
        return future


def _run(
    future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
