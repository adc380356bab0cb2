"""The throttle of a server: calls under way at once, requests and tokens a minute.

How many calls may be under way adapts to what the server says, by additive increase and multiplicative
decrease as TCP does it (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion
avoidance", 1989; RFC 5681). A window is as many replies as calls may be under way, so it is about one round
trip. After a window without trouble one call more may be under way; after one with trouble, fewer by half of
the share of replies that were in trouble, as DCTCP does it (RFC 8257, without its smoothing): half when the
server refused all. A server that refuses a tenth of the calls at random so keeps three times the work that
halving at each refusal would leave it. Calls that began before a cut say nothing about the new bound and are
not counted: a burst of refusals counts once.

Trouble is an overload that the server reports, or no answer in time. How long replies take is not looked at.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rag_evals.rag.errors import RagError
from rag_evals.rag.llm.deadline import current

MOST = 16  # calls under way at once, unless more are allowed
BURST = 1.0  # seconds: the share of a minute's allowance that may be saved up


class NoTurnError(RagError):
    """Raised when no turn comes within the time that is given for it."""


class Throttle:
    """Gives turns to call a server; for any number of threads, first come, first served.

    Args:
        most: Calls that may be under way at once when all is well.
        requests_per_minute: 0 for no bound.
        tokens_per_minute: 0 for no bound.
        clock: Seconds of a clock that never goes back.
        sleep: Waits for that many seconds.
    """

    def __init__(
        self,
        most: int = MOST,
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._requests = _Bucket(requests_per_minute / 60, clock())
        self._tokens = _Bucket(tokens_per_minute / 60, clock())
        self._waiting: deque[threading.Event] = deque()
        self._under_way = 0
        self._held_until = -math.inf
        self.allow(most)

    @property
    def most(self) -> int:
        """Calls that may be under way at once when all is well."""
        return self._most

    @property
    def limit(self) -> int:
        """Calls that may be under way at once now: 1 to `most`."""
        return int(self._limit)

    @property
    def held(self) -> float:
        """Seconds for which no call gets a turn: the server is to be left alone."""
        return max(0.0, self._held_until - self._clock())

    def hold(self, seconds: float) -> None:
        """Give no turn for so many seconds."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def allow(self, most: int) -> None:
        """Let up to `most` calls be under way at once, beginning with all of them.

        Raises:
            ValueError: `most` is below 1.
        """
        if most < 1:
            raise ValueError(f"{most} calls at once: at least 1")
        with self._lock:
            self._most = most
            self._limit = float(most)
            self._cut_at = -math.inf
            self._replies = self._troubles = 0
            self._admit()

    @contextmanager
    def slot(
        self, *, tokens: int = 0, within: float | None = None, longest_hold: float = math.inf
    ) -> Iterator[Turn]:
        """Wait for a turn and hold it inside; say through it how the call went, or nothing.

        Args:
            tokens: Estimate of what the call will use; `correct` it when more is known.
            within: Longest wait in seconds, without the time in which none gets a turn; None waits as long as
                it takes.
            longest_hold: Longest time in which none gets a turn, in seconds.

        Raises:
            NoTurnError: No turn came in that time.
        """
        began = self._enter_held(within, longest_hold)
        try:
            self._keep_pace(tokens, None if within is None else within - (self._clock() - began))
            yield Turn(self, self._clock())
        finally:
            self._leave()

    def correct(self, *, estimated: int, used: int) -> None:
        """Replace the estimate of a call's tokens by what was used."""
        with self._lock:
            self._tokens.take(used - estimated)

    def _enter_held(self, within: float | None, longest_hold: float) -> float:
        """Take a place when the server may be asked again; return when the wait for it began."""
        while True:
            while (held := self.held) > 0:
                if held > longest_hold:
                    raise NoTurnError(f"the server is at its limit for {held:,.0f} s more")
                with current().waiting(held):
                    self._sleep(held)
            began = self._clock()
            self._enter(within)
            if not self.held:
                return began
            self._leave()  # it was refused to another one meanwhile

    def _enter(self, within: float | None) -> None:
        """Take a place among the calls under way."""
        turn = threading.Event()
        with self._lock:
            self._waiting.append(turn)
            self._admit()
        if not turn.wait(within):
            with self._lock:
                if not turn.is_set():  # else it came at this very moment
                    self._waiting.remove(turn)
                    raise NoTurnError(f"no turn within {within:.1f} s")

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1
            self._admit()

    def _admit(self) -> None:
        # A place is handed over: a thread that comes back at once would else take it before one that waits.
        while self._waiting and self._under_way < self.limit:
            self._under_way += 1
            self._waiting.popleft().set()

    def _keep_pace(self, tokens: int, within: float | None) -> None:
        with self._lock:
            now = self._clock()
            pause = max(self._requests.wait(now), self._tokens.wait(now))
            if within is not None and pause > max(0.0, within):
                raise NoTurnError(f"the next turn comes in {pause:.1f} s")
            self._requests.take(1)
            self._tokens.take(tokens)
        if pause > 0:
            self._sleep(pause)

    def _learn(self, turn: Turn, *, is_overload: bool) -> None:
        """Count one reply that came just now."""
        with self._lock:
            if turn.began < self._cut_at:
                return
            self._replies += 1
            self._troubles += is_overload
            if self._replies >= self.limit:
                self._adapt()

    def _adapt(self) -> None:
        if self._troubles:
            self._limit = max(1.0, self._limit * (1 - self._troubles / self._replies / 2))
            self._cut_at = self._clock()
        else:
            self._limit = min(float(self._most), self._limit + 1)
        self._replies = self._troubles = 0
        self._admit()


@dataclass(frozen=True, slots=True)
class Turn:
    """A call's turn, and how it went.

    Attributes:
        throttle: Who gave it.
        began: When the call began, on the clock of the throttle.
    """

    throttle: Throttle
    began: float

    def succeeded(self) -> None:
        """Say that the server answered, just now."""
        self.throttle._learn(self, is_overload=False)

    def overloaded(self) -> None:
        """Say that the server had too much to do: it said so, or gave no answer in time."""
        self.throttle._learn(self, is_overload=True)


@dataclass(slots=True)
class _Bucket:
    """An allowance that refills at `rate` a second, from nothing; 0 is no bound.

    A call is let through as soon as nothing is owed and may then owe its whole cost: a call that costs more
    than can be saved up goes through as well, and those behind it wait the longer.
    """

    rate: float
    filled_at: float
    level: float = 0.0

    def wait(self, now: float) -> float:
        """Refill, and return the seconds until nothing is owed."""
        if not self.rate:
            return 0.0
        self.level = min(self.level + (now - self.filled_at) * self.rate, self.rate * BURST)
        self.filled_at = now
        return max(0.0, -self.level / self.rate)

    def take(self, amount: float) -> None:
        """Take from the allowance; less than nothing gives back."""
        self.level -= amount
