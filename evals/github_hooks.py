"""What a session says in GitHub Actions; registered there only."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from evals.reports.github import stopping_lines, tell_github, warning_line

if TYPE_CHECKING:
    from evals.recorder import Recorder


class GitHubHooks:
    """Prints annotations, writes the summary of the step, and keeps quoted text from giving commands.

    Args:
        environ: The environment.
        recorder: Knows the run and what was decided of it.
    """

    def __init__(self, environ: Mapping[str, str], recorder: Recorder) -> None:
        self._environ = environ
        self._recorder = recorder

    # The outermost: failures, captured output and the short summary quote answers as well.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> Generator[None, Any, Any]:
        """Stop commands around everything that pytest and the recorder say of the run; give ours after it."""
        if self._recorder.decided is None:
            return (yield)
        stop, go_on = stopping_lines()
        terminalreporter.line(stop)
        try:
            return (yield)
        finally:
            terminalreporter.line(go_on)
            for line in self._commands(config):
                terminalreporter.line(line)

    def _commands(self, config: pytest.Config) -> list[str]:
        """Give what GitHub is told; trouble with it is a warning, never a failure."""
        if self._recorder.decided is None:
            return []
        run, ruling, base = self._recorder.decided
        try:
            return tell_github(self._environ, run, ruling, root=config.rootpath, base=base)
        except Exception as error:  # noqa: BLE001  # whatever it is, the run is recorded and decided
            return [warning_line(f"GitHub was not told of the run: {error}")]
