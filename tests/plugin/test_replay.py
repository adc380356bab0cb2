"""A recorded run sent to Weights & Biases again: nothing is there twice, and nothing is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.servers.sessions import Project, said
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_store import ENTITY, WandbRun

GATE = "--evals-gate=relevancy.mean >= 0.9"
TO_RAG = f"--evals-wandb={ENTITY}/rag"


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one run that had no tracker."""
    project = Project.begun(tmp_path_factory.mktemp("untracked") / "project")
    done = project.run(GATE)
    assert (done.returncode, said(done)) == (1, [])
    return project


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one run that wandb has offline."""
    project = Project.begun(tmp_path_factory.mktemp("offline") / "project")
    project.run(GATE, TO_RAG, "--evals-tracker-wait=60", WANDB_MODE="offline")
    return project


@pytest.fixture
def copy(tmp_path: Path):
    """Return a copy of a project that a test may change."""

    def copied(project: Project) -> Project:
        shutil.copytree(project.folder, tmp_path / "copy", symlinks=True)
        return Project(tmp_path / "copy")

    return copied


def steps(run: WandbRun) -> list[int]:
    return [row["_step"] for row in run.history]


def check(server: LoopbackWandb, project: Project) -> WandbRun:
    """Every row once, one end, one alert, one version of each artifact, all of it committed."""
    (run,) = server.runs.values()
    assert run.id == project.folder_of_run.name
    assert steps(run) == list(range(len(project.evaluations) + 1))
    assert [row["test/index"] for row in run.history[:-1]] == list(range(len(project.evaluations)))
    values = [row.get("score/relevancy") for row in run.history[:-1]]
    expected = [line["scores"].get("relevancy", {}).get("value") for line in project.evaluations]
    assert values == expected
    table = run.tables[run.history[-1]["evaluations"]["path"]]
    assert [row[0] for row in table["data"]] == [line["question_id"] for line in project.evaluations]
    assert run.summary["n"] == len(project.evaluations)
    kept = [one for one in server.artifacts if not one.type.startswith(("run_table", "wandb-"))]
    assert sorted(one.name for one in kept) == [
        "eval-questions:v0",
        "index-first:v0",
        "index-second:v0",
        "judge-card:v0",
        "report:v0",
        "run-records:v0",
    ]
    assert {one.state for one in server.artifacts} == {"COMMITTED"}
    records = server.backend.named(run.entity, run.project, f"run-records:{run.id}")
    assert records is not None
    assert records.files["records.jsonl"] == (project.folder_of_run / "records.jsonl").read_bytes()
    assert (server.unknown, server.telemetry) == ([], [])
    return run


def test_run_without_a_tracker(untracked, copy, server):
    """It is sent where one says; once more, to the same place or from `latest`, doubles nothing."""
    project = copy(untracked)
    run = project.folder_of_run.name
    address = [f"wandb: {server.url}/{ENTITY}/rag/runs/{run}"]
    for name in (run, f".rag-evals/runs/{run}", "latest"):
        done = project.replay(name, f"--wandb={ENTITY}/rag", **server.env)
        assert (done.returncode, said(done), done.stderr) == (0, address, "")
    found = check(server, project)
    assert found.state == "finished"
    assert [alert.title for alert in server.alerts] == [f"BLOCK: {run}"]
    tables = [name for name in found.files if name.startswith("media/table/evaluations_")]
    assert len(tables) == 1


def test_files_that_did_not_arrive_are_sent_again(untracked, copy, server):
    """The end's line is there, its table is not: it is told again, without a second alert."""
    project = copy(untracked)
    project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    (run,) = server.runs.values()
    gone = run.history[-1]["evaluations"]["path"]
    del run.files[gone]
    done = project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    assert done.returncode == 0
    assert steps(run) == list(range(len(project.evaluations) + 2))
    assert run.history[-1]["evaluations"]["path"] in run.files
    assert len(server.alerts) == 1


def test_offline_run(offline, copy, server):
    """Sent from the records, to where the session had meant it to go."""
    project = copy(offline)
    done = project.replay("latest", **server.env)
    assert (done.returncode, done.stderr) == (0, "")
    check(server, project)
    assert len(server.alerts) == 1


def test_a_run_from_elsewhere(offline, copy, server):
    """Where its records want to go is shown, and wants a word: somebody else may have written them."""
    project = copy(offline)
    name = project.folder_of_run.name
    project.folder_of_run.rename(project.folder / "from-mail")
    done = project.replay("from-mail", **server.env)
    assert (done.returncode, done.stderr) == (
        4,
        f"ERROR: run {name} is none of .rag-evals/runs, and its records say where to send it: "
        "wandb (loopback/rag). Say where with --wandb PROJECT, or --as-recorded if you trust them\n",
    )
    assert server.requests == []
    assert project.replay("from-mail", "--as-recorded", **server.env).returncode == 0
    assert [run.project for run in server.runs.values()] == ["rag"]


def test_replay_after_wandb_sync(offline, server):
    """What wandb itself has sent is not sent again. It has not moved: its artifacts are found."""
    (left,) = (offline.folder_of_run / "wandb").glob("offline-run-*")
    assert offline.sync(left, **server.env).returncode == 0
    done = offline.replay("latest", **server.env)
    assert done.returncode == 0, done.stdout
    check(server, offline)
    assert len(server.alerts) == 1


def test_wandb_sync_after_replay(offline, copy, server):
    """Nothing comes twice: what was sent from the records counts as synced."""
    project = copy(offline)
    assert project.replay("latest", **server.env).returncode == 0
    (left,) = (project.folder_of_run / "wandb").glob("offline-run-*")
    project.sync(left, **server.env)
    (run,) = server.runs.values()
    assert steps(run) == list(range(len(project.evaluations) + 1))


def test_killed_run(untracked, copy, server):
    """It is sent as far as it goes, and ends as failed."""
    project = copy(untracked)
    records = project.folder_of_run / "records.jsonl"
    lines = records.read_text("utf-8").splitlines(keepends=True)
    fifth = [n for n, line in enumerate(lines) if json.loads(line)["type"] == "evaluation"][4]
    records.write_text("".join(lines[: fifth + 1]) + lines[fifth + 1][:40], "utf-8")
    done = project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = server.runs.values()
    assert steps(run) == list(range(6))
    assert (run.state, run.exit_code, run.summary["n"], run.summary["gate"]) == ("failed", 1, 5, "none")
    assert server.alerts == []


def test_run_without_an_evaluation(untracked, copy, server):
    """There is nothing to send, which is said."""
    project = copy(untracked)
    records = project.folder_of_run / "records.jsonl"
    records.write_text(records.read_text("utf-8").partition("\n")[0] + "\n", "utf-8")
    done = project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    run = project.folder_of_run.name
    assert (done.returncode, done.stdout) == (
        0,
        f"wandb: run {run} has no evaluation: there is nothing to send\n",
    )
    assert server.requests == []


def test_while_its_session_sends(untracked, copy, server):
    """Two at once would have each row twice."""
    project = copy(untracked)
    run = project.folder_of_run
    with FileLock(run / "wandb.lock"):
        done = project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    assert done.returncode == 4
    assert done.stderr == f"ERROR: run {run.name} is being sent to wandb right now: wait for it to end\n"
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["latest"], 4, "run RUN was sent nowhere: say where with --wandb PROJECT"),
        (["latest", "--trackers=wandb"], 4, "replay to wandb: say where with --wandb PROJECT"),
        (
            ["latest", "--wandb=a/b/c"],
            4,
            r"evals_wandb = a/b/c: a name has none of / \ # ? % :: give PROJECT or ENTITY/PROJECT",
        ),
        (["latest", "--trackers=mine"], 4, "unknown tracker 'mine': there are otlp, wandb"),
    ],
)
def test_wrong_calls(untracked, options, status, message):
    """One line says what to do."""
    done = untracked.replay(*options)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"ERROR: {message.replace('RUN', untracked.folder_of_run.name)}\n"


def test_refused(untracked, copy, server):
    """What is not sent is said, with status 1; it does not go offline in silence."""
    project = copy(untracked)
    server.fault("401")
    done = project.replay("latest", f"--wandb={ENTITY}/rag", **server.env)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"wandb: {server.url} does not accept the API key (401)\n"
    assert list((project.folder_of_run / "wandb").glob("offline-run-*")) == []
