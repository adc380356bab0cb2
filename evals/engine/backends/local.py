"""The local backend: evaluations are made in this process, as many at once as models and servers take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rag_evals.evals.engine.backends.backend import Ends
from rag_evals.evals.engine.backends.tracing import traced
from rag_evals.evals.engine.evaluate import Watcher, bounded_answer, evaluate
from rag_evals.evals.engine.order.turns import Turns
from rag_evals.evals.engine.reuse import KeyedResult, ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Answer
from rag_evals.rag.profile import profile_of

# So many tasks a call to a server are under way: some of them wait for another try, or for their turn.
BESIDE = 3


class LocalBackend:
    """Makes evaluations on the loop that asks for them.

    Args:
        reuse_cache: Has what was made before.
        concurrency: How many tasks may be under way at once, where pipeline and judge do not say
            (`Profile.most_at_once`); 0 for one.
        seconds: What one task may take in all; None for no bound.
        ends: Says when the run has to end; asked when a task has its turn.
        watcher: Is told what it is at.
        is_traced: Whether evaluations come with the spans of what was done for them.
    """

    def __init__(
        self,
        reuse_cache: ReuseCache,
        *,
        concurrency: int = 0,
        seconds: float | None = None,
        ends: Ends = lambda: None,
        watcher: Watcher | None = None,
        is_traced: bool = False,
    ) -> None:
        self._reuse_cache = reuse_cache
        self._concurrency = concurrency
        self._seconds = seconds
        self._ends = ends
        self._watcher = watcher
        self._is_traced = is_traced
        self._places: dict[tuple[int, ...], asyncio.Semaphore] = {}

    def open(self, task: Task) -> None:
        """Do nothing: pipelines and judges are loaded with what they make first."""

    def begin(self) -> None:
        """Begin with another loop: who waited on the one before is given up."""
        self._places = {}
        self._reuse_cache.forget_loading()

    def places(self, task: Task) -> int:
        """Return how many tasks of this kind are worked on at once."""
        return places_for(task, self._concurrency)

    async def make_answer(self, task: Task) -> KeyedResult[Answer]:
        """Make an answer, or have it from before.

        Raises:
            UsageError: The pipeline cannot be loaded.
            Exception: Whatever the pipeline raises.
        """
        return await self._reuse_cache.answer(task)

    async def ask(self, task: Task, turns: Turns) -> KeyedResult[Answer]:
        """Ask a turn that others go on from, in a place and within the time of an evaluation.

        Raises:
            UsageError: The pipeline cannot be loaded.
            Exception: There is no answer; its text says why.
        """
        async with self._places_for(task):
            return await bounded_answer(
                task, turns.answer, seconds=self._seconds, latest=self._ends(), watcher=self._watcher
            )

    async def evaluate(self, task: Task, turns: Turns) -> Evaluation:
        """Make an evaluation; it waits for its turn.

        Raises:
            UsageError: The pipeline or the judge cannot be loaded.
        """
        async with self._places_for(task):
            making = evaluate(
                task,
                self._reuse_cache,
                seconds=self._seconds,
                latest=self._ends(),
                watcher=self._watcher,
                answers=turns.answer,
            )
            return await (traced(task, making) if self._is_traced else making)

    def remarks(self, kind: ComponentKind, name: str) -> Sequence[str]:  # noqa: ARG002
        """Return nothing: all is in this process."""
        return ()

    def close(self) -> None:
        """Do nothing: what is under way ends with its loop."""

    def _places_for(self, task: Task) -> asyncio.Semaphore:
        """Return the places of `task`: local tasks wait for each other, those of a server for that server."""
        key = (most_under_way(task, self._concurrency), *_servers(task))
        if key not in self._places:
            self._places[key] = asyncio.Semaphore(key[0])
        return self._places[key]


def places_for(task: Task, concurrency: int) -> int:
    """Return how many tasks of this kind one process works on at once."""
    return max(_most(task.pipeline, concurrency), _most(task.judge, concurrency))


def most_under_way(task: Task, concurrency: int) -> int:
    """Return how many tasks of this kind one process takes: those it works on, and some that wait."""
    # Servers hold back calls themselves, and a task that waits before another try makes none.
    return places_for(task, concurrency) * (BESIDE if _servers(task) else 1)


def _most(thing: object, concurrency: int) -> int:
    return profile_of(thing).most_at_once or concurrency or 1


def _servers(task: Task) -> list[int]:
    """Return what of a task is asked on servers."""
    things = (task.pipeline, task.judge)
    return [id(thing) for thing in things if (profile_of(thing).most_at_once or 1) > 1]
