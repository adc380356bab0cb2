"""How long the work on one question may still take, known to whatever runs on its behalf.

The bound is a context variable: `asyncio.to_thread` and tasks carry it into the threads and tasks they start,
so that a request deep inside a pipeline knows the budget of the question it belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_END: ContextVar[float | None] = ContextVar("rag_deadline", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Bound what is done inside to `seconds` from now; None adds no bound.

    An earlier bound around this one stays: no part of the work gets more time than the whole.
    """
    left = remaining()
    bounds = [bound for bound in (seconds, left) if bound is not None]
    token = _END.set(time.monotonic() + min(bounds) if bounds else None)
    try:
        yield
    finally:
        _END.reset(token)


def remaining() -> float | None:
    """Give the seconds that are left, 0.0 when none are, None when there is no bound."""
    end = _END.get()
    return None if end is None else max(0.0, end - time.monotonic())
