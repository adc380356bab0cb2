"""The guard ends a tracker's process in time, says one line of what went wrong, and leaves nothing."""

from __future__ import annotations

import re
import sys
import time

import pytest
from rag_evals.evals.trackers import guard as guarding
from rag_evals.evals.trackers.guard import Guard, Patience, finish

LINE = "mine: {}; `rag-evals replay RUN` sends what is missing"
UNTIL_CLOSED = "import sys; sys.stdin.read(); "


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a guard whose process runs some code; return what it says, and put what it tells into `told`."""
    real = guarding.subprocess.Popen

    def run(code, standstill=20.0, most=60.0, count=3, told=None):
        monkeypatch.setattr(
            guarding.subprocess, "Popen", lambda command, **more: real([sys.executable, "-c", code], **more)
        )
        guard = Guard("mine", tmp_path, patience=Patience(standstill, most), replay="rag-evals replay RUN")
        guard.start()
        ended = finish([guard], count, None if told is None else told.append)
        assert ended.unsent == tuple(line for line in ended.lines if "rag-evals replay" in line)
        return list(ended.lines)

    return run


def test_all_has_arrived(ended, tmp_path):
    """What it says is given, fit for a terminal; without anything in it there is no log."""
    code = (
        UNTIL_CLOSED
        + "print('noise'); print('{\"said\": \"at \\\\u001b[1mhome\"}'); print('{\"done\": true}')"
    )
    assert ended(code) == ["mine: at \ufffd[1mhome"]
    assert list(tmp_path.iterdir()) == []


def test_trouble(ended):
    """Its own words, and the command that sends what is missing."""
    assert ended(UNTIL_CLOSED + 'print(\'{"problem": "no luck"}\'); sys.exit(1)') == [LINE.format("no luck")]


def test_process_that_dies(ended, tmp_path):
    """The log is named where there is something in it."""
    died = "its process ended before it was done"
    assert ended("import os; os._exit(0)") == [LINE.format(died)]
    assert list(tmp_path.iterdir()) == []
    assert ended("raise SystemExit('oh')") == [LINE.format(f"{died} (see mine.log in the run folder)")]
    assert (tmp_path / "mine.log").read_text() == "oh\n"
    ended("raise SystemExit('refused api_key=hunter2hunter2')")
    assert (tmp_path / "mine.log").read_text() == "refused api_key=***\n"


def test_process_that_hangs(ended):
    """It is ended, with how far it had come."""
    start = time.monotonic()
    (line,) = ended(
        "import time; print('{\"rows\": 2}', flush=True); time.sleep(60)", standstill=2.0, count=1200
    )
    given_up = "nothing moved for 2 s, and given up: it had taken {} of 1,200 evaluations"
    assert line in (LINE.format(given_up.format(2)), LINE.format(given_up.format(0)))
    assert time.monotonic() - start < 10


MOVES = (
    "import sys, time; print('{\"rows\": 2}', flush=True); sys.stdin.read()\n"
    'for second in range(12): print(\'{"moved": "%d files"}\' % second, flush=True); time.sleep(0.25)\n'
)


def test_process_that_works(ended):
    """As long as something moves it is waited for, however long it is beyond a standstill."""
    assert ended(MOVES + "print('{\"done\": true}')", standstill=1.5) == []


def test_process_that_moves_without_end(ended):
    """There is a bound for all of it."""
    start = time.monotonic()
    (line,) = ended(MOVES, standstill=1.5, most=2.0)
    given_up = "not done 2 s after the end, and given up: it had taken 2 of 3 evaluations"
    assert line == LINE.format(given_up)
    assert time.monotonic() - start < 10


def test_what_is_waited_for_is_told(ended, monkeypatch):
    """Now and then, with how far it is."""
    monkeypatch.setattr(guarding, "FIRST_TOLD", 1.0)
    monkeypatch.setattr(guarding, "BETWEEN_TOLD", 1.0)
    told = []
    ended(MOVES, told=told)
    assert 1 <= len(told) <= 4
    line = r"mine: still sending: [02] of 3 evaluations(, \d+ files)?; Ctrl-C ends the waiting"
    assert all(re.fullmatch(line, one) for one in told), told


def test_interrupt_ends_the_waiting(ended, monkeypatch):
    """At once, and nothing else: what is missing is said."""
    start = time.monotonic()

    class Told:
        def append(self, line):
            raise KeyboardInterrupt

    monkeypatch.setattr(guarding, "FIRST_TOLD", 1.0)
    (line,) = ended("import time; time.sleep(60)", told=Told())
    given_up = "not done when Ctrl-C ended the waiting, and given up: it had taken 0 of 3 evaluations"
    assert line == LINE.format(given_up)
    assert time.monotonic() - start < 10


def test_no_place_for_temporary_files(tmp_path, monkeypatch):
    """No test fails by it."""
    monkeypatch.setattr(guarding.tempfile, "tempdir", str(tmp_path / "gone"))
    guard = Guard("mine", tmp_path, patience=Patience(1, 1), replay="rag-evals replay RUN")
    guard.start()
    assert guard.finish(0) == [LINE.format("its process cannot be begun: No such file or directory")]


def test_process_that_cannot_be_begun(tmp_path):
    """It is said at the end, and temporary files are gone."""
    guard = Guard("mine", tmp_path / "gone", patience=Patience(1, 1), replay="rag-evals replay RUN")
    guard.start()
    problem = "its process cannot be begun: No such file or directory"
    assert guard.finish(0) == [LINE.format(problem)]
