"""The live line in real runs of pytest, in a real pseudo-terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator import Emulator, run_in_terminal

ROOT = Path(__file__).parents[2]

# A plugin of its own: what is shown is the live line's, with nothing of the rest of the harness.
CONFTEST = """
import os, time
import pytest
import evals.live
from evals.live_hooks import LiveHooks
from evals.progress import Progress
from evals.questions import Question
from evals.records import Evaluation, Score

evals.live.PERIODS = {"terminal": 0.003, "log": 0.04}
PROGRESS = pytest.StashKey[Progress]()

def pytest_configure(config):
    config.stash[PROGRESS] = progress = Progress()
    if os.environ["LIVE"] == "yes" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(LiveHooks(config, progress), "evals-live")

def pytest_collection_finish(session):
    session.config.stash[PROGRESS].expect(len(session.items))

def finish(config, name):
    evaluation = Evaluation(Question(name, "Why?"), "baseline", None, (Score("faithfulness", 0.5),), {})
    config.stash[PROGRESS].finished(evaluation)

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    if hasattr(report, "node") and report.when == "call":
        finish(report.node.config, report.nodeid)

@pytest.fixture(autouse=True)
def evaluation(request):
    progress = request.config.stash[PROGRESS]
    progress.started("baseline", request.node.name)
    time.sleep(0.006)
    yield
    finish(request.config, request.node.name)
"""

TESTS = """
import logging, subprocess, sys
import pytest

@pytest.mark.parametrize("n", range(30))
def test_answer(n):
    print("captured", n)
    logging.getLogger("mine").warning("a word from %s", n)
    if n == 7:
        # Past sys.stdout, and from another process: all of it is captured.
        subprocess.run([sys.executable, "-c", "print('from a process')"])
    assert n % 13 != 5, "what went wrong"
    if n % 11 == 3:
        pytest.skip("a reason")
"""

PASSING = """
import pytest

@pytest.mark.parametrize("n", range(25))
def test_answer(n):
    pass
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A suite of fakes with a conftest that shows its progress."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(TESTS)
    (tmp_path / "test_b.py").write_text(PASSING)
    return tmp_path


def environ(**more: str) -> dict[str, str]:
    dropped = ("CI", "COLUMNS", "LINES", "NO_COLOR", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        "TERM": "xterm",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **more,
    }


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]


def in_terminal(folder: Path, live: str, size: tuple[int, int], *args: str) -> tuple[list[str], int]:
    """Run pytest; give what the terminal has in the end, and how often the live line was seen."""
    emulator = Emulator(*size)
    seen = 0
    for piece in run_in_terminal(command(*args), folder, environ(LIVE=live), *size):
        emulator.feed(piece)
        rows = [n for n, line in enumerate(emulator.lines) if re.match(r"evals \d+(/| ·)", line)]
        assert len(rows) <= 1
        if rows:
            seen += 1
            assert rows == [len(emulator.lines) - 1], "the line is below everything else"
    return [re.sub(r"=+|in [\d.]+s", "=", line) for line in emulator.lines], seen


RUNS = {
    "dots": ((100, 30), ()),
    "wrapping-dots": ((23, 12), ("-o", "console_output_style=classic")),
    "narrow": ((30, 10), ()),
    "verbose": ((60, 15), ("-v",)),
    "first-failure": ((80, 24), ("-x", "--setup-show")),
    "live-logs": ((80, 24), ("-o", "log_cli=true", "--log-cli-level=WARNING")),
    "no-summary": ((80, 5), ("--no-summary", "--no-header")),
}


@pytest.mark.parametrize(("size", "args"), RUNS.values(), ids=RUNS)
def test_nothing_of_the_line_stays(folder, size, args):
    """What pytest has written in the end is what it writes without: also what has scrolled off."""
    plain, never = in_terminal(folder, "no", size, *args)
    shown, seen = in_terminal(folder, "yes", size, *args)
    assert shown == plain
    assert never == 0
    assert seen > 3
    assert len(plain) > 6


def test_nothing_of_the_line_stays_under_xdist(folder):
    """The controller shows the line, below its own account of the workers."""
    (folder / "test_a.py").unlink()
    size, args = (30, 8), ("-p", "xdist", "-n", "2")
    plain, _ = in_terminal(folder, "no", size, *args)
    shown, seen = in_terminal(folder, "yes", size, *args)
    assert shown == plain
    assert seen > 3


def test_workers_that_crash(folder):
    """What xdist says of them outside of any hook is on rows of its own as well."""
    (folder / "test_a.py").write_text("import os\n\ndef test_dies():\n    os._exit(3)\n")
    shown, seen = in_terminal(folder, "yes", (50, 12), "-p", "xdist", "-n", "2", "-v")
    assert seen > 3
    (replaced,) = [line for line in shown if "replacing" in line]
    assert re.fullmatch(r"replacing crashed worker gw\d", replaced)
    assert not [line for line in shown if "evals " in line]


@pytest.mark.parametrize("args", [("-q",), ("-s",), ("--capture=sys",)], ids=" ".join)
def test_no_line(folder, args):
    """Where the run is to be quiet, or where tests write to the terminal, there is none."""
    pieces = run_in_terminal(command(*args), folder, environ(LIVE="yes"), 80, 24)
    written = b"".join(pieces)
    assert b"passed" in written
    assert b"evals " not in written
    assert b"\x1bD" not in written


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_no_line_on_simple_terminals(folder, more):
    """A terminal that does not say what it can do gets plain text."""
    pieces = run_in_terminal(command("test_b.py"), folder, environ(LIVE="yes", **more), 80, 24)
    assert b"evals " not in b"".join(pieces)


def piped(folder: Path, **more: str) -> list[str]:
    ran = subprocess.run(
        command(), cwd=folder, env=environ(**more), capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_lines_in_a_log(folder):
    """In the log of continuous integration there are lines of their own, and pytest's stay whole."""
    shown = piped(folder, LIVE="yes", CI="true")
    ours = [line for line in shown if re.match(r"evals \d+/55 · ", line)]
    assert len(ours) > 3
    assert not [line for line in shown if "evals " in line and line not in ours]
    percent = [line for line in shown if line.endswith("%]")]
    assert len({len(line) for line in percent}) == 1
    dots = "".join(
        re.sub(r"^test_[ab].py|\[.*", "", line).strip()
        for line in shown
        if re.match(r"^(test_[ab].py)?[ .Fs]+(\[.*)?$", line)
    )
    plain = piped(folder, LIVE="no", CI="true")
    expected = "".join(
        re.sub(r"^test_[ab].py|\[.*", "", line).strip()
        for line in plain
        if re.match(r"^(test_[ab].py)?[ .Fs]+(\[.*)?$", line)
    )
    assert dots == expected
    assert len(dots) == 55


def test_no_lines_in_a_file(folder):
    """Output that somebody redirects is pytest's alone."""
    assert not [line for line in piped(folder, LIVE="yes") if "evals " in line]


def test_the_debugger_has_the_terminal(folder):
    """While a breakpoint holds the run nothing is drawn; afterwards the line is there again."""
    (folder / "test_a.py").write_text("def test_stop():\n    breakpoint()\n")
    (folder / ".pdbrc").write_text("import time; time.sleep(0.1); print('rest' 'ed')\ncontinue\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = test_a.py test_b.py\n")
    size = (70, 30)
    plain, _ = in_terminal(folder, "no", size)
    shown, seen = in_terminal(folder, "yes", size)
    assert shown == plain
    assert "rested" in shown
    assert seen > 3
