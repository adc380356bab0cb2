"""The listener for GitHub Actions, registered there only."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import pytest
from rag_evals.evals.plugin.recording.recorder import Recorder
from rag_evals.evals.plugin.recording.summary import Decided
from rag_evals.evals.reports.github import stopping_lines, tell_github, unsent_text, warning_line


class GitHubHooks:
    """Prints annotations, writes the summary of the step, and keeps quoted text from giving commands.

    Args:
        environ: The environment.
        recorder: Knows what trackers did not send.
    """

    def __init__(self, environ: Mapping[str, str], recorder: Recorder) -> None:
        self._environ = environ
        self._recorder = recorder
        self._decided: Decided | None = None

    def hear(self, decided: Decided) -> None:
        """Take what was decided of the run."""
        self._decided = decided

    # The outermost: failures, captured output and the short summary quote answers as well.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> Generator[None, Any, Any]:
        """Stop commands around everything that pytest and the summary say of the run; yield ours after it."""
        if self._decided is None:
            return (yield)
        stop, go_on = stopping_lines()
        terminalreporter.line(stop)
        try:
            return (yield)
        finally:
            terminalreporter.line(go_on)
            for line in self._commands(config, self._decided):
                terminalreporter.line(line)

    def _commands(self, config: pytest.Config, decided: Decided) -> list[str]:
        """Return what GitHub is told; trouble with it is a warning, never a failure."""
        run, decision, base = decided.run, decided.decision, decided.base
        folder = self._recorder.folder
        more = unsent_text(self._recorder.unsent, folder.path) if folder else ""
        try:
            return tell_github(self._environ, run, decision, root=config.rootpath, base=base, more=more)
        except Exception as error:  # noqa: BLE001  # whatever it is, the run is recorded and decided
            return [warning_line(f"GitHub was not told of the run: {error}")]
