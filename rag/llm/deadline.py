"""Deadlines: how long the work on one question may still take, known to whatever runs on its behalf.

The bound is a context variable: `asyncio.to_thread` and tasks carry it into the threads and tasks they start,
so that a request deep inside a pipeline knows the budget of the question it belongs to.

A server that says when it may be asked again stops the clock until then: the wait is the server's, and is
told to whoever shows how the run goes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar


class Deadline:
    """When some work has to end.

    Args:
        seconds: What it may take, without its waits; None for no bound of its own.
        around: The bound of what it is a part of: no part gets more time than the whole.
        latest: When it has to end, waits and all, in seconds of `time.monotonic`; None for no such bound.
        on_wait: Is told how many seconds a wait may take, in the thread that waits.

    Attributes:
        seconds: What it may take, without its waits.
    """

    def __init__(
        self,
        seconds: float | None = None,
        around: Deadline | None = None,
        *,
        latest: float | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self._latest = latest
        self._around = around
        self._on_wait = on_wait
        self._lock = threading.Lock()
        self._waits = 0
        self._waiting_since = 0.0
        self._waited = 0.0

    @property
    def left(self) -> float | None:
        """The seconds that are left, 0.0 when none are, None when there is no bound."""
        with self._lock:
            now = time.monotonic()
            waited = self._waited + (now - self._waiting_since if self._waits else 0.0)
        own = None if self._end is None else max(0.0, self._end + waited - now)
        return _least(own, self._left_in_all(now), self._around.left if self._around else None)

    @property
    def longest_wait(self) -> float | None:
        """The seconds that a wait may take: as many as the work, and no more than are left in all."""
        around = self._around.longest_wait if self._around else None
        return _least(self.seconds, self._left_in_all(time.monotonic()), around)

    def tell_wait(self, seconds: float) -> None:
        """Tell of a wait that is not this work's own."""
        if self._on_wait:
            self._on_wait(seconds)
        if self._around:
            self._around.tell_wait(seconds)

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Stop the clock inside; `seconds` is what the wait will take. Waits beside each other count once."""
        with self._around.waiting(seconds) if self._around else nullcontext():
            if self._on_wait:
                self._on_wait(seconds)
            with self._lock:
                if not self._waits:
                    self._waiting_since = time.monotonic()
                self._waits += 1
            try:
                yield
            finally:
                with self._lock:
                    self._waits -= 1
                    if not self._waits:
                        self._waited += time.monotonic() - self._waiting_since

    def _left_in_all(self, now: float) -> float | None:
        return None if self._latest is None else max(0.0, self._latest - now)


def _least(*bounds: float | None) -> float | None:
    return min((bound for bound in bounds if bound is not None), default=None)


_CURRENT: ContextVar[Deadline] = ContextVar("rag_deadline", default=Deadline())  # noqa: B039 - has no bound


@contextmanager
def deadline(
    seconds: float | None, *, latest: float | None = None, on_wait: Callable[[float], None] | None = None
) -> Iterator[Deadline]:
    """Bound what is done inside to `seconds` from now; None adds no bound.

    An earlier bound around this one stays: no part of the work gets more time than the whole.

    Args:
        seconds: What it may take, without its waits.
        latest: When it has to end, waits and all, in seconds of `time.monotonic`.
        on_wait: Is told of the waits.
    """
    bound = Deadline(seconds, _CURRENT.get(), latest=latest, on_wait=on_wait)
    token = _CURRENT.set(bound)
    try:
        yield bound
    finally:
        _CURRENT.reset(token)


@contextmanager
def unbounded() -> Iterator[None]:
    """Let what is done inside for all questions take its time; its waits are told as this question's."""
    token = _CURRENT.set(Deadline(on_wait=_CURRENT.get().tell_wait))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Deadline:
    """Return the bound of the work that this is a part of; one without any where there is none."""
    return _CURRENT.get()


def remaining() -> float | None:
    """Return the seconds that are left, 0.0 when none are, None when there is no bound."""
    return _CURRENT.get().left
