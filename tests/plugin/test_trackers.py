"""Trackers of others, and wandb where it is missing or switched off: the tests end as without any."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.servers.sessions import ROOT, Project, said

# Writes down each call. `raise_row` is one that raises in the call `row`, and so on.
TRACKER = """
import json
import os
import time
from pathlib import Path

def __getattr__(name):
    fault, _, call = name.partition("_")
    if fault not in ("raise", "hang", "abort", "exit"):
        raise AttributeError(name)
    return lambda: Tracker(fault, call)

class Tracker:
    def __init__(self, fault="", call=""):
        self.fault, self.call = fault, call

    def start(self, run):
        self.run = run
        self.note("start", [run.id, run.name, run.pipeline, dict(run.options), run.is_replay])

    def config(self, values):
        self.note("config", sorted(values))

    def row(self, row, scalars, step):
        self.note("row", [row["example_id"], row["pipeline"], scalars["test/index"], step])

    def summary(self, values):
        self.note("summary", [values["n"], values["gate"]])

    def file(self, file):
        self.note("file", [file.name, {name: path.stat().st_size > 0 for name, path in file.paths.items()}])

    def finish(self, ending):
        self.note("finish", [len(ending.rows), ending.is_finished, ending.report.exists()])

    def where(self):
        self.note("where", [])
        return ["kept in calls.jsonl"]

    def note(self, call, told):
        if not self.fault:
            with Path("calls.jsonl").open("a") as file:
                file.write(json.dumps([call, told]) + "\\n")
        if call == self.call:
            getattr(self, f"do_{self.fault}")()

    def do_raise(self):
        raise RuntimeError("no \\x1b[31mluck\\nat all")

    def do_hang(self):
        time.sleep(60)

    def do_abort(self):
        os.write(2, b"Aborted")
        os.abort()

    def do_exit(self):
        os._exit(0)
"""
CALLS = ("start", "config", "row", "summary", "file", "finish", "where")
DIED = "its process ended before it was done"
# The rows that had been taken when the time was over depend on how busy the machine is.
GIVEN_UP = r"nothing moved for 3 s, and given up: it had taken \d+ of 12 evaluations"
BAD = {
    "hang_start": GIVEN_UP,
    "hang_finish": GIVEN_UP,
    "abort_row": rf"{DIED} \(see abort_row.log in the run folder\)",
    "exit_summary": DIED,
}
FILES = {
    "eval-questions": ["questions.jsonl", "questions.txt"],
    "index-first": ["made-from.json"],
    "index-second": ["made-from.json"],
    "judge-card": ["judge-card.json"],
    "report": ["report.html"],
    "run-records": ["records.jsonl"],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a distribution with trackers: one that works, one that cannot be imported."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "theirs.py").write_text(TRACKER)
    (folder / "broken.py").write_text("raise OSError('no such library')")
    about = folder / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    names = [*(f"raise_{call}" for call in CALLS), *BAD]
    points = ["[rag_evals.trackers]", "mine = theirs:Tracker", "broken = broken:Tracker"]
    (about / "entry_points.txt").write_text(
        "\n".join([*points, *(f"{name} = theirs:{name}" for name in names)])
    )
    return f"{folder}:{ROOT}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.begun(tmp_path / "project")


def calls(project: Project) -> list[list]:
    return [json.loads(line) for line in (project.folder / "calls.jsonl").read_text().splitlines()]


def check_outcomes(project: Project, status: int, output: str) -> None:
    """The tests and the records are as without a tracker."""
    assert status == 1
    assert re.search(r"^4 failed, 6 passed, 2 skipped", output, re.M)
    assert [line["type"] for line in project.lines].count("evaluation") == 12
    assert project.lines[-1]["type"] == "end"


def test_tracker_of_others(project, installed):
    """It gets every call, in its own process; a replay gives the same."""
    told = {"PYTHONPATH": installed}
    done = project.run("--evals-trackers=mine", **told)
    check_outcomes(project, done.returncode, done.stdout)
    assert said(done, "mine") == ["mine: kept in calls.jsonl"]
    assert "theirs" not in project.imported()
    run = project.folder_of_run.name
    found = calls(project)
    assert found[0] == ["start", [run, run, None, {}, False]]
    rows = [told for call, told in found if call == "row"]
    ids = [[line["question_id"], line["pipeline"]] for line in project.evaluations]
    assert rows == [[*id, float(index), index] for index, id in enumerate(ids)]
    assert ["summary", [12, "none"]] in found
    files = dict(told for call, told in found if call == "file")
    assert files == {name: dict.fromkeys(paths, True) for name, paths in FILES.items()}
    assert found[-2:] == [["finish", [12, True, True]], ["where", []]]
    assert sorted(path.name for path in project.folder_of_run.iterdir()) == [
        "mine.lock",
        "records.jsonl",
        "run.json",
    ]
    (project.folder / "calls.jsonl").unlink()
    again = project.replay("latest", **told)
    assert (again.returncode, again.stdout, again.stderr) == (0, "mine: kept in calls.jsonl\n", "")
    replayed = calls(project)
    assert replayed[0] == ["start", [run, run, None, {}, True]]
    assert [told for call, told in replayed if call == "row"] == rows


def test_trackers_that_raise(project, installed):
    """One line each says what, and how to send the run; it is no command to the terminal."""
    names = [f"raise_{call}" for call in CALLS]
    done = project.run(f"--evals-trackers={','.join(names)}", "--evals-tracker-wait=60", PYTHONPATH=installed)
    check_outcomes(project, done.returncode, done.stdout)
    end = f"`rag-evals replay {project.folder_of_run.name}` sends what is missing"
    for name in names:
        # Where it is kept is asked for when the end has been told.
        is_told = name in ("raise_summary", "raise_file", "raise_finish")
        where = [f"{name}: kept in calls.jsonl"] if is_told else []
        assert said(done, name) == [*where, f"{name}: no \ufffd[31mluck at all; {end}"]
    logs = [path.name for path in project.folder_of_run.glob("*.log")]
    assert logs == []


def test_trackers_that_hang_or_die(project, installed):
    """They are given up in time, or have ended; one line each says so."""
    done = project.run(f"--evals-trackers={','.join(BAD)}", "--evals-tracker-wait=3", PYTHONPATH=installed)
    check_outcomes(project, done.returncode, done.stdout)
    end = f"; `rag-evals replay {project.folder_of_run.name}` sends what is missing"
    for name, problem in BAD.items():
        (line,) = said(done, name)
        assert re.fullmatch(f"{name}: {problem}{re.escape(end)}", line), line
    logs = {path.name: path.read_text() for path in project.folder_of_run.glob("*.log")}
    assert logs == {"abort_row.log": "Aborted"}


def test_tracker_that_cannot_be_imported(project, installed):
    """The session runs; the line says why."""
    done = project.run("--evals-trackers=broken", PYTHONPATH=installed)
    check_outcomes(project, done.returncode, done.stdout)
    assert said(done, "broken") == [
        "broken: tracker 'broken' cannot be loaded: OSError: no such library; "
        f"`rag-evals replay {project.folder_of_run.name}` sends what is missing"
    ]


def test_unknown_tracker(project, installed):
    """It is one line, and the exit status of a wrong call."""
    done = project.run("--evals-trackers=other", PYTHONPATH=installed)
    known = ", ".join(sorted(["broken", "mine", "otlp", "wandb", *BAD, *(f"raise_{call}" for call in CALLS)]))
    assert done.returncode == 4
    assert done.stderr == f"ERROR: unknown tracker 'other': there are {known}\n\n"
    assert project.runs == []


BLOCKER = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "wandb":
            raise ModuleNotFoundError(name)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "wandb" else found(name, *rest)
sys.meta_path.insert(0, Missing())
"""


def test_wandb_is_not_installed(project, tmp_path):
    """One line, the exit status of a wrong call, and no folder."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    done = project.run("--evals-wandb=rag", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 4
    assert done.stderr == "ERROR: evals_wandb: the package wandb is not installed: pip install wandb\n\n"
    assert project.runs == []


def test_wandb_cannot_be_imported(project, tmp_path):
    """The session runs; the line says why."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text("raise ImportError('broken wheel')")
    done = project.run("--evals-wandb=rag", PYTHONPATH=f"{tmp_path}:{ROOT}")
    check_outcomes(project, done.returncode, done.stdout)
    (line,) = said(done)
    run = project.folder_of_run.name
    assert line == f"wandb: broken wheel; `rag-evals replay {run}` sends what is missing"
    assert "wandb" not in project.imported()


def test_wandb_disabled(project, server):
    """Nothing is begun, kept or said."""
    done = project.run("--evals-wandb=rag", **server.env, WANDB_MODE="disabled")
    check_outcomes(project, done.returncode, done.stdout)
    assert said(done) == []
    assert server.requests == []
    assert sorted(path.name for path in project.folder_of_run.iterdir()) == ["records.jsonl", "run.json"]


def test_evals_offline(project, server):
    """No connection is made, whatever W&B's own variables say."""
    done = project.run("--evals-wandb=rag", "--evals-offline", "--evals-tracker-wait=60", **server.env)
    check_outcomes(project, done.returncode, done.stdout)
    assert re.fullmatch(r"wandb: offline: \.rag-evals/runs/\S+", "\n".join(said(done)))
    assert server.requests == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--evals-wandb=a:b",
            r"evals_wandb = a:b: a name has none of / \ # ? % :: give PROJECT or ENTITY/PROJECT",
        ),
        ("--evals-wandb-runs=test", "unknown evals_wandb_runs 'test': one of session, pipeline"),
    ],
)
def test_wrong_options(project, option, message):
    """One line, and the exit status of a wrong call."""
    done = project.run("--evals-wandb=rag", option)
    assert (done.returncode, done.stderr) == (4, f"ERROR: {message}\n\n")


def test_what_sends_traces_is_not_installed(project, tmp_path):
    """Before the first test, with what is missing and the extra that brings it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['opentelemetry.sdk'] = sys.modules['requests'] = None\n"
    )
    url = "http://127.0.0.1:4318/v1/traces"
    # The plugin of LangSmith, which comes with LangChain, cannot be loaded without them.
    options = (f"--evals-otlp={url}", "-p", "no:langsmith_plugin")
    done = project.run(*options, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 4
    assert done.stderr == (
        "ERROR: evals_otlp: not installed: opentelemetry-sdk, requests: pip install 'rag-evals[otlp]'\n\n"
    )
    assert project.runs == []
