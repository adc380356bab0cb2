"""The live line in a terminal: whatever is written above it, it leaves no trace."""

from __future__ import annotations

import io
import os
import random
import threading

import pytest

from evals.live import Guarded, LiveLine, column_behind, copy_of, place_for, terminal_size
from evals.progress import Progress
from tests.emulator import Emulator

TERMINAL = {"TERM": "xterm"}
USUAL = {"verbosity": 0, "capture": "fd", "has_reporter": True}


@pytest.mark.parametrize(
    ("is_terminal", "environ", "changed", "place"),
    [
        (True, TERMINAL, {}, "terminal"),
        (True, TERMINAL, {"verbosity": 2}, "terminal"),
        (True, {**TERMINAL, "NO_COLOR": "1"}, {}, "terminal"),
        (True, {**TERMINAL, "CI": "true"}, {}, "terminal"),
        (True, {"TERM": "dumb"}, {}, None),
        (True, {}, {}, None),
        (False, {"CI": "true"}, {}, "log"),
        (False, {"CI": "1", "TERM": "dumb"}, {}, "log"),
        (False, {"CI": "false"}, {}, None),
        (False, {"CI": ""}, {}, None),
        (False, TERMINAL, {}, None),
        *(
            (is_terminal, {**TERMINAL, "CI": "true"}, changed, None)
            for is_terminal in (True, False)
            for changed in (
                {"verbosity": -1},
                {"capture": "no"},
                {"capture": "sys"},
                {"capture": "tee-sys"},
                {"has_reporter": False},
            )
        ),
    ],
)
def test_where_the_line_goes(is_terminal, environ, changed, place):
    """On terminals that can do it, in the logs of continuous integration, and nowhere else."""
    assert place_for(is_terminal=is_terminal, environ=environ, **{**USUAL, **changed}) == place


class Tty(io.StringIO):
    """A stream into an emulator, as the system's terminal driver passes it on."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self._emulator = emulator

    def write(self, text: str) -> int:
        self._emulator.feed(text.replace("\n", "\r\n").encode())
        return len(text)


class Desk:
    """Two terminals next to each other: pytest writes to both, the live line is on one."""

    def __init__(self, columns: int, rows: int, place: str = "terminal") -> None:
        self.plain, self.shared = Emulator(columns, rows), Emulator(columns, rows)
        self.progress = Progress(28)
        self.column = 0
        self.live = LiveLine(
            Tty(self.shared),
            self.progress,
            place,
            size=lambda: self.shared.size,
        )
        self._plainly, self._guarded = Tty(self.plain), Guarded(Tty(self.shared), self.live)

    def write(self, text: str) -> None:
        """Let pytest write."""
        self._plainly.write(text)
        self._guarded.write(text)
        self.column = len(text.rpartition("\n")[2]) + (0 if "\n" in text else self.column)

    @property
    def is_at_edge(self) -> bool:
        return self.column > 0 and self.column % self.plain.size[0] == 0

    def check(self) -> None:
        """Hold the one terminal against the other, with the line and without."""
        before = self.plain.lines
        assert self.shared.lines == before
        self.live.draw()
        if self.is_at_edge:
            assert self.shared.lines == before
            return
        *above, line = self.shared.lines
        assert line == "evals 0/28"
        while above and not above[-1]:
            above.pop()
        assert above == before


DOTS = ["test_a.py ", *("." * 55), "\n", "test_b.py ", *("." * 11), "\n", "\n", "=== summary ===\n"]
MANY = [f"test_{n}.py {'.' * (n % 7)}\n" for n in range(40)]
VERBOSE = [
    piece
    for n in range(12)
    for piece in (f"test_it.py::test_answer[baseline-{'x' * n * 3}] ", "PASSED", " " * 9, "[ 50%]", "\n")
]
FAILURES = ["test_a.py ", *"..F.F", "\n", "== FAILURES ==\n", *(f"E   assert {n}\n" for n in range(30))]


@pytest.mark.parametrize("size", [(20, 8), (33, 24), (80, 3), (12, 5), (80, 100)], ids=str)
@pytest.mark.parametrize(
    "pieces", [DOTS, MANY, VERBOSE, FAILURES], ids=["dots", "many", "verbose", "failures"]
)
def test_the_line_leaves_no_trace(size, pieces):
    """At every moment: wrapping dots, more rows than the screen has, long lines, tracebacks at the end."""
    desk = Desk(*size)
    for piece in pieces:
        desk.check()
        desk.write(piece)
    desk.check()
    desk.live.close()
    assert desk.shared.lines == desk.plain.lines


@pytest.mark.parametrize("seed", range(30))
def test_the_line_leaves_no_trace_whatever_is_written(seed):
    """Pieces of every length, with and without line ends, on terminals of every size."""
    rng = random.Random(seed)
    desk = Desk(rng.randint(11, 60), rng.randint(3, 12))
    for _ in range(60):
        piece = "".join(rng.choice("abc.F") for _ in range(rng.choice((0, 1, 1, 1, 5, 40, 90))))
        desk.write(piece + rng.choice(("", "", "\n", "\n\n")))
        if rng.random() < 0.7:
            desk.check()
    desk.live.close()
    desk.write("\n")
    assert desk.shared.lines == desk.plain.lines


def test_no_room():
    """A terminal of two rows has none to spare."""
    desk = Desk(40, 2)
    desk.write("test_a.py ..")
    desk.live.draw()
    assert desk.shared.lines == desk.plain.lines


def test_nothing_to_say():
    """Before there is a number or an evaluation there is no line."""
    desk = Desk(40, 10)
    desk.progress.expect(0)
    desk.live.draw()
    assert desk.shared.lines == []


def test_pause():
    """While somebody else has the terminal, the line is gone and stays away."""
    desk = Desk(40, 10)
    desk.live.draw()
    assert desk.shared.lines == ["", "evals 0/28"]
    desk.live.pause()
    desk.live.draw()
    assert desk.shared.lines == []
    desk.live.resume()
    desk.live.draw()
    assert desk.shared.lines == ["", "evals 0/28"]
    desk.live.close()
    desk.live.draw()
    assert desk.shared.lines == []


def test_a_shorter_line_leaves_nothing_of_a_longer_one():
    """The number of pieces changes all the time."""
    desk = Desk(60, 10)
    desk.progress.started("baseline", "a-long-name-of-a-question")
    desk.live.draw()
    assert desk.shared.lines[-1] == "evals 0/28 · baseline a-long-name-of-a-question"
    desk.progress.started("b", "c")
    desk.live.draw()
    assert desk.shared.lines == ["", "evals 0/28 · b c"]


def test_the_last_column_stays_free():
    """A full row would leave the cursor where terminals disagree."""
    desk = Desk(24, 10)
    for name in ("1234567", "12345678", "123456789"):
        desk.progress.started(name, "a")
        desk.live.draw()
        assert desk.shared.lines[-1] == (f"evals 0/28 · {name} a" if len(name) < 9 else "evals 0/28")


@pytest.mark.parametrize(
    ("text", "column", "behind"),
    [
        ("", 7, 7),
        ("...", 7, 10),
        ("..\n", 7, 0),
        ("..\nab", 7, 2),
        ("\x1b[32m.\x1b[0m\x1b[1;31mF\x1b[0m", 7, 9),
        ("\rcollected 3", 7, 11),
        ("大", 7, 9),
    ],
)
def test_columns_that_are_filled(text, column, behind):
    """Colors take no columns; a return begins the row anew."""
    assert column_behind(text, column) == behind


def test_not_while_others_may_write():
    """Nothing is drawn while somebody has the terminal whom the guard does not see."""
    emulator = Emulator(40, 10)
    free = [False, True]
    live = LiveLine(
        Tty(emulator), Progress(3), "terminal", is_free=lambda: free.pop(0), size=lambda: emulator.size
    )
    live.draw()
    assert emulator.lines == []
    live.draw()
    assert emulator.lines == ["", "evals 0/3"]


def test_a_line_that_was_written_past_the_guard():
    """It overwrites the live line in part; the rest of that is gone with the next drawing."""
    desk = Desk(40, 10)
    desk.live.draw()
    Tty(desk.shared).write("from elsewhere\n")
    desk.live.draw()
    assert desk.shared.lines == ["from elsewhere", "", "evals 0/28"]


def test_lines_of_a_log():
    """Between the dots, on lines of their own; the dots go on in the column where they were."""
    desk = Desk(40, 20, place="log")
    desk.live.draw()
    desk.write("test_a.py ")
    desk.write("...")
    desk.live.draw()
    desk.write(".F")
    desk.write("  [100%]\n")
    desk.live.close()
    assert desk.shared.lines == [
        "evals 0/28",
        "test_a.py ...",
        "evals 0/28",
        "             .F  [100%]",
    ]


def test_a_terminal_that_is_gone():
    """Its end is no trouble of the run's: the thread stops, and pytest is left to find out itself."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    def closed() -> bool:
        raise ValueError("I/O operation on closed file")

    for is_free in (lambda: True, closed):
        live = LiveLine(Gone(), Progress(3), "terminal", is_free=is_free, size=lambda: (80, 24))
        live.draw()
        live.pause()
        live.resume()
        live.draw()
        live.close()


def test_the_thread_draws(monkeypatch):
    """From `start` to `close` the line is drawn by itself, and nothing of it stays: no thread, no text."""
    monkeypatch.setattr("evals.live.PERIODS", {"terminal": 0.001})
    drawn = threading.Event()
    emulator = Emulator(40, 10)

    class Watched(Tty):
        def write(self, text: str) -> int:
            drawn.set()
            return super().write(text)

    before = threading.active_count()
    live = LiveLine(Watched(emulator), Progress(3), "terminal", size=lambda: emulator.size)
    live.start()
    assert drawn.wait(10)
    live.close()
    assert emulator.lines == []
    assert threading.active_count() == before


def test_a_copy_goes_where_the_file_went(tmp_path):
    """The capture of pytest leads file descriptor 1 elsewhere while a test runs; a copy stays."""
    with (tmp_path / "terminal").open("w", encoding="ascii") as file:
        copy = copy_of(file)
        assert copy is not None
        with (tmp_path / "captured").open("w") as captured:
            os.dup2(captured.fileno(), file.fileno())
        copy.write("evals 3/28 · a\n")
        copy.close()
    assert (tmp_path / "terminal").read_text("ascii") == "evals 3/28 ? a\n"
    assert (tmp_path / "captured").read_text() == ""


def test_no_copy_of_what_is_no_file():
    """Streams that are only objects, as in pytest run inside pytest, have no live line."""
    assert copy_of(io.StringIO()) is None


def test_guarded_stream_is_still_the_stream(tmp_path):
    """Whatever else it can do goes through."""
    desk = Desk(40, 10)
    with (tmp_path / "file").open("w") as file:
        guarded = Guarded(file, desk.live)
        assert guarded.fileno() == file.fileno()
        assert guarded.write("abc") == 3
        assert (tmp_path / "file").read_text() == "abc"


def test_size_of_no_terminal(tmp_path):
    """What is no terminal is taken for a common one."""
    with (tmp_path / "file").open("w") as file:
        assert terminal_size(file) == (80, 24)
    assert terminal_size(io.StringIO()) == (80, 24)
