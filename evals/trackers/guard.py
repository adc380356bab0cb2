"""The guard: begins a tracker's process and ends it in time, so that no test waits for it or fails by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from rag_evals.evals.base.messages import printable
from rag_evals.evals.trackers.messages import messages_in

import rag_evals


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
        self._temporary = ExitStack()
        self._said: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._until: float | None = None
        self._problem = ""

    def start(self) -> None:
        """Begin the process; trouble with it is said at the end."""
        try:
            self._process = self._begun()
        except OSError as error:
            self._problem = f"its process cannot be begun: {error.strerror}"

    def finish(self, count: int) -> list[str]:
        """Wait for the tracker as long as it may take, then end it, and return what there is to say.

        Args:
            count: How many evaluations the run has.
        """
        self.say_over()
        process, self._process = self._process, None
        with self._temporary:
            if process is None or self._said is None:
                return [self._trouble(self._problem)] if self._problem else []
            try:
                in_time = self._wait(process)
            finally:
                kill(process)
            self._said.seek(0)
            messages = messages_in(self._said.read())
        if not _is_written(self._log):
            with suppress(OSError):
                self._log.unlink()
        return self._lines(messages, count, in_time=in_time)

    def _begun(self) -> subprocess.Popen[bytes]:
        # A file, not a pipe: what nobody reads before the end would fill it.
        self._said = self._temporary.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack does
        # What a library leaves where temporary files go, because it was killed, goes with it. Not in the run
        # folder: the path of a socket in it may have some hundred characters.
        scratch = self._temporary.enter_context(
            tempfile.TemporaryDirectory(prefix="rag-evals-", ignore_cleanup_errors=True)
        )
        command = [
            sys.executable,
            "-P",
            "-m",
            "rag_evals.evals.trackers.child",
            self._name,
            str(self._folder),
        ]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [*command, str(self._seconds), scratch],
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=log,
                env=environment(TMPDIR=scratch),
                start_new_session=True,  # a Ctrl-C is for the tests
            )

    def say_over(self) -> None:
        """Tell the tracker that the session is over; what it may take counts from the first time."""
        if self._until is not None or self._process is None or self._process.stdin is None:
            return
        self._until = time.monotonic() + self._seconds
        with suppress(OSError):
            self._process.stdin.close()

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        try:
            process.wait(max(0.0, (self._until or 0.0) - time.monotonic()))
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
            more = f" (see {self._log.name} in the run folder)" if _is_written(self._log) else ""
            problem = f"its process ended before it was done{more}"
        elif not problem:
            taken = f"it had taken {rows:,} of {count:,} evaluations"
            problem = f"not done {self._seconds:g} s after the end, and given up: {taken}"
        return [*said, self._trouble(problem)]

    def _trouble(self, problem: str) -> str:
        return f"{self._name}: {printable(problem)}; `{self._replay}` sends what is missing"


def _is_written(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def environment(**more: str) -> dict[str, str]:
    """Return our own environment and `more`; the process finds this very package, wherever it begins."""
    paths = (str(Path(rag_evals.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, with all that it has begun in it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
