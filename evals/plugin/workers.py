"""Workers of pytest-xdist: which process this is, what its processes tell each other; known only here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


def turns_together(config: pytest.Config, log: Any, conversations: Callable[[], Mapping[str, str]]) -> Any:
    """Return xdist's own scheduler of `--dist load`, but that no conversation is parted among workers.

    None for any other way to distribute, which the user has chosen: there a worker asks the turns that it
    needs itself.

    Args:
        config: Pytest's configuration.
        log: Xdist's log.
        conversations: Gives the conversation of each turn, by the id of its question; asked for when the
            workers have collected.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScheduling

    class TurnsTogether(LoadScheduling):  # type: ignore[misc]
        @cached_property
        def _talks(self) -> list[str | None]:
            # Files of questions are read for tests with parameters alone: others ask none.
            known = conversations() if any("[" in test for test in self.collection) else {}
            lengths = piece_counts(known)
            return [talk_of(test, known, lengths) for test in self.collection]

        def _send_tests(self, node: Any, num: int) -> None:
            talks, last = self._talks, min(num, len(self.pending))
            while 0 < last < len(self.pending):
                talk = talks[self.pending[last]]
                if talk is None or talk != talks[self.pending[last - 1]]:
                    break
                last += 1
            super()._send_tests(node, last)

    return TurnsTogether(config, log)


def piece_counts(names: Iterable[str]) -> Sequence[int]:
    """Return of how many pieces between dashes ids of questions are, the fewest first."""
    return sorted({name.count("-") + 1 for name in names})


def talk_of(test: str, conversations: Mapping[str, str], lengths: Sequence[int]) -> str | None:
    """Return what the tests of a conversation share which are to run in one worker; None for any other test.

    Args:
        test: The test's id, in whose brackets the question's id stands behind other parameters or before.
        conversations: The conversation of each turn, by the id of its question.
        lengths: The `piece_counts` of these ids, counted once for all tests.
    """
    function, bracket, given = test.partition("[")
    pieces = given.removesuffix("]").split("-") if bracket else []
    for length in lengths:
        for start in range(len(pieces) - length + 1):
            name = "-".join(pieces[start : start + length])
            if name in conversations:
                return f"{function} {'-'.join(pieces[:start])} {conversations[name]}"
    return None
