"""The guard: begins a tracker's process and ends it in time, so that no test waits for it or fails by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import evals
from evals.errors import printable
from evals.trackers.messages import messages_in


class Guard:
    """One tracker of one run.

    Args:
        name: Name of the tracker.
        folder: The run folder.
        seconds: What the tracker may take when the session is over.
        replay: The command that sends the run again.
    """

    def __init__(self, name: str, folder: Path, *, seconds: float, replay: str) -> None:
        self._name = name
        self._folder = folder
        self._seconds = seconds
        self._replay = replay
        self._log = folder / f"{name}.log"
        # A file, not a pipe: what nobody reads before the end would fill it.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        self._process: subprocess.Popen[bytes] | None = None
        self._problem = ""

    def start(self) -> None:
        """Begin the process; trouble with it is said at the end."""
        command = [sys.executable, "-m", "evals.trackers.process", self._name, str(self._folder)]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, str(self._seconds)],
                    stdin=subprocess.PIPE,
                    stdout=self._said,
                    stderr=log,
                    env=_environment(),
                    start_new_session=True,  # a Ctrl-C is for the tests
                )
        except OSError as error:
            self._problem = f"its process cannot be begun: {error.strerror}"

    def finish(self, count: int) -> list[str]:
        """Wait for the tracker as long as it may take, then end it, and give what there is to say.

        Args:
            count: How many evaluations the run has.
        """
        process, self._process = self._process, None
        if process is None:
            return [self._trouble(self._problem)] if self._problem else []
        try:
            in_time = self._wait(process)
        finally:
            _kill(process)
        with self._said:
            self._said.seek(0)
            messages = messages_in(self._said.read())
        if process.returncode == 0 and not _is_written(self._log):
            self._log.unlink(missing_ok=True)
        return self._lines(messages, count, in_time=in_time)

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        if process.stdin:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _lines(self, messages: list[Mapping[str, Any]], count: int, *, in_time: bool) -> list[str]:
        said = [f"{self._name}: {printable(str(m['said']))}" for m in messages if "said" in m]
        problem = next((str(m["problem"]) for m in messages if "problem" in m), "")
        rows = max((int(m["rows"]) for m in messages if "rows" in m), default=0)
        if any("done" in message for message in messages):
            return said
        if not problem and in_time:
            problem = f"its process ended before it was done (see {self._log.name} in the run folder)"
        elif not problem:
            taken = f"it had taken {rows:,} of {count:,} evaluations"
            problem = f"not done {self._seconds:g} s after the end, and given up: {taken}"
        return [*said, self._trouble(problem)]

    def _trouble(self, problem: str) -> str:
        return f"{self._name}: {printable(problem)}; `{self._replay}` sends what is missing"


def _environment() -> dict[str, str]:
    """Give our own environment; the process finds this very package, wherever it begins."""
    ours = str(Path(evals.__file__).parents[1])
    paths = (ours, os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()


def _is_written(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except OSError:
        return False
