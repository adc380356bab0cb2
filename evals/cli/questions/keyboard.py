"""Single keys from a terminal, which is left as it was found, however the program ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Keys that send more than one character, and the plain ones that mean the same here.
ARROWS = {b"\x1b[C": "n", b"\x1b[D": "b", b"\x1bOC": "n", b"\x1bOD": "b"}
# A terminal sends the characters of one key together.
TOGETHER = 0.05  # seconds
END_OF_INPUT = b"\x04"


class Keyboard:
    """The keys of the terminal that standard input is; Ctrl-C stays what it is."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> Keyboard:
        """Have keys given one by one, without the terminal showing them."""
        try:
            import termios
            import tty
        except ImportError:  # Windows has none: a key is the first of its line
            return self
        self._before = termios.tcgetattr(sys.stdin.fileno())
        tty.setcbreak(sys.stdin.fileno(), termios.TCSADRAIN)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    @contextlib.contextmanager
    def lines(self) -> Iterator[None]:
        """Have whole lines given for a while, to whoever reads them."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def read(self) -> str | None:
        """Wait for a key and give it, an empty text for one that means nothing, None at the input's end."""
        if self._before is None:
            line = sys.stdin.readline()
            return line.strip()[:1].lower() if line else None
        data = _bytes_of_key(sys.stdin.fileno())
        if data in (b"", END_OF_INPUT):
            return None
        return ARROWS.get(data, data.decode(errors="ignore").lower() if len(data) == 1 else "")


def _bytes_of_key(file: int) -> bytes:
    """Read one key: a character, or a sequence that a terminal sends for one; not what is typed behind it."""
    data = os.read(file, 1)
    if data == b"\x1b":
        data += _next(file)
        while data[1:2] in (b"[", b"O") and not (len(data) > 2 and 0x40 <= data[-1] <= 0x7E):
            more = _next(file)
            if not more:
                break
            data += more
    elif data >= b"\xc2":  # begins a character of two to four bytes
        for _ in range(1 + (data >= b"\xe0") + (data >= b"\xf0")):
            data += _next(file)
    return data


def _next(file: int) -> bytes:
    return os.read(file, 1) if select.select([file], [], [], TOGETHER)[0] else b""


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End with an exception where a signal would end the program at once, so that all is put in order."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
