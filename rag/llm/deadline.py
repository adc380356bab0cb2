"""Deadlines: how long the work on one question may still take, known to whatever runs on its behalf.

The bound is a context variable: `asyncio.to_thread` and tasks carry it into the threads and tasks they start,
so that a request deep inside a pipeline knows the budget of the question it belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """When some work has to end.

    Attributes:
        seconds: What it may take in all; None for no bound of its own.
        end: When it ends, in seconds of `time.monotonic`; None for no bound.
    """

    seconds: float | None = None
    end: float | None = None

    @property
    def left(self) -> float | None:
        """The seconds that are left, 0.0 when none are, None when there is no bound."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())


_CURRENT: ContextVar[Deadline] = ContextVar("rag_deadline", default=Deadline())  # noqa: B039 - frozen


@contextmanager
def deadline(seconds: float | None) -> Iterator[Deadline]:
    """Bound what is done inside to `seconds` from now; None adds no bound.

    An earlier bound around this one stays: no part of the work gets more time than the whole.
    """
    own = None if seconds is None else time.monotonic() + seconds
    ends = [end for end in (own, _CURRENT.get().end) if end is not None]
    bound = Deadline(seconds, min(ends, default=None))
    token = _CURRENT.set(bound)
    try:
        yield bound
    finally:
        _CURRENT.reset(token)


def remaining() -> float | None:
    """Return the seconds that are left, 0.0 when none are, None when there is no bound."""
    return _CURRENT.get().left
