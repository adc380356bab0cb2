"""What an actor makes with the fixtures of a test: evaluations, of which it keeps nothing itself."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.backends.cluster.messages import KeptItems, Reply, Request
from rag_evals.evals.engine.backends.local import LocalBackend
from rag_evals.evals.engine.cache import Maker
from rag_evals.evals.engine.order.turns import Turns
from rag_evals.evals.engine.rejudge import RecordedPipeline
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.plugin.session.session import EvalsSession, session_of
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Pipeline
from rag_evals.rag.pipelines.adapters import SearchOnly
from rag_evals.rag.profile import profile_of


class SentItems:
    """What was made before for one question, as the controller sent it, and what is made now.

    Args:
        known: Bytes by kind and key.
        latest: When the evaluation has to end, in seconds of `time.monotonic`; None for no such bound.

    Attributes:
        kept: What is made now.
    """

    def __init__(self, known: Mapping[str, Mapping[str, bytes]], latest: float | None = None) -> None:
        self._known = known
        self.latest = latest
        self.kept: list[KeptItems] = []

    def recall(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is known of `keys`."""
        known = self._known.get(kind, {})
        return {key: known[key] for key in keys if key in known}


_SENT: contextvars.ContextVar[SentItems] = contextvars.ContextVar("evals_sent_items")


class SentStore:
    """The store of an actor: each task has its own items, and keeps for the controller."""

    def recall(self, kind: str, keys: Sequence[str], *, is_use: bool = True) -> dict[str, bytes]:  # noqa: ARG002
        """Return what the task at hand was sent."""
        return _SENT.get().recall(kind, keys)

    def keep(
        self, kind: str, items: Mapping[str, bytes], *, subject: str | None = None, maker: Maker | None = None
    ) -> None:
        """Keep for the controller."""
        _SENT.get().kept.append(KeptItems(kind, dict(items), subject, maker))

    def recent(self, kind: str, name: str, count: int = 20) -> list[bytes]:  # noqa: ARG002
        """Return nothing: plans are the controller's."""
        return []


class EvaluationMaker:
    """Makes evaluations with the fixtures of one test.

    Args:
        item: The test, set up.
    """

    def __init__(self, item: pytest.Function) -> None:
        self._item = item
        self._session: EvalsSession = session_of(item.config)
        settings = self._session.settings
        reuse_cache = ReuseCache(SentStore(), masks_texts=settings.mask_texts)
        self._backend = LocalBackend(
            reuse_cache,
            concurrency=settings.concurrency,
            seconds=settings.timeout,
            ends=lambda: _SENT.get().latest,
            is_traced=settings.is_traced,
        )

    async def reply(self, request: Request) -> Reply:
        """Make an evaluation."""
        try:
            task = self._task(request)
            latest = None if request.seconds is None else time.monotonic() + request.seconds
            sent = SentItems(request.known, latest)
            _SENT.set(sent)
            # Turns are put in order by the controller.
            evaluation = await self._backend.evaluate(task, Turns(self._backend.make_answer))
        except UsageError as error:
            return Reply(refused=printable(str(error)))
        return Reply(evaluation, sent.kept, remarks=self._remarks(task))

    def _remarks(self, task: Task) -> Mapping[tuple[ComponentKind, str], tuple[str, ...]]:
        """Return what is remarked on the pipeline and the judge, and was not sent before."""
        pipeline = task.pipeline.whole if isinstance(task.pipeline, SearchOnly) else task.pipeline
        parts: list[tuple[ComponentKind, str, Pipeline | Judge]] = [
            ("pipeline", task.name, pipeline),
            ("judge", task.judge.name, task.judge),
        ]
        found = {}
        for kind, name, part in parts:
            lines = map(str, profile_of(part).remarks())
            if new := tuple(one for one in lines if self._session.is_first("sent", kind, name, one)):
                found[kind, name] = new
        return found

    def _task(self, request: Request) -> Task:
        """Return the task that a request stands for.

        Raises:
            UsageError: Pipeline or judge are not what they are for the controller.
        """
        given: Mapping[str, Any] = self._item.funcargs
        origin = request.origin
        pipeline: Pipeline = given[origin.pipeline]
        if request.answer is not None:
            pipeline = RecordedPipeline(request.name, request.answer, request.pipeline)
        elif request.is_search:
            pipeline = self._session.search_only(pipeline)
        judge: Judge = given[origin.judge] if origin.judge else self._session.retrieval_judge
        for name, part, wanted in (
            (f"pipeline {request.name}", pipeline, request.pipeline),
            (f"judge {judge.name}", judge, request.judge),
        ):
            if part.fingerprint != wanted:
                raise UsageError(
                    f"{name} is not what it is where pytest was called: its fingerprint is "
                    f"{part.fingerprint[:12]} here and {wanted[:12]} there"
                )
        explained = request.explained
        return Task(
            pipeline,
            request.question,
            judge,
            request.metrics,
            request.name,
            request.repeat,
            request.attempt,
            request.judgings,
            explains=(lambda _: explained) if explained is not None else None,
            known=self._session.settings.known,
        )
