"""The cluster backend: evaluations are made by actors, whoever is free; what they made is kept here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from rag_evals.evals.base.errors import LostAnswerError, UsageError
from rag_evals.evals.engine.backends.backend import Ends
from rag_evals.evals.engine.backends.cluster.messages import LostError, NodeSpec, Reply, Request
from rag_evals.evals.engine.backends.cluster.options import ClusterPlan
from rag_evals.evals.engine.backends.cluster.pool import Place, Pool, PoolClosedError
from rag_evals.evals.engine.backends.cluster.supervisor import Cluster, Start, Supervisor
from rag_evals.evals.engine.backends.local import most_under_way, places_for
from rag_evals.evals.engine.backends.tracing import trace_of_nothing, traced
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.evaluate import Watcher, evaluate, unasked
from rag_evals.evals.engine.order.turns import NoAnswerError, Turns
from rag_evals.evals.engine.reuse import ANSWER_FROM_CONTEXTS, KeyedResult, ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.runs.evaluation import ANSWER, EXPLANATION, SCORES, Evaluation
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Answer, replays
from rag_evals.rag.profile import profile_of

C = TypeVar("C", bound=Cluster)
# So many actors may be lost over one question before it is left without a verdict.
TRIES = 3
# So many of the latest items about a question are sent with it.
MOST_SENT = 50


class ClusterBackend(Generic[C]):
    """Makes evaluations on a cluster, which is looked for when the first one is wanted.

    Args:
        connect: Connects to the cluster.
        plan: What of it.
        start: Begins the session in an actor.
        spec: Says which.
        cache: Has what was made before, and gets what is made; None without.
        concurrency: As of the local backend, for each actor.
        seconds: What one task may take in all; None for no bound.
        ends: Says when the run has to end; asked when a task has its turn.
        watcher: Is told what is under way.
        say: Says a line to whoever looks on.
        tasks: How many evaluations there will be.
        is_traced: Whether evaluations come with the spans of what was done for them.
    """

    def __init__(
        self,
        connect: Callable[[], C],
        plan: ClusterPlan,
        start: Start,
        spec: Callable[[C], NodeSpec],
        *,
        cache: Cache | None,
        concurrency: int,
        seconds: float | None,
        ends: Ends,
        watcher: Watcher,
        say: Callable[[str], None],
        tasks: int,
        is_traced: bool = False,
    ) -> None:
        self._connect = connect
        self._plan = plan
        self._start = start
        self._spec = spec
        self._cache = cache
        self._concurrency = concurrency
        self._seconds = seconds
        self._ends = ends
        self._watcher = watcher
        self._say = say
        self._tasks = tasks
        self._is_traced = is_traced
        self._pool = Pool()
        self._connection: Cluster | None = None
        self._supervisor: Supervisor | None = None
        self._turns: dict[tuple[object, ...], Evaluation] = {}
        self._remarks: dict[tuple[ComponentKind, str], dict[str, None]] = {}

    def open(self, task: Task) -> None:
        """Look whether `task` can travel, connect, and have actors begin.

        Raises:
            UsageError: It cannot, or there is no cluster.
        """
        if task.origin is None or task.origin.problem:
            problem = task.origin.problem if task.origin else "it is not of a test"
            raise UsageError(f"evals_ray: {task.name} cannot be asked elsewhere: {problem}")
        if self._connection is not None:
            return
        self._connection = connection = self._connect()
        self._supervisor = Supervisor(
            connection,
            self._plan,
            self._start,
            self._spec(connection),
            self._pool,
            self._say,
            most=self._tasks,
        )

    def begin(self) -> None:
        """Begin with another loop: who waited on the one before is given up."""
        self._pool.forget_waiting()

    def places(self, task: Task) -> int:
        """Return how many tasks of this kind are worked on at once, on all nodes."""
        actors = self._supervisor.target if self._supervisor else 1
        return places_for(task, self._concurrency) * max(1, actors)

    async def make_answer(self, task: Task) -> KeyedResult[Answer]:
        """Have a turn evaluated, and keep that until its test comes; return the answer.

        Raises:
            UsageError: No actor can begin.
            NoAnswerError: There is none.
        """
        evaluation = self._turns[task.key] = await self._made(task)
        if evaluation.answer is None:
            reasons = [score.reason for score in evaluation.scores if score.reason]
            raise NoAnswerError(evaluation.error or next(iter(reasons), "there is no answer"))
        return KeyedResult(evaluation.answer, task.answer_key, is_cached=ANSWER in evaluation.cached)

    async def ask(self, task: Task, turns: Turns) -> KeyedResult[Answer]:
        """Ask a turn that others go on from.

        Raises:
            UsageError: No actor can begin.
            NoAnswerError: There is no answer.
        """
        return await turns.answer(task)

    async def evaluate(self, task: Task, turns: Turns) -> Evaluation:
        """Have an evaluation made; that of a turn may have been made for the turns behind it.

        Raises:
            UsageError: No actor can begin.
        """
        if task.question.conversation is not None:
            with suppress(NoAnswerError):  # the evaluation has the reason
                await turns.answer(task)
        return self._turns.pop(task.key, None) or await self._made(task)

    async def _made(self, task: Task) -> Evaluation:
        """Have an evaluation made; where an actor is lost over it, by another, a bounded number of times.

        Raises:
            UsageError: No actor can begin.
        """
        assert task.origin, "open() has looked"
        causes: list[str] = []
        while len(causes) < TRIES:
            try:
                place = await self._pool.take(task.origin.test, most_under_way(task, self._concurrency))
            except PoolClosedError as error:
                self._watcher.gave_up(str(error))
                causes.append(str(error))
                break
            reply = await self._answered(task, place, causes)
            if reply and reply.evaluation:
                return self._kept(task, reply, reply.evaluation)
        lost = f"{len(causes)} actors were lost over it, the last: " if len(causes) == TRIES else ""
        unmade = unasked(task, f"there is no answer: {lost}{causes[-1]}", self._watcher)
        return replace(unmade, spans=trace_of_nothing(task)) if self._is_traced else unmade

    async def _answered(self, task: Task, place: Place, causes: list[str]) -> Reply | None:
        """Have the member of a place answer; None where it will not, with the cause where it was lost."""
        member, supervisor = place.member, self._supervisor
        assert supervisor, "open() was called"
        reply = None
        self._watcher.started(task.name, task.question.id)
        try:
            request = self._request(task, self._ends())
            reply = await member.evaluate(request, f"{task.name} {task.question.id}", self._seconds)
        except LostError as error:
            causes.append(str(error))
            supervisor.lose(member, str(error))
        except LostAnswerError:
            reply = Reply(await self._without_answer(task))
        finally:
            self._pool.give_back(place, is_finished=reply is not None and not reply.refused)
        if reply and reply.refused:
            supervisor.refuse(member, reply.refused)
        return reply

    async def _without_answer(self, task: Task) -> Evaluation:
        """Return the evaluation of an answer that its log has not any more: there is nothing to judge."""
        making = evaluate(task, ReuseCache())
        return await (traced(task, making) if self._is_traced else making)

    def _request(self, task: Task, latest: float | None) -> Request:
        assert task.origin, "evaluate() has looked"
        known = self._known(task)
        return Request(
            task.origin,
            task.pipeline.fingerprint,
            task.judge.fingerprint,
            task.question,
            task.metrics,
            task.name,
            task.repeat,
            task.attempt,
            task.judgings,
            dict(task.explains(task.question)) if task.explains else None,
            None if latest is None else max(0.0, latest - time.monotonic()),
            known,
            task.is_retrieval,
            task.pipeline.replayed(task.question.id) if replays(task.pipeline) else None,
        )

    def _known(self, task: Task) -> dict[str, dict[str, bytes]]:
        """Return what was made before that the evaluation may need."""
        parts = (task.pipeline, task.judge)
        if self._cache is None or not any(profile_of(one).is_cacheable for one in parts):
            return {}
        found = {ANSWER: self._cache.recall(ANSWER, [task.answer_key])}
        about = [one for one in self._cache.entries(task.question.id) if one.kind != ANSWER][-MOST_SENT:]
        for kind in (ANSWER_FROM_CONTEXTS, SCORES, EXPLANATION):
            if keys := [one.key for one in about if one.kind == kind]:
                found[kind] = self._cache.recall(kind, keys, is_use=False)
        return found

    def _kept(self, task: Task, reply: Reply, evaluation: Evaluation) -> Evaluation:
        """Keep what was made, and return the evaluation as the tests of this process have it."""
        if self._cache:
            for one in reply.kept:
                self._cache.keep(one.kind, one.items, subject=one.subject, maker=one.maker)
        for component, lines in reply.remarks.items():
            self._remarks.setdefault(component, {}).update(dict.fromkeys(lines))
        made = replace(evaluation, question=task.question)
        self._watcher.finished(made)
        return made

    def remarks(self, kind: ComponentKind, name: str) -> Sequence[str]:
        """Return what actors remarked on a pipeline or a judge, each line once."""
        return tuple(self._remarks.get((kind, name), ()))

    def close(self) -> None:
        """End the actors, and a cluster that was begun here."""
        supervisor, self._supervisor = self._supervisor, None
        connection, self._connection = self._connection, None
        if supervisor:
            supervisor.close()
        if connection:
            connection.close()
