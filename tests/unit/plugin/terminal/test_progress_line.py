"""The status line on streams of the test's own; in real runs of pytest it is in tests/plugin/test_live.py."""

from __future__ import annotations

import io
import threading
from types import SimpleNamespace

import pytest
from rag_evals.evals.plugin.terminal.progress_line import LiveHooks
from rag_evals.evals.reports.progress import Progress


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("rag_evals.evals.plugin.terminal.progress_line.FIRST", 0.001)
    monkeypatch.setattr("rag_evals.evals.plugin.terminal.progress_line.PERIOD", 0.001)


class Stream(io.StringIO):
    """A stream that keeps what was written when it is closed, and tells of the third line."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.is_full = threading.Event()

    def write(self, text: str) -> int:
        self.text += text
        if self.text.count("evals") >= 3:
            self.is_full.set()
        return len(text)


def hooks_of(progress: Progress, column: int) -> LiveHooks:
    """Return hooks of a pytest that has written so many columns, and begins no thread of its own."""
    writer = SimpleNamespace(width_of_current_line=column)
    plugins = SimpleNamespace(has_plugin=lambda name: False)
    return LiveHooks(SimpleNamespace(get_terminal_writer=lambda: writer, pluginmanager=plugins), progress)


def lines(stream: Stream, progress: Progress, column: int, width: int = 40) -> list[str]:
    """Let the hooks write three lines in the middle of a row; return the rows of those."""
    hooks = hooks_of(progress, column)
    thread = threading.Thread(target=hooks.write, args=(stream, width))
    thread.start()
    assert stream.is_full.wait(10)
    next(loop := hooks.pytest_runtestloop(), None)
    loop.close()
    thread.join()
    assert stream.closed
    return stream.text.split("\n")[:6]


def test_between_the_dots():
    """On lines of their own; the dots go on in the column where they were."""
    told = lines(Stream(), Progress(28), column=13)
    assert told == ["", "evals 0/28", " " * 13, "evals 0/28", " " * 13, "evals 0/28"]


def test_at_the_start_of_a_row():
    told = lines(Stream(), Progress(28), column=0)
    assert told[:3] == ["evals 0/28"] * 3


def test_width():
    """A line is as wide as there is room."""
    progress = Progress(28)
    progress.started("baseline", "a" * 50)
    assert lines(Stream(), progress, 0, width=26)[0] == "evals 0/28 · baseline aaa…"


def test_a_terminal_that_is_gone():
    """Its end is no trouble of the run's: the thread ends, and pytest is left to find out itself."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    hooks = hooks_of(Progress(3), column=0)
    hooks.write(stream := Gone(), 80)
    assert stream.closed
