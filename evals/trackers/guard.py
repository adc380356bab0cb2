"""The guard: begins a tracker's process and ends it in time, so that no test waits for it or fails by it.

When the session is over a tracker is waited for as long as it gets on: what it says is a sign that something
moves, and silence for a while that nothing does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.masking import masked_text
from rag_evals.evals.trackers.messages import messages_in
from rag_evals.rag.native.children import child_environment

# Seconds: between two looks; before it is said what is waited for, and from there to the next time.
BETWEEN_LOOKS = 0.05
FIRST_TOLD, BETWEEN_TOLD = 5.0, 15.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a tracker is waited for when the session is over.

    Attributes:
        standstill: Seconds in which nothing moves.
        most: Seconds in all.
    """

    standstill: float
    most: float


@dataclass(frozen=True, slots=True)
class Ended:
    """What trackers had to say.

    Attributes:
        lines: All of it.
        unsent: Those of the lines that say which command sends what is missing.
    """

    lines: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()


def finish(guards: Sequence[Guard], count: int, tell: Callable[[str], None] | None = None) -> Ended:
    """Wait for trackers, side by side, as long as they get on; then end them.

    Ctrl-C ends the waiting, and nothing else.

    Args:
        guards: Theirs.
        count: How many evaluations the run has.
        tell: Is told now and then what is waited for, in a line; None where nobody reads it.
    """
    for guard in guards:
        guard.say_over()
    try:
        _wait(guards, count, tell)
    except KeyboardInterrupt:
        for guard in guards:
            guard.give_up("not done when Ctrl-C ended the waiting")
    lines = [(guard, line) for guard in guards for line in guard.finish(count)]
    return Ended(
        tuple(line for _, line in lines),
        tuple(line for guard, line in lines if f"`{guard.replay}`" in line),
    )


def _wait(guards: Sequence[Guard], count: int, tell: Callable[[str], None] | None) -> None:
    told = time.monotonic() + FIRST_TOLD
    while waited := [guard for guard in guards if guard.is_waited_for()]:
        if tell and time.monotonic() >= told:
            told += BETWEEN_TOLD
            for guard in waited:
                tell(guard.progress(count))
        time.sleep(BETWEEN_LOOKS)


class Guard:
    """One tracker of one run.

    Args:
        name: Name of the tracker.
        folder: The run folder.
        patience: How long the tracker is waited for when the session is over.
        replay: The command that sends the run again.

    Attributes:
        replay: The same.
    """

    def __init__(self, name: str, folder: Path, *, patience: Patience, replay: str) -> None:
        self._name = name
        self._folder = folder
        self._patience = patience
        self.replay = replay
        self._log = folder / f"{name}.log"
        self._temporary = ExitStack()
        self._said: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._over: float | None = None
        self._moved = 0.0
        self._size = 0
        self._given_up = ""
        self._problem = ""

    def start(self) -> None:
        """Begin the process; trouble with it is said at the end."""
        try:
            self._process = self._begun()
        except OSError as error:
            self._problem = f"its process cannot be begun: {error.strerror}"

    def finish(self, count: int) -> list[str]:
        """End the tracker, and return what there is to say.

        Args:
            count: How many evaluations the run has.
        """
        process, self._process = self._process, None
        with self._temporary:
            if process is None or self._said is None:
                return [self._trouble(self._problem)] if self._problem else []
            kill(process)
            messages = self._messages()
        with suppress(OSError):
            if _is_written(self._log):
                _mask(self._log)
            else:
                self._log.unlink()
        return self._lines(messages, count)

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
                [*command, str(self._patience.standstill), str(self._patience.most), scratch],
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=log,
                env=child_environment(TMPDIR=scratch),
                start_new_session=True,  # a Ctrl-C is for the tests
            )

    def say_over(self) -> None:
        """Tell the tracker that the session is over; what it may take counts from the first time."""
        if self._over is not None or self._process is None or self._process.stdin is None:
            return
        self._over = self._moved = time.monotonic()
        with suppress(OSError):
            self._process.stdin.close()

    def is_waited_for(self) -> bool:
        """Return whether the tracker is at work and gets on; one that does not is given up."""
        if self._process is None or self._said is None or self._given_up or self._process.poll() is not None:
            return False
        now, size = time.monotonic(), os.fstat(self._said.fileno()).st_size
        if size != self._size:
            self._size, self._moved = size, now
        if now - (self._over or now) >= self._patience.most:
            self.give_up(f"not done {self._patience.most:g} s after the end")
        elif now - self._moved >= self._patience.standstill:
            self.give_up(f"nothing moved for {self._patience.standstill:g} s")
        return not self._given_up

    def give_up(self, reason: str) -> None:
        """Wait no more for a tracker that has not ended."""
        if self._process is not None and self._process.poll() is None and not self._given_up:
            self._given_up = reason

    def progress(self, count: int) -> str:
        """Return in a line how far the tracker is with `count` evaluations."""
        messages = self._messages()
        moved = next((str(m["moved"]) for m in reversed(messages) if m.get("moved")), "")
        far = ", ".join(filter(None, (_taken(messages, count), moved)))
        return f"{self._name}: still sending: {printable(far)}; Ctrl-C ends the waiting"

    def _messages(self) -> list[Mapping[str, Any]]:
        """Return what the process has said; the place where it goes on writing stays where it is."""
        if self._said is None:
            return []
        file = self._said.fileno()
        return messages_in(os.pread(file, os.fstat(file).st_size, 0))

    def _lines(self, messages: list[Mapping[str, Any]], count: int) -> list[str]:
        said = [f"{self._name}: {printable(str(m['said']))}" for m in messages if "said" in m]
        problem = next((str(m["problem"]) for m in messages if "problem" in m), "")
        if any("done" in message for message in messages):
            return said
        if not problem and not self._given_up:
            more = f" (see {self._log.name} in the run folder)" if _is_written(self._log) else ""
            problem = f"its process ended before it was done{more}"
        elif not problem:
            problem = f"{self._given_up}, and given up: it had taken {_taken(messages, count)}"
        return [*said, self._trouble(problem)]

    def _trouble(self, problem: str) -> str:
        return f"{self._name}: {printable(problem)}; `{self.replay}` sends what is missing"


def _taken(messages: Sequence[Mapping[str, Any]], count: int) -> str:
    rows = max((int(m["rows"]) for m in messages if "rows" in m), default=0)
    return f"{rows:,} of {count:,} evaluations"


def _mask(log: Path) -> None:
    """Take out of a log what a library said of credentials."""
    said = log.read_text("utf-8", errors="replace")
    if (plain := masked_text(said)) != said:
        log.write_text(plain, "utf-8")


def _is_written(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, with all that it has begun in it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
