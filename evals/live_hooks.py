"""The live line's place in pytest: it begins with the first test and is gone before the last word.

Not hooks but pytest's stream is watched: whatever goes through the terminal writer, be it from pytest, from
xdist or from a live log, finds the line gone.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TextIO, cast

import pytest

from evals.live import Guarded, LiveLine, copy_of, place_for
from evals.progress import Progress


class LiveHooks:
    """Shows the progress of a session's evaluations; in an xdist worker nobody would see it.

    Args:
        config: pytest's configuration.
        progress: What is shown. A session that evaluates nothing never has any, and shows nothing.
    """

    def __init__(self, config: pytest.Config, progress: Progress) -> None:
        self._config = config
        self._progress = progress
        self._live: LiveLine | None = None
        self._file: TextIO | None = None
        self._is_decided = False

    # Innermost: when the loop is over pytest's reporter writes again, outside of the stream's watch.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Show the line from the first test to the last."""
        try:
            if self._progress.is_begun and not self._config.option.collectonly:
                self._begin()
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        """Begin with the first evaluation where xdist's controller is not told of any before."""
        if not self._is_decided and self._progress.is_begun:
            self._begin()

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        if self._live is not None:
            self._live.pause()

    def pytest_leave_pdb(self) -> None:
        """Take up the line behind the debugger."""
        if self._live is not None:
            self._live.resume()

    def _begin(self) -> None:
        self._is_decided = True
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        place = place_for(
            is_terminal=reporter is not None and reporter.isatty(),
            verbosity=self._config.option.verbose,
            capture=self._config.getoption("capture", "no"),
            has_reporter=reporter is not None,
            environ=os.environ,
        )
        if place is None:
            return
        writer = self._config.get_terminal_writer()
        # The one gate that everything written by pytest goes through; it has no public name.
        file = writer._file
        stream = copy_of(file)
        if stream is None:
            return
        # While a test's output is captured `file` leads elsewhere, and to the terminal only when somebody is
        # about to write there: pytest, a live log, a breakpoint. Under xdist tests run in other processes.
        is_parallel = self._config.pluginmanager.has_plugin("dsession")
        live = LiveLine(
            stream,
            self._progress,
            place,
            column=writer.width_of_current_line,
            is_free=lambda: is_parallel or not os.path.sameopenfile(file.fileno(), stream.fileno()),
        )
        self._live, self._file = live, file
        writer._file = cast(TextIO, Guarded(file, live))
        live.start()

    def _end(self) -> None:
        if self._live is None or self._file is None:
            return
        self._live.close()
        self._config.get_terminal_writer()._file = self._file
        self._live = self._file = None
