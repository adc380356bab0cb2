"""The supervisor: it has as many actors work as there is room for, and says what it waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.engine.backends.cluster.actor import SOURCES, NodeSession, node_info
from rag_evals.evals.engine.backends.cluster.connection import ENDING
from rag_evals.evals.engine.backends.cluster.head import HeadWatch
from rag_evals.evals.engine.backends.cluster.messages import NodeInfo, NodeSpec
from rag_evals.evals.engine.backends.cluster.options import ClusterPlan
from rag_evals.evals.engine.backends.cluster.pool import Member, Pool, PoolClosedError

# Seconds from one look at actors that begin to the next.
GLANCE = 0.5
# Seconds from one look at the nodes to the next.
NODES = 5.0
# Seconds after which it is said what actors wait for.
SAID_AFTER = 30.0
# So many actors are lost one after the other, with nothing given in between, before all is given up; or twice
# as many as there are to be.
MOST_LOST = 6
# So many losses are said, a line each.
MOST_SAID = 10
Start = Callable[[NodeSpec], NodeSession]


class Cluster(Protocol):
    """What actors are begun on."""

    def actor(self, start: Start, spec: NodeSpec) -> Member:
        """Begin an actor; it waits until a node has room for it."""

    def room(self, needs: Mapping[str, float]) -> int:
        """Return for how many actors the nodes have room, were nothing else on them."""

    def missing(self, needs: Mapping[str, float]) -> str:
        """Say what no node has; "" where some node has enough of all."""

    def ask_head(self) -> object:
        """Ask the head something; the call may not come back.

        Raises:
            LostError: It is another one.
            Exception: It does not answer.
        """

    def close(self) -> None:
        """End the connection to it."""


@dataclass(slots=True)
class _Beginning:
    """An actor that does not work yet.

    Attributes:
        actor: The actor.
        step: What is waited for: where it is, then its session.
        since: When it was asked for, in seconds of `time.monotonic`.
        info: Where it is; None as long as no node has room for it.
    """

    actor: Member
    step: Future[Any]
    since: float
    info: NodeInfo | None = None


class Supervisor:
    """Begins actors, replaces those that are lost, and lets the pool know; all in a thread of its own.

    Args:
        connection: The cluster.
        plan: How many actors, of what size.
        start: Begins the session in an actor.
        spec: Says which.
        pool: Gets those that work.
        say: Says a line to whoever looks on.
        most: No more actors than this: there is no work for them.
    """

    def __init__(
        self,
        connection: Cluster,
        plan: ClusterPlan,
        start: Start,
        spec: NodeSpec,
        pool: Pool,
        say: Callable[[str], None],
        *,
        most: int,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._start = start
        self._spec = spec
        self._pool = pool
        self._say = say
        self._most = max(1, most)
        self._here = node_info()
        self._beginning: list[_Beginning] = []
        self._met: set[str] = set()
        self._refused: list[str] = []
        self._failed: list[str] = []
        self._lost = 0
        self._looked = 0.0
        self._began = time.monotonic()
        self._is_over = False
        self._wake = threading.Event()
        self._room = connection.room(plan.resources)
        self._head = HeadWatch(connection.ask_head, self._end, plan.lost_after)
        self._thread = threading.Thread(target=self._run, name="evals-cluster", daemon=True)
        self._thread.start()

    def lose(self, member: Member, cause: str) -> None:
        """Take out an actor that will give nothing more, and have another in its place."""
        if not self._pool.remove(member):
            return
        member.kill()
        self._lost += 1
        if self._lost <= MOST_SAID:
            more = "; further losses are not said" if self._lost == MOST_SAID else ""
            self._say(f"evals: {member.label} was lost: {cause}; what it was at goes to others{more}")
        if self._pool.lost_in_a_row >= max(MOST_LOST, 2 * self.target):
            count = self._pool.lost_in_a_row
            self._pool.fail(
                PoolClosedError(f"{count} actors were lost one after the other, the last: {cause}")
            )
        self._wake.set()

    def refuse(self, member: Member, reason: str) -> None:
        """Take out an actor that cannot do what it is for; there is none in its place."""
        if self._pool.remove(member, is_lost=False):
            member.kill()
            self._refuse(member.label, reason)
            self._wake.set()

    def _end(self, reason: str) -> None:
        """Have nobody wait any more; what is under way may still come back."""
        self._is_over = True
        self._pool.fail(PoolClosedError(reason))

    def close(self) -> None:
        """End all actors."""
        self._is_over = True
        self._head.close()
        self._wake.set()
        self._thread.join(GLANCE)
        working = self._pool.members
        self._pool.fail(PoolClosedError("the run is over"))
        wait([member.end() for member in working], timeout=ENDING)
        for member in [*working, *(one.actor for one in self._beginning)]:
            member.kill()

    def _run(self) -> None:
        well = time.monotonic()
        while not self._is_over:
            try:
                self._look()
                well = time.monotonic()
            except Exception as error:  # noqa: BLE001 - a cluster whose head is away may say anything
                if time.monotonic() - well > self._plan.lost_after:
                    self._end(f"the cluster is gone: {printable(str(error))[:200]}")
            self._wake.wait(GLANCE)
            self._wake.clear()

    def _look(self) -> None:
        if time.monotonic() - self._looked > NODES:
            self._room = self._connection.room(self._plan.resources)
            self._looked = time.monotonic()
        for one in list(self._beginning):
            if one.step.done():
                self._go_on(one)
        working = len(self._pool.members)
        for _ in range(0 if self._is_hopeless else self.target - working - len(self._beginning)):
            self._begin()
        # Those that have no node yet, where the cluster has become smaller.
        for one in [one for one in self._beginning if one.info is None][: self._surplus(working)]:
            self._beginning.remove(one)
            one.actor.kill()
        self._say_waits()
        self._check_any(working)

    def _surplus(self, working: int) -> int:
        return max(0, working + len(self._beginning) - max(1, self.target))

    @property
    def target(self) -> int:
        """How many actors there are to be."""
        asked = self._plan.actors or max(1, self._room)
        return max(0, min(asked, self._most) - len(self._refused))

    def _begin(self) -> None:
        actor = self._connection.actor(self._start, self._spec)
        self._beginning.append(_Beginning(actor, actor.about(), time.monotonic()))

    def _go_on(self, one: _Beginning) -> None:
        """Have an actor take the next step."""
        try:
            if one.info is None:
                one.info = self._checked(one.step.result())
                one.actor.label = f"the actor on {printable(one.info.host)}"
                one.step = one.actor.begin()
                return
            one.step.result()
        except UsageError as error:
            self._beginning.remove(one)
            one.actor.kill()
            self._refuse(one.actor.label, str(error))
        except Exception as error:  # noqa: BLE001 - it is gone, for whatever reason
            self._beginning.remove(one)
            one.actor.kill()
            self._failed.append(str(error))
            self._say_once(f"evals: {one.actor.label} could not begin: {error}")
        else:
            self._beginning.remove(one)
            self._failed.clear()
            self._pool.add(one.actor)

    def _checked(self, info: NodeInfo) -> NodeInfo:
        """Hold what is installed on a node against what is here.

        Raises:
            UsageError: Our own code is another.
        """
        host, others = printable(info.host), printable(self._differences(info))
        if any(name in others for name in (SOURCES, "rag-evals")):
            raise UsageError(f"{host} has another rag-evals: {others}")
        if others:
            self._say_once(f"evals: on {host} other versions are installed: {others}")
        if info.processor != self._here.processor:
            self._say_once(
                f"evals: {host} has another processor, {printable(info.processor)}: last digits of scores "
                f"may be others than on this one, {printable(self._here.processor)}, and a judge's card is "
                "of another machine"
            )
        return info

    def _differences(self, info: NodeInfo) -> str:
        """Name what is installed on a node in another version than here."""
        here, there = self._here.versions, info.versions
        names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        return ", ".join(f"{n} {there.get(n, 'none')} there, {here.get(n, 'none')} here" for n in names)

    def _refuse(self, label: str, reason: str) -> None:
        self._refused.append(reason)
        self._say_once(f"evals: {label} is left out: {reason}")

    def _say_waits(self) -> None:
        """Say what actors wait for that no node has had for a while."""
        waiting = [one for one in self._beginning if one.info is None]
        if not waiting or time.monotonic() - min(one.since for one in waiting) < SAID_AFTER:
            return
        needs, actors = self._plan.resources, count_of(len(waiting), "actor")
        if missing := self._connection.missing(needs):
            self._say_once(
                f"evals: {actors} cannot begin: no node of the cluster has {missing}; add such a node, ask "
                "for less with --evals-ray-resources, or end this with Ctrl-C",
                key="missing",
            )
        else:
            named = ", ".join(f"{name} = {amount:g}" for name, amount in needs.items())
            self._say_once(
                f"evals: {actors} have not begun yet: each waits for {named}, which others may hold, or "
                "for its process to start",
                key="waiting",
            )

    def _check_any(self, working: int) -> None:
        """Give up where no actor works, and none will."""
        if working or (self._beginning and not self._is_too_late()):
            return
        if self._is_hopeless or (self._refused and self.target == 0):
            reason = [*self._refused, *self._failed][-1]
            self._pool.fail(UsageError(f"evals_ray: no actor can begin: {reason}"))
        elif self._is_too_late():
            minutes = f"{self._plan.wait_minutes:g} minutes"
            missing = self._connection.missing(self._plan.resources)
            cause = f"no node has {missing}" if missing else "others hold what each of them reserves"
            self._pool.fail(UsageError(f"evals_ray: no actor has begun in {minutes}: {cause}"))

    @property
    def _is_hopeless(self) -> bool:
        """Whether so many actors in a row could not begin that no more are tried."""
        return len(self._failed) >= max(MOST_LOST, 2 * self.target)

    def _is_too_late(self) -> bool:
        return not self._pool.finished and time.monotonic() - self._began > 60 * self._plan.wait_minutes

    def _say_once(self, line: str, key: str = "") -> None:
        if (key or line) not in self._met:
            self._met.add(key or line)
            with suppress(Exception):
                self._say(line)
