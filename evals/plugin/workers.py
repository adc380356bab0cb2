"""Workers of pytest-xdist: which process this is, what its processes tell each other; known only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Workers:
    """Which of a session's processes this is; without xdist the only one.

    Attributes:
        count: How many workers `-n` asks for; 0 without.
        told: What the controller told this worker; None in any other process.
        output: What this worker tells the controller when it ends; None in any other process.
    """

    count: int = 0
    told: Mapping[str, Any] | None = None
    output: dict[str, Any] | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this is a worker: it has no terminal, and not the questions of the whole session."""
        return self.told is not None

    def tell(self, name: str, value: Any) -> None:
        """Tell the controller something when this worker ends; elsewhere nobody is told."""
        if self.output is not None:
            self.output[name] = value


def workers_of(config: pytest.Config) -> Workers:
    """Return which process of its session this is."""
    count = config.getoption("numprocesses", None)
    count = count if isinstance(count, int) else 0
    return Workers(count, getattr(config, "workerinput", None), getattr(config, "workeroutput", None))


def worker_of(report: pytest.TestReport) -> str:
    """Return the id of the worker that a report is from; "" in a serial session."""
    return str(getattr(report, "worker_id", ""))
