"""The pool: which actors there are, which has a place free, and who waits for one."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Protocol

from rag_evals.evals.engine.backends.cluster.messages import NodeInfo, Reply, Request


class Member(Protocol):
    """An actor of the pool.

    Attributes:
        label: Where it is, for messages.
    """

    label: str

    def about(self) -> Future[NodeInfo]:
        """Ask where it is; the future fails with a LostError where it cannot be."""

    def begin(self) -> Future[None]:
        """Have it begin its session.

        The future fails with a UsageError where it cannot, with a LostError where it is gone.
        """

    async def evaluate(self, request: Request, name: str, seconds: float | None = None) -> Reply:
        """Have a request answered.

        Args:
            request: What is asked.
            name: Name of the task, for those who look at the cluster.
            seconds: What a question may take; an actor whose loop stands still for longer is lost.

        Raises:
            LostError: No answer will come.
        """

    def end(self) -> Future[None]:
        """Have it end its session."""

    def kill(self) -> None:
        """End it at once."""


class PoolClosedError(Exception):
    """Raised for whoever waits for an actor when there will be none any more."""


class Place:
    """A place at a member, taken until it is given back.

    Attributes:
        member: The member.
    """

    __slots__ = ("member",)

    def __init__(self, member: Member) -> None:
        self.member = member


class Pool:
    """The members that work, and their places; safe with several threads.

    Attributes:
        finished: How many evaluations came back.
        lost_in_a_row: How many members were lost since the last one that came back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads: dict[Member, int] = {}
        self._groups: dict[Member, str] = {}
        self._taken: set[Place] = set()
        self._waiting: deque[tuple[str, int, Future[Place]]] = deque()
        self._problem: Exception | None = None
        self.finished = 0
        self.lost_in_a_row = 0

    @property
    def members(self) -> list[Member]:
        """Those that work."""
        with self._lock:
            return list(self._loads)

    async def take(self, group: str, most: int) -> Place:
        """Wait for a place at the member that has least to do; give it back with `give_back`.

        Args:
            group: What tests the work is for: a member that has pipeline and judge of it ready comes first.
            most: How many tasks a member works on at once; it may have one more that waits.

        Raises:
            PoolClosedError: There is no member any more.
            UsageError: None could begin.
        """
        future: Future[Place] = Future()
        with self._lock:
            if self._problem is not None:
                raise self._problem
            self._waiting.append((group, most, future))
            self._serve()
        try:
            return future.result() if future.done() else await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():  # it was given a place meanwhile
                self.give_back(future.result())
            raise

    def give_back(self, place: Place, *, is_finished: bool = False) -> None:
        """Give a place back; `is_finished` if the work was done."""
        with self._lock:
            if is_finished:
                self.finished += 1
                self.lost_in_a_row = 0
            was_taken = place in self._taken
            self._taken.discard(place)
            if was_taken and place.member in self._loads:
                self._loads[place.member] -= 1
                self._serve()

    def add(self, member: Member) -> None:
        """Let a member work."""
        with self._lock:
            self._loads[member] = 0
            self._serve()

    def remove(self, member: Member, *, is_lost: bool = True) -> bool:
        """Take a member out; return whether it was still in."""
        with self._lock:
            was_in = self._loads.pop(member, None) is not None
            self._groups.pop(member, None)
            self.lost_in_a_row += was_in and is_lost
            return was_in

    def fail(self, problem: Exception) -> None:
        """Have nobody wait any more: there will be no member."""
        with self._lock:
            self._problem = problem
            waiting, self._waiting = self._waiting, deque()
        for _, _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(problem)

    def forget_waiting(self) -> None:
        """Forget who waits, and what is under way: their loop is given up."""
        with self._lock:
            self._waiting.clear()
            self._taken.clear()
            self._loads = dict.fromkeys(self._loads, 0)

    def _serve(self) -> None:
        """Give free places to those who wait, first come first served."""
        while self._waiting:
            group, most, future = self._waiting[0]
            # One on top while many wait: no actor idles for the way there and back. Not at the end, where the
            # last ones would wait behind others beside idle actors.
            most += len(self._waiting) > 2 * len(self._loads)
            # At the same load the one that has the pipeline of this group ready.
            member = min(
                self._loads,
                key=lambda one: (self._loads[one], self._groups.get(one, group) != group),
                default=None,
            )
            if member is None or self._loads[member] >= most:
                return
            self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                self._loads[member] += 1
                self._groups[member] = group
                place = Place(member)
                self._taken.add(place)
                future.set_result(place)
