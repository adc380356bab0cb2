"""The status line of a session: a line between pytest's own now and then, on terminals and in logs of CI."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator
from functools import cached_property
from typing import TextIO

import pytest
from rag_evals.evals.reports.progress import LOG_WIDTH, PERIOD, Progress, is_ci

FIRST = 10.0  # seconds: models are being loaded, and somebody may wonder


class LiveHooks:
    """Writes how far a session's evaluations are; in an xdist worker nobody would see it.

    Args:
        config: pytest's configuration.
        progress: Gives the line. A session that evaluates nothing never has any.
    """

    def __init__(self, config: pytest.Config, progress: Progress) -> None:
        self._config = config
        self._progress = progress
        self._thread: threading.Thread | None = None
        self._is_paused = False
        self._is_over = threading.Event()

    @cached_property
    def _is_read(self) -> bool:
        """Whether somebody reads along: not with `-q`, nor where output goes to a file outside of CI."""
        has_reporter = self._config.pluginmanager.has_plugin("terminalreporter")
        is_shown = has_reporter and self._config.option.verbose >= 0
        return is_shown and (sys.stdout.isatty() or is_ci(os.environ))

    # Innermost: when the loop is over pytest's reporter goes on to write.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Write from the first test to the last."""
        try:
            self._begin()
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End where these hooks came after the first test, as in xdist's controller."""
        self._end()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        """Begin with the first evaluation where xdist's controller is not told of any before."""
        self._begin()

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        self._is_paused = True

    def pytest_leave_pdb(self) -> None:
        """Go on behind the debugger."""
        self._is_paused = False

    def _end(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if self._thread or not self._progress.is_begun or not self._is_read:
            return
        # Between tests standard output is where pytest writes; in a test it leads elsewhere, a copy does not.
        with contextlib.suppress(OSError, ValueError):  # no file of the system: pytest run inside pytest
            copy = os.dup(sys.stdout.fileno())
            stream = os.fdopen(copy, "w", encoding=sys.stdout.encoding, errors="replace")
            width = self._config.get_terminal_writer().fullwidth if stream.isatty() else LOG_WIDTH
            self._thread = threading.Thread(target=self.write, args=(stream, width), daemon=True)
            self._thread.start()

    def write(self, stream: TextIO, width: int) -> None:
        """Write a line to `stream` now and then until the tests are over, and close it."""
        writer, pause = self._config.get_terminal_writer(), FIRST
        # A terminal that is gone is no trouble of the run's.
        with contextlib.suppress(OSError, ValueError), stream:
            while not self._is_over.wait(pause):
                pause = PERIOD
                if not self._is_paused:
                    text, column = self._progress.line(width), writer.width_of_current_line
                    # Between the dots, which go on in the column where they were.
                    stream.write(f"\n{text}\n{' ' * column}" if column else f"{text}\n")
                    stream.flush()
