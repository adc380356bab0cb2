"""What runs in an actor: a session of its own that answers for the controller's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import socket
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from rag_evals.evals.engine.backends.cluster.messages import THREADS, NodeInfo, NodeSpec, Reply, Request
from rag_evals.evals.runs.environment import installed_versions

SOURCES = "sources of rag-evals"


class NodeSession(Protocol):
    """The session of pytest in an actor."""

    def submit(self, request: Request) -> Future[Reply]:
        """Begin with what is asked."""

    def stalled(self) -> float:
        """Return for how many seconds its loop has not answered."""

    def end(self) -> None:
        """End it, and what its fixtures made."""


class EvaluationActor:
    """The actor: it begins the session once, and hands it what it is asked.

    Args:
        start: Begins the session; it may raise a UsageError.
        spec: Says which.
    """

    def __init__(self, start: Callable[[NodeSpec], NodeSession], spec: NodeSpec) -> None:
        self._start = start
        self._spec = spec
        self._session: NodeSession | None = None

    async def about(self) -> NodeInfo:
        """Return where this is, and which versions are installed here."""
        return await asyncio.to_thread(node_info)

    async def begin(self) -> None:
        """Begin the session.

        Raises:
            UsageError: It cannot begin here.
        """
        # Ray allows one for each CPU that an actor reserves.
        if self._spec.threads is None:
            os.environ.pop(THREADS, None)
        else:
            os.environ[THREADS] = self._spec.threads
        self._session = await asyncio.to_thread(self._start, self._spec)

    async def evaluate(self, request: Request) -> Reply:
        """Make an evaluation."""
        assert self._session is not None, "it has begun"
        return await asyncio.wrap_future(self._session.submit(request))

    async def stalled(self) -> float:
        """Return for how many seconds the session's loop has not answered."""
        return self._session.stalled() if self._session else 0.0

    async def end(self) -> None:
        """End the session."""
        if self._session:
            await asyncio.to_thread(self._session.end)


def node_info() -> NodeInfo:
    """Return what is to be known of this machine, and of what is installed on it."""
    versions = {
        "Python": platform.python_version(),
        **installed_versions(),
        SOURCES: sources_digest(),
    }
    return NodeInfo(socket.gethostname(), _processor(), versions)


def sources_digest() -> str:
    """Return the first digits of SHA-256 over our own sources: checkouts of one version may differ."""
    import rag_evals.evals
    import rag_evals.rag

    digest = hashlib.sha256()
    for package in (rag_evals.evals, rag_evals.rag):
        root = Path(next(iter(package.__path__)))
        for file in sorted(root.rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the last digits of a score depend on: the processor's model."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part")))
    return next(named, platform.machine())
