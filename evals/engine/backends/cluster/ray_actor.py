"""An actor of Ray, as the pool has its members."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.backends.cluster.messages import LostError, NodeInfo, Reply, Request

# Seconds from one look at an actor that works to the next, at most.
GLANCE = 10.0
# How lines of Ray's messages begin that name its own things.
_IDS = ("class_name", "actor_id", "pid", "namespace", "ip")


class RayActor:
    """An actor on the cluster, as the pool has it.

    Args:
        ray: The module.
        handle: Ray's handle of it.
        lost_after: Seconds in which its process has to say that it is there.

    Attributes:
        label: Where it is, for messages.
    """

    def __init__(self, ray: Any, handle: Any, lost_after: float) -> None:
        self._ray = ray
        self._handle = handle
        self._lost_after = lost_after
        self.label = "an actor"

    def about(self) -> Future[NodeInfo]:
        """Ask where it is; the future fails with a LostError where it cannot be."""
        return self._asked(self._handle.about.remote())

    def begin(self) -> Future[None]:
        """Have it begin its session.

        The future fails with a UsageError where it cannot, with a LostError where it is gone.
        """
        return self._asked(self._handle.begin.remote())

    async def evaluate(self, request: Request, name: str, seconds: float | None = None) -> Reply:
        """Have a request answered.

        Args:
            request: What is asked.
            name: Name of the task, as Ray shows it.
            seconds: What a question may take; an actor whose loop stands still for longer is lost.

        Raises:
            LostError: No answer will come.
        """
        reference = self._handle.evaluate.options(name=name).remote(request)
        answer: asyncio.Future[Reply] = asyncio.wrap_future(self._asked(reference))
        try:
            while not answer.done():
                await asyncio.wait((answer,), timeout=min(GLANCE, self._lost_after))
                if not answer.done():
                    await self._look(answer, seconds)
            return answer.result()
        except asyncio.CancelledError:
            with suppress(Exception):
                self._ray.cancel(reference)
            raise
        finally:
            answer.cancel()  # whatever still comes of it is nobody's

    async def _look(self, answer: asyncio.Future[Reply], seconds: float | None) -> None:
        """Look whether it still works.

        Raises:
            LostError: It does not.
        """
        sign = asyncio.wrap_future(self._asked(self._handle.stalled.remote()))
        limit = self._lost_after
        try:
            await asyncio.wait((answer, sign), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return
            if not sign.done():
                raise LostError(f"it gave no sign of life for {limit:g} s")
            if (stalled := sign.result()) > limit + (seconds or 0.0) and seconds:
                raise LostError(f"what it evaluates has held it up for {stalled:.0f} s")
        finally:
            sign.cancel()

    def end(self) -> Future[None]:
        """Have it end its session."""
        return self._asked(self._handle.end.remote())

    def kill(self) -> None:
        """End its process."""
        with suppress(Exception):
            self._ray.kill(self._handle)

    def _asked(self, reference: Any) -> Future[Any]:
        """Return the future of a call, whose errors are ours."""
        given: Future[Any] = reference.future()
        future: Future[Any] = Future()
        given.add_done_callback(lambda done: self._settle(done, future))
        return future

    def _settle(self, done: Future[Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(done.result())
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            is_ours = isinstance(cause, UsageError)
            future.set_exception(cause if is_ours else LostError(f"it raised {_last_line(error)}"))
        except BaseException as error:  # noqa: BLE001 - whatever Ray says is why no answer will come
            future.set_exception(LostError(_reason(error)))


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[-1]) if lines else type(error).__name__


def _reason(error: BaseException) -> str:
    """Return why an actor is lost, in words that are not Ray's own where it says the same of all."""
    text = str(error)
    if "OutOfMemory" in type(error).__name__ or "memory running low" in text:
        return "its node ran out of memory"
    if "node has died" in text or "node was terminated" in text or "NodeDied" in type(error).__name__:
        return "its node is gone"
    if "process has died" in text:
        return "its process died: it was killed, or crashed in native code"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(line for line in lines if not line.startswith(_IDS))
    return printable(f"{type(error).__name__}: {said}"[:300]) if said else type(error).__name__
