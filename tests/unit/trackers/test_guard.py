"""The guard ends a tracker's process in time, says one line of what went wrong, and leaves nothing."""

from __future__ import annotations

import sys
import time

import pytest
from rag_evals.evals.trackers import guard as guarding
from rag_evals.evals.trackers.guard import Guard

LINE = "mine: {}; `rag-evals replay RUN` sends what is missing"
UNTIL_CLOSED = "import sys; sys.stdin.read(); "


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a guard whose process runs some code; return what it says."""
    real = guarding.subprocess.Popen

    def run(code, seconds=20.0, count=3):
        monkeypatch.setattr(
            guarding.subprocess, "Popen", lambda command, **more: real([sys.executable, "-c", code], **more)
        )
        guard = Guard("mine", tmp_path, seconds=seconds, replay="rag-evals replay RUN")
        guard.start()
        return guard.finish(count)

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


def test_process_that_hangs(ended):
    """It is ended, with how far it had come."""
    start = time.monotonic()
    (line,) = ended(
        "import time; print('{\"rows\": 2}', flush=True); time.sleep(60)", seconds=2.0, count=1200
    )
    given_up = "not done 2 s after the end, and given up: it had taken {} of 1,200 evaluations"
    assert line in (LINE.format(given_up.format(2)), LINE.format(given_up.format(0)))
    assert time.monotonic() - start < 10


def test_no_place_for_temporary_files(tmp_path, monkeypatch):
    """No test fails by it."""
    monkeypatch.setattr(guarding.tempfile, "tempdir", str(tmp_path / "gone"))
    guard = Guard("mine", tmp_path, seconds=1, replay="rag-evals replay RUN")
    guard.start()
    assert guard.finish(0) == [LINE.format("its process cannot be begun: No such file or directory")]


def test_process_that_cannot_be_begun(tmp_path):
    """It is said at the end, and temporary files are gone."""
    guard = Guard("mine", tmp_path / "gone", seconds=1, replay="rag-evals replay RUN")
    guard.start()
    problem = "its process cannot be begun: No such file or directory"
    assert guard.finish(0) == [LINE.format(problem)]
