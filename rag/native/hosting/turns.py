"""Turns of several clients at one model: whoever has it keeps it for as long as its calls follow closely.

A model's key/value cache holds one prompt. An evaluation reads its passages once and then asks several times
about them; if the calls of two evaluations alternated, each would find the other's prompt there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds that a model waits for the next call of the same client while others wait: between two calls of one
# evaluation a client needs some milliseconds.
LINGER = 0.03
# Seconds after which others come first all the same.
LONGEST = 30.0


class Turns:
    """Lets one call in at a time.

    Args:
        linger: Seconds that the model is held free for whoever had it last.
        longest: Seconds that one client may have it while others wait.
    """

    def __init__(self, linger: float = LINGER, longest: float = LONGEST) -> None:
        self._linger = linger
        self._longest = longest
        self._changed = threading.Condition()
        self._is_busy = False
        self._waiting: list[object] = []
        self._holder: object = None
        self._held_since = 0.0
        self._free_since = 0.0

    @contextmanager
    def turn(self, client: object) -> Iterator[None]:
        """Wait until it is the turn of `client`; it has it while the block runs, and a moment longer."""
        self._take(client)
        try:
            yield
        finally:
            self._give_back()

    def _take(self, client: object) -> None:
        with self._changed:
            self._waiting.append(client)
            while (left := self._wait_for(client)) != 0.0:
                self._changed.wait(left)
            self._waiting.remove(client)
            now = time.monotonic()
            if client is not self._holder:
                self._holder, self._held_since = client, now
            self._is_busy = True

    def _give_back(self) -> None:
        with self._changed:
            self._is_busy = False
            self._free_since = time.monotonic()
            if self._waiting and self._free_since - self._held_since > self._longest:
                self._holder = None
            self._changed.notify_all()

    def _wait_for(self, client: object) -> float | None:
        """Return the seconds to wait before another look; 0 when it is the client's turn, None if unknown."""
        if self._is_busy:
            return None
        if client is self._holder:
            return 0.0
        left = 0.0 if self._holder is None else self._free_since + self._linger - time.monotonic()
        if left > 0:
            return left
        others = (waiting for waiting in self._waiting if waiting is not self._holder)
        return 0.0 if next(others) is client else None
