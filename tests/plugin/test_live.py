"""The status line in real runs of pytest: in a pseudo-terminal, in logs, and where nobody reads along."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.terminal_emulator import run_in_terminal

ROOT = Path(__file__).parents[2]

# A plugin of its own: the line, with nothing of the rest of the harness.
CONFTEST = """
import os, time
import pytest
from rag_evals.evals.plugin.terminal import progress_line
from rag_evals.evals.plugin.terminal.progress_line import LiveHooks
from rag_evals.evals.reports.progress import Progress
from rag_evals import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score

progress_line.FIRST = progress_line.PERIOD = 0.02
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
    print(f"captured {n}\\n", end="")
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


def in_terminal(folder: Path, live: str, size: tuple[int, int], *args: str) -> str:
    """Run pytest in a terminal; return what it writes."""
    pieces = run_in_terminal(command("--color=no", *args), folder, environ(LIVE=live), *size)
    return b"".join(pieces).decode().replace("\r\n", "\n")


def piped(folder: Path, *args: str, **more: str) -> str:
    """Run pytest with a pipe as its output; return what it writes."""
    ran = subprocess.run(
        command(*args), cwd=folder, env=environ(**more), capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    return ran.stdout


def parted(text: str) -> tuple[list[str], str]:
    """Take the status lines out of a text; give them, and the rest.

    One that is written in the very moment in which pytest begins a row stands in that row.
    """
    ours = re.compile(r"evals \d+(?:/\d+)?(?:…| ·.*)?$", re.MULTILINE)
    return ours.findall(text), ours.sub("", text)


def marks(text: str) -> str:
    """Return what is to be seen of a text, without durations; rows that were parted are one again."""
    return re.sub(r"in [\d.]+s|=+|\s+", "", text)


RUNS = {
    "dots": ((100, 30), ()),
    "wrapping-dots": ((60, 12), ("-o", "console_output_style=classic")),
    "narrow": ((40, 10), ()),
    "verbose": ((60, 15), ("-v",)),
    "first-failure": ((80, 24), ("-x", "--setup-show")),
    "live-logs": ((80, 24), ("-o", "log_cli=true", "--log-cli-level=WARNING")),
    "no-summary": ((80, 5), ("--no-summary", "--no-header")),
    "short-tracebacks": ((80, 24), ("--tb=line",)),
}


@pytest.mark.parametrize(("size", "args"), RUNS.values(), ids=RUNS)
def test_on_a_terminal(folder, size, args):
    """The lines are rows of their own, no wider than the terminal, and what pytest writes is whole."""
    plain = parted(in_terminal(folder, "no", size, *args))
    ours, rest = parted(in_terminal(folder, "yes", size, *args))
    assert plain[0] == []
    assert marks(rest) == marks(plain[1])
    assert len(ours) > 1
    assert max(map(len, ours)) <= size[0]
    assert not [line for line in ours if not re.match(r"evals \d+(/55( · |…|$)|$)", line)]


@pytest.mark.parametrize("arg", ["-s", "--capture=sys", "--capture=tee-sys"])
def test_output_that_is_not_captured(folder, arg):
    """The lines are between what tests and their processes write, which stays."""
    ours, rest = parted(in_terminal(folder, "yes", (80, 24), arg))
    assert len(ours) > 1
    assert "from a process\n" in rest
    if arg != "--capture=sys":
        assert re.findall(r"captured (\d+)", rest)[:30] == [str(n) for n in range(30)]


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_on_simple_terminals(folder, more):
    """The lines are plain text: any terminal will do."""
    pieces = run_in_terminal(command("test_b.py"), folder, environ(LIVE="yes", **more), 80, 24)
    assert re.search(rb"\nevals \d+/25 .* baseline test_answer", b"".join(pieces))


def test_under_xdist(folder):
    """The controller tells what its workers have finished."""
    (folder / "test_a.py").unlink()
    ours, rest = parted(piped(folder, "-p", "xdist", "-n", "2", LIVE="yes", CI="true"))
    assert ours
    assert all(re.fullmatch(r"evals \d+ · faithfulness 0\.50", line) for line in ours), ours
    assert "evals " not in rest
    assert "25 passed" in rest


def test_workers_that_crash(folder):
    """What xdist says of them outside of any hook is on rows of its own as well."""
    (folder / "test_a.py").write_text("import os\n\ndef test_dies():\n    os._exit(3)\n")
    ours, rest = parted(in_terminal(folder, "yes", (80, 12), "-p", "xdist", "-n", "2", "-v"))
    assert ours
    (replaced,) = [line for line in rest.splitlines() if "replacing" in line]
    assert re.fullmatch(r"replacing crashed worker gw\d", replaced.rstrip())


@pytest.mark.parametrize("args", [("-q",), ("-p", "no:terminal")], ids=" ".join)
def test_no_line(folder, args):
    """Where the run is to be quiet there is none."""
    assert "evals " not in in_terminal(folder, "yes", (80, 24), *args)


def test_nothing_is_evaluated(folder):
    """A session without evaluations has no line."""
    conftest = CONFTEST.replace("expect(len(session.items))", "expect(0)").replace("autouse=True", "")
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_b.py").write_text("import time\n\ndef test_slow():\n    time.sleep(0.2)\n")
    assert "evals " not in in_terminal(folder, "yes", (80, 24), "test_b.py")


def test_lines_in_a_log(folder):
    """In the log of continuous integration there are lines of their own, and pytest's stay whole."""
    ours, rest = parted(piped(folder, LIVE="yes", CI="true"))
    assert len(ours) > 1
    assert all(re.match(r"evals \d+/55 · ", line) for line in ours), ours
    assert marks(rest) == marks(piped(folder, LIVE="no", CI="true"))


def test_no_lines_in_a_file(folder):
    """Output that somebody redirects is pytest's alone."""
    assert "evals " not in piped(folder, LIVE="yes")


def test_the_debugger_has_the_terminal(folder):
    """While a breakpoint holds the run nothing is written; afterwards there are lines again."""
    (folder / "test_a.py").write_text("def test_stop():\n    breakpoint()\n")
    (folder / ".pdbrc").write_text("import time; time.sleep(0.2); print('rest' 'ed')\ncontinue\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = test_a.py test_b.py\n")
    text = in_terminal(folder, "yes", (70, 30))
    before, rested, after = text.partition("rested")
    assert rested
    assert "evals " not in before.partition("PDB set_trace")[2]
    assert len(parted(after)[0]) > 2
