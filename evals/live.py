"""Where and when the line of progress is written: below pytest's output, and never into it.

On a terminal there is one line below what pytest has written. pytest leaves the cursor behind its last dot:
the line is drawn under the cursor, which is put back, and is erased before pytest writes again.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TextIO

from evals.progress import Progress
from evals.reports.wrapping import columns_of

# `terminal`: one line that is drawn anew. `log`: now and then a line that stays.
Place = Literal["terminal", "log"]

PERIODS: Mapping[Place, float] = {"terminal": 0.5, "log": 30.0}  # seconds
LOG_WIDTH = 120  # columns

# Index (down, scrolling at the last row) and back up: from here on there is a row below.
_ROOM = "\x1bD\x1b[A"
# Save the cursor, go to the start of the row below, ...
_DOWN = "\x1b7\x1b[B\r"
# ... and put the cursor back.
_BACK = "\x1b8"
# Behind pytest's last character there is nothing but the line: erase from the cursor to the screen's end.
# Before drawing too: when somebody has written a line unguarded, the cursor is in the live line's row.
_ERASE = "\x1b[J"
_COLORS = re.compile(r"\x1b\[[\d;]*m")


def place_for(
    *, is_terminal: bool, verbosity: int, capture: str, has_reporter: bool, environ: Mapping[str, str]
) -> Place | None:
    """Say where the line goes, None for nowhere.

    It goes nowhere with `-q`, without pytest's reporter (`-p no:terminal`), and where tests write to the
    terminal themselves: only `--capture=fd`, pytest's default, keeps all of them from it.

    Args:
        is_terminal: Whether pytest writes to a terminal.
        verbosity: pytest's, 0 by default.
        capture: What `--capture` says.
        has_reporter: Whether pytest reports to a terminal or a file at all.
        environ: Environment variables: `TERM`, and `CI`, which continuous integration sets.
    """
    if verbosity < 0 or capture != "fd" or not has_reporter:
        return None
    if is_terminal:
        return None if environ.get("TERM", "dumb") in ("", "dumb", "unknown") else "terminal"
    return "log" if is_ci(environ) else None


def is_ci(environ: Mapping[str, str]) -> bool:
    """Tell whether continuous integration runs this."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def copy_of(file: TextIO) -> TextIO | None:
    """Give a stream of its own to where `file` writes now; None if that is no file of the system.

    While a test runs pytest lets standard output go to a file: `file` itself then leads there.
    """
    try:
        copied = os.dup(file.fileno())
    except (OSError, ValueError, AttributeError):  # io.UnsupportedOperation is both of the first
        return None
    return os.fdopen(copied, "w", encoding=file.encoding, errors="replace", newline="")


class LiveLine:
    """Writes the line of progress from a thread of its own, until it is closed.

    Args:
        stream: What is written to; of its own, as `copy_of` gives it. It is closed with the line.
        progress: Gives the line.
        place: Where that is.
        column: Number of columns that pytest has filled of its present row.
        is_free: Tells whether nothing but the guarded stream can write to that place right now.
        size: Gives columns and rows of the terminal; those of `stream` by default.
        clock: As that of `progress`.
    """

    def __init__(
        self,
        stream: TextIO,
        progress: Progress,
        place: Place,
        *,
        column: int = 0,
        is_free: Callable[[], bool] = lambda: True,
        size: Callable[[], tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._progress = progress
        self._place = place
        self._column = column
        self._is_free = is_free
        self._size = size or (lambda: terminal_size(stream))
        self._clock = clock
        # Reentrant: what handles a signal may write to the terminal in the middle of our writing.
        self._lock = threading.RLock()
        self._is_shown = False
        self._is_paused = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="evals-live", daemon=True)

    def start(self) -> None:
        """Begin to write, for the first time when a period has gone by."""
        self._thread.start()

    def draw(self) -> None:
        """Write the line now, unless there is nothing to say, no room for it, or a pause."""
        with self._lock:
            if self._is_paused or self._closing.is_set() or not self._progress.is_begun:
                return
            try:
                if self._is_free():
                    (self._draw_line if self._place == "terminal" else self._add_line)()
            except (OSError, ValueError):  # the terminal is gone: no trouble of the run's
                self._closing.set()

    def pause(self) -> None:
        """Erase the line, and draw none until `resume`."""
        with self._lock:
            self._erase()
            self._is_paused = True

    def resume(self) -> None:
        """Draw again, from the next period on."""
        with self._lock:
            self._is_paused = False

    @contextlib.contextmanager
    def aside(self, text: str) -> Iterator[None]:
        """Keep the line away while somebody else writes `text`, and flushes it."""
        with self._lock:
            self._erase()
            yield
            self._column = column_behind(text, self._column)

    def close(self) -> None:
        """Erase the line, for good, and end the thread."""
        with self._lock:
            self._erase()
            self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        with contextlib.suppress(OSError, ValueError):
            self._stream.close()

    def _tick(self) -> None:
        while not self._closing.wait(PERIODS[self._place]):
            self.draw()

    def _draw_line(self) -> None:
        columns, rows = self._size()
        # Behind a full row terminals do not agree on where the cursor is, nor on whether they can save it.
        is_at_edge = self._column > 0 and self._column % columns == 0
        if rows < 3 or is_at_edge:
            self._erase()
            return
        # The last column stays free: a full row would wrap.
        text = self._progress.line(columns - 1, self._clock())
        self._is_shown = True
        self._write(f"{_ERASE}{_ROOM}{_DOWN}{text}{_BACK}")

    def _erase(self) -> None:
        if self._is_shown:
            self._is_shown = False
            with contextlib.suppress(OSError, ValueError):
                self._write(_ERASE)

    def _add_line(self) -> None:
        """Write a line of its own between pytest's dots, which go on where they were."""
        text = self._progress.line(LOG_WIDTH, self._clock())
        self._write(f"\n{text}\n{' ' * self._column}" if self._column else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)  # in one go: it is flushed as one
        self._stream.flush()


class Guarded:
    """pytest's own stream: before anything is written to it, the live line is erased.

    Args:
        file: The stream.
        live: The line.
    """

    def __init__(self, file: TextIO, live: LiveLine) -> None:
        self._file = file
        self._live = live

    def write(self, text: str) -> int:
        """Write at once: what lingered in a buffer would come out when the line is there again."""
        with self._live.aside(text):
            count = self._file.write(text)
            self._file.flush()
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def column_behind(text: str, column: int) -> int:
    """Give the number of filled columns when `text`, with or without colors, is written behind `column`."""
    last = re.split(r"[\r\n]", _COLORS.sub("", text))
    return columns_of(last[-1]) + (column if len(last) == 1 else 0)


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Give columns and rows of the terminal behind `stream`; 80 and 24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24
