"""The head of a cluster: it knows of all nodes and actors, and a cluster that loses it for long is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rag_evals.evals.engine.backends.cluster.messages import LostError

# Seconds from one question to the head to the next, at most.
GLANCE = 5.0
# Seconds in which the head has to answer, at most: after 60 nodes end themselves.
MOST_SECONDS = 50.0


class HeadWatch:
    """Asks the head again and again, and tells when it has not answered for too long.

    While it is away actors go on with what they have; one that comes back in time is as if nothing was.

    Args:
        ask: Asks the head something; it may raise, a LostError where there is no hope, or not come back.
        gone: Is told once that it is gone: why.
        seconds: In which it has to answer; at most `MOST_SECONDS` count.
    """

    def __init__(
        self, ask: Callable[[], object], gone: Callable[[str], None], seconds: float = MOST_SECONDS
    ) -> None:
        self._ask = ask
        self._gone = gone
        self._seconds = min(seconds, MOST_SECONDS)
        self._answered = time.monotonic()
        self._is_over = threading.Event()
        # Two threads: whoever asks may be held up for good.
        for work in (self._asking, self._watching):
            threading.Thread(target=work, name=f"evals-cluster-head{work.__name__}", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._is_over.set()

    def _asking(self) -> None:
        while not self._is_over.is_set():
            try:
                self._ask()
                self._answered = time.monotonic()
            except LostError as error:
                self._end(str(error))
                return
            except Exception:  # noqa: BLE001 - whatever Ray says, it is no answer
                pass
            self._is_over.wait(min(GLANCE, self._seconds / 4))

    def _watching(self) -> None:
        while not self._is_over.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._answered > self._seconds:
                self._end(f"the cluster's head has not answered for {self._seconds:g} s")

    def _end(self, reason: str) -> None:
        if not self._is_over.is_set():
            self._is_over.set()
            self._gone(reason)
