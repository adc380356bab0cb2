"""A terminal that tests can look at, and programs that run in it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyte


class Emulator:
    """A terminal of so many columns and rows; what has scrolled off its top is kept."""

    def __init__(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Show what a program has written; a line feed alone stays in its column."""
        self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """Everything that was written and is still there, from the first row that has scrolled off."""
        columns, _ = self.size
        gone = ["".join(row[n].data for n in range(columns)) for row in self._screen.history.top]
        lines = [line.rstrip() for line in (*gone, *self._screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def run_in_terminal(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], columns: int, rows: int
) -> Iterator[bytes]:
    """Run `command` in a pseudo-terminal; yield what it writes, piece by piece."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen(command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        try:
            while piece := _read(ours):
                yield piece
        finally:
            os.close(ours)


def _read(file: int) -> bytes:
    try:
        return os.read(file, 4096)
    except OSError:  # Linux's way of saying that nobody has the other end
        return b""
