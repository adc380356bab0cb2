"""A run that was interrupted goes on: one run, nothing that is recorded made again, each row once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.evals.runs.run import read_run

from tests.servers.sessions import Project as TrackedProject
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_store import ENTITY

# Each question that is asked is noted; one of them ends the session while the file `storm` is there.
CONFTEST = """
import asyncio, os, signal, time
from pathlib import Path

import pytest
from rag_evals import Answer, Context
from rag_evals.testing import FakeJudge

class Pipeline:
    name = "baseline"
    fingerprint = os.environ.get("FINGERPRINT", "one")

    async def answer(self, question):
        with open("asked.txt", "a") as notes:
            notes.write(question + "\\n")
        if question == "Q3" and Path("storm").exists():
            while not Path(".rag-evals/runs/latest/records.jsonl").read_text().count('"type":"evaluation"'):
                time.sleep(0.01)
            is_worker = "PYTEST_XDIST_WORKER" in os.environ
            os.kill(os.getppid() if is_worker else os.getpid(), getattr(signal, Path("storm").read_text()))
            os._exit(1) if is_worker else await asyncio.sleep(60)
        return Answer(f"It is {question}", (Context("passage", "a.md"),))

@pytest.fixture(scope="session")
def baseline():
    return Pipeline()

@pytest.fixture(scope="session")
def judge():
    return FakeJudge(lambda question, answer: {"faithfulness": 0.1 if question.question == "Q0" else 0.9})
"""


@pytest.fixture
def project(project):
    """Six questions, the first of which fails."""
    project.write("conftest.py", CONFTEST)
    project.ask(**{f"q{n}": f"Q{n}" for n in range(6)})
    return project


def run(project, *words: str, **environment: str) -> tuple[int, list[str]]:
    """Run Python on `words`; return its status and what it says."""
    # These tests themselves may run in a worker.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words], cwd=project.path, env={**inherited, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        start_new_session=True,
    )  # fmt: skip
    return done.returncode, done.stdout.strip().splitlines()


def goes_on(project, *words: str, **environment: str) -> tuple[int, list[str]]:
    return run(project, "rag_evals.evals.cli", "continue", *words, **environment)


def interrupted(project, name: str = "SIGKILL", *options: str) -> Path:
    """Run a session until it is interrupted, and return the folder of its run."""
    project.write("storm", name)
    status, said = run(project, "pytest", "-q", "-p", "no:cacheprovider", "--evals-no-cache", *options)
    assert status != 0, said
    (project.path / "storm").unlink()
    (folder,) = project.runs
    return folder


def head(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "options", "status"),
    [("SIGKILL", (), "running"), ("SIGINT", (), "interrupted"), ("SIGKILL", ("-n", "2"), "running")],
    ids=["killed", "ctrl-c", "xdist"],
)
def test_one_run(project, name, options, status):
    """What was recorded is not made again, and counts: the test that failed then fails now."""
    folder = interrupted(project, name, *options)
    assert head(folder)["status"] == status
    before = project.evaluations
    asked = project.read("asked.txt").split()
    assert 0 < len(before) < 6
    ended, said = goes_on(project, "latest")
    assert said[0] == (
        f".: pytest -q -p no:cacheprovider --evals-no-cache {' '.join(options)}{' ' if options else ''}"
        f"--evals-continue {folder.name}"
    )
    assert (ended, said[-1].partition(" in ")[0]) == (1, "1 failed, 5 passed")
    assert project.runs == [folder]
    assert head(folder)["status"] == "finished"
    assert project.evaluations[: len(before)] == before
    assert sorted(line["question_id"] for line in project.evaluations) == [f"q{n}" for n in range(6)]
    again = project.read("asked.txt").split()[len(asked) :]
    assert sorted(again) == sorted({f"Q{n}" for n in range(6)} - {line["question"] for line in before})
    whole = read_run(folder)
    assert (whole.notes, len(whole.evaluations), whole.records.is_finished) == ((), 6, True)
    assert project.lines[-1] == {"type": "end", "failed": 1, "passed": 5}
    finished = f"ERROR: run {folder.name} is finished: there is nothing to go on with"
    assert goes_on(project, folder.name) == (4, [finished])


def test_called_as_a_module(project):
    """`python -m pytest` finds the modules of its folder; a run of it goes on that way."""
    project.write("shop.py", "")
    project.write("tests/conftest.py", "import shop")
    project.write("tests/test_it.py", (project.path / "test_it.py").read_text())
    (project.path / "conftest.py").rename(project.path / "tests" / "plugin_of_it.py")
    project.append("tests/conftest.py", "from plugin_of_it import *")
    project.write("storm", "SIGKILL")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--evals-no-cache", "tests"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    subprocess.run(
        [sys.executable, *words], cwd=project.path, env=environment, capture_output=True, timeout=120,
        start_new_session=True,
    )  # fmt: skip
    (project.path / "storm").unlink()
    status, said = goes_on(project, "latest")
    assert said[0].startswith(
        ".: python -m pytest -q -p no:cacheprovider --evals-no-cache tests --evals-continue"
    )
    assert (status, said[-1].partition(" in ")[0]) == (1, "1 failed, 5 passed")


def test_half_a_line_and_a_damaged_one(project):
    """What cannot be read is made again; the line that is damaged stays, and is said."""
    folder = interrupted(project)
    records = folder / "records.jsonl"
    text = records.read_text("utf-8").replace('"answer":"It is Q1"', '"answer":"It is Q7"')
    records.write_text(text + '{"type":"eval', "utf-8")
    status, said = goes_on(project, folder.name, "--as-recorded")
    assert (status, said[-1].partition(" in ")[0]) == (1, "1 failed, 5 passed")
    assert project.read("asked.txt").split()[4:] == ["Q1", "Q3", "Q4", "Q5"]
    whole = read_run(folder)
    number = 1 + next(n for n, line in enumerate(text.splitlines()) if "It is Q7" in line)
    assert whole.notes == (f"records.jsonl:{number} was changed after it was written: left out",)
    assert len(whole.evaluations) == 6


def test_what_is_another_run(project):
    """Another configuration or another pipeline is refused; so is a run that was written elsewhere."""
    folder = interrupted(project)
    project.append("pytest.ini", "evals_thresholds = faithfulness=0.05")
    status, said = goes_on(project, "latest")
    assert (status, said[-2:]) == (
        4,
        [
            f"ERROR: run {folder.name} cannot go on, as it was asked for something else:",
            '  thresholds: {} then, {"faithfulness":0.05} now',
        ],
    )
    project.write("pytest.ini", project.read("pytest.ini").replace("evals_thresholds", "# "))
    status, said = goes_on(project, "latest", FINGERPRINT="two")
    (error,) = (line for line in said if line.startswith("ERROR"))
    assert (status, error) == (
        4,
        f"ERROR: pipeline baseline is not what it was when run {folder.name} began: put it back, or begin a "
        "new run, for which the cache has what did not change",
    )
    copy = folder.with_name("20300101-000000-abcdef")
    shutil.copytree(folder, copy)
    assert goes_on(project, copy.name) == (
        4,
        [
            f"ERROR: run {folder.name} was not written in .rag-evals/runs, and its records say what to call: "
            f"`pytest -q -p no:cacheprovider --evals-no-cache --evals-continue {copy.name}`. "
            "Call that yourself, or give --as-recorded if you trust them"
        ],
    )


def test_rows_are_sent_once(tmp_path):
    """W&B has one run, with a row for each test and the end of each session."""
    project = TrackedProject.begun(tmp_path / "project")
    with LoopbackWandb() as server:
        options = (f"--evals-wandb={ENTITY}/rag", "--evals-tracker-wait=60", "--maxfail=1")
        project.run(*options, **server.env)
        assert len(project.evaluations) == 2
        command = [sys.executable, "-P", "-m", "pytest", "-q", options[0], options[1]]
        more = ["--evals-continue", project.folder_of_run.name]
        environment = {**os.environ, **server.env}
        subprocess.run([*command, *more], cwd=project.folder, env=environment, timeout=120, check=False)
        (run,) = server.runs.values()
        rows = [row["test/index"] for row in run.history if "test/index" in row]
        assert rows == sorted(set(rows))
        assert len(rows) == len(project.evaluations) == 12
        table = run.tables[run.history[-1]["evaluations"]["path"]]
        assert [row[0] for row in table["data"]] == [line["question_id"] for line in project.evaluations]
        assert run.summary["n"] == 12
