"""The steps of the set-up: commands under way, how long they took, and what their output says went wrong."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Lines of pip's and the compiler's that say what went wrong, and those that only say that something did.
TELLING = ("error:", "no space left", "cmake error", "killed")
EMPTY = (
    "subprocess-exited",
    "did not run successfully",
    "failed to build",
    "failed building",
    "metadata-gen",
)
SHOWN = 8


class Job:
    """A command under way, its output kept."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the job
        self._began = time.monotonic()
        self.seconds = 0.0
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def is_done(self) -> bool:
        """Return whether the command has ended."""
        self.seconds = time.monotonic() - self._began
        return self._process.poll() is not None

    @property
    def status(self) -> int:
        """The exit status, once it is done."""
        return self._process.wait()

    @property
    def said(self) -> str:
        """All that it wrote."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def end(self) -> None:
        """End the command if it still runs."""
        self._process.terminate()
        self._process.wait()
        self._output.close()


def finished(jobs: Mapping[str, Job]) -> Iterator[tuple[str, Job]]:
    """Yield each job with its label as it ends."""
    waiting = dict(jobs)
    while waiting:
        for label, job in list(waiting.items()):
            if job.is_done():
                del waiting[label]
                yield label, job
        time.sleep(0.1)


def telling_lines(said: str) -> list[str]:
    """Return the lines of pip's output that say what went wrong, the last line if none does."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [
        line
        for line in dict.fromkeys(lines)
        if any(word in line.lower() for word in TELLING) and not any(word in line.lower() for word in EMPTY)
    ]
    return telling[:SHOWN] or lines[-1:]


@contextmanager
def timed(label: str) -> Iterator[None]:
    """Print a step, and its seconds once it is done."""
    print(f"  {label} ...", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    seconds = time.monotonic() - began
    print(f" {seconds:.0f} s" if seconds >= 10 else f" {seconds:.1f} s", flush=True)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
