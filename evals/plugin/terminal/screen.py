"""The screen: what a session says while it goes on, before pytest reports anything."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TextIO

import pytest
from rag_evals.evals.plugin.workers import Workers


class Screen:
    """Says lines at once where pytest writes to a terminal; elsewhere they are kept for the end.

    Args:
        config: Pytest's configuration.
        workers: Which process this is: a worker's lines are the controller's to say.

    Attributes:
        said: Lines that could not be said at once.
    """

    def __init__(self, config: pytest.Config, workers: Workers) -> None:
        self._config = config
        self._workers = workers
        self.said: list[str] = []
        self._lock = threading.Lock()
        self._copy: TextIO | None = None

    @property
    def is_shown(self) -> bool:
        """Whether progress on standard error is seen, and wanted: a worker's is the terminal, too."""
        is_quiet = getattr(self._config.option, "verbose", 0) < 0
        return not is_quiet if self._workers.is_worker else self._reporter is not None

    def say(self, line: str) -> None:
        """Say something now, or keep it."""
        if (reporter := self._reporter) is not None:
            reporter.ensure_newline()
            reporter.write_line(line)
            return
        self.said.append(line)
        self._workers.tell("evals_said", self.said)

    def say_in_test(self, line: str) -> None:
        """Say something while a test runs, from any thread; where `copied` is not, keep it."""
        with self._lock:
            if self._copy is None:
                self.said.append(line)
                return
            column = self._config.get_terminal_writer().width_of_current_line
            # A terminal that is gone is no trouble of the run's.
            with suppress(OSError, ValueError):
                self._copy.write(f"\n{line}\n{' ' * column}" if column else f"{line}\n")
                self._copy.flush()

    @contextmanager
    def copied(self) -> Iterator[None]:
        """Have what is said in tests reach the terminal: in a test standard output leads elsewhere."""
        with suppress(OSError, ValueError):  # no file of the system: pytest run inside pytest
            copy = os.dup(sys.stdout.fileno())
            self._copy = os.fdopen(copy, "w", encoding=sys.stdout.encoding, errors="replace")
        try:
            yield
        finally:
            with self._lock:
                stream, self._copy = self._copy, None
            if stream:
                with suppress(OSError, ValueError):
                    stream.close()

    def hear(self, lines: list[str]) -> None:
        """Keep what a worker had to say; what several say is said once."""
        self.said += [line for line in lines if line not in self.said]

    def uncaptured(self) -> AbstractContextManager[None]:
        """Let what is said now reach the terminal: while files are collected pytest captures it."""
        manager = self._config.pluginmanager.get_plugin("capturemanager")
        disabled: AbstractContextManager[None] = (
            manager.global_and_fixture_disabled() if manager else nullcontext()
        )
        return disabled

    @property
    def _reporter(self) -> Any:
        """What writes to the terminal; None where nothing does, as in a worker, or where nothing is to."""
        if self._workers.is_worker or getattr(self._config.option, "verbose", 0) < 0:
            return None
        return self._config.pluginmanager.get_plugin("terminalreporter")
