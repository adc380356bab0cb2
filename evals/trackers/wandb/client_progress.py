"""What W&B's client has sent, asked of its own process now and then while the run is being finished."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

BETWEEN = 1.0  # seconds
ASK_TIMEOUT = 2.0


class ClientProgress:
    """Tells of what moves in the client: bytes of files, and what it has begun or is done with.

    A request that is tried again is no movement. wandb has no public name for any of this (0.31); where it
    is otherwise nothing is told, and a client that finishes is silent.

    Args:
        run: The W&B run.
        moved: Is told that something has moved, and how far it is.
    """

    def __init__(self, run: Any, moved: Callable[[str], None]) -> None:
        self._run = run
        self._moved = moved
        self._is_over = threading.Event()
        self._bytes = 0
        self._known: set[tuple[str, str]] = set()
        self._last: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()

    def _watch(self) -> None:
        with suppress(Exception):  # whichever: the client is gone, or is not as we know it
            while not self._is_over.wait(BETWEEN):
                with suppress(TimeoutError):
                    self._look()

    def _look(self) -> None:
        from wandb.proto import wandb_internal_pb2

        messages: Any = wandb_internal_pb2  # its names are made when it is imported
        interface = self._run._interface
        pushed = interface.deliver_poll_exit().wait_or(timeout=ASK_TIMEOUT).response.poll_exit_response
        asked = messages.Record(request=messages.Request(operations=messages.OperationStatsRequest()))
        answered = interface._deliver(asked).wait_or(timeout=ASK_TIMEOUT).response.operations_response
        self.take(
            pushed.pusher_stats.uploaded_bytes,
            sum(value for _, value in pushed.file_counts.ListFields()),
            _names_of(answered.operation_stats.operations),
        )

    def take(self, size: int, files: int, names: Iterable[str]) -> None:
        """Take what the client says, and tell what is new in it.

        Args:
            size: Bytes of files that are on their way or there.
            files: How many these are.
            names: What is under way.
        """
        under_way = {("begun", name) for name in names}
        done = {("done", name) for _, name in self._last - under_way}
        new = (under_way | done) - self._known
        self._last, self._known = under_way, self._known | new
        if new or size > self._bytes:
            self._bytes = max(self._bytes, size)
            self._moved(f"{files:,} {'file' if files == 1 else 'files'} of {self._bytes / 1e6:,.1f} MB")


def _names_of(operations: Iterable[Any]) -> Iterator[str]:
    for operation in operations:
        yield operation.desc
        yield from (f"{operation.desc}: {name}" for name in _names_of(operation.subtasks))
