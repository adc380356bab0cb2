"""Inside a W&B sweep: the session is the trial's run, or one a pipeline beside it, and so is its replay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.servers.sessions import Project, said
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_store import WandbRun

JOINED = r"wandb: http://127\.0\.0\.1:\d+/loopback/swept/runs/trial1 \(the run of this trial of sweep sw1\)"
BESIDE = (
    r"wandb: http://127\.0\.0\.1:\d+/loopback/rag/runs/{}-{} "
    r"\(in the group trial1, beside the run of this trial of sweep sw1\)"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.begun(tmp_path / "project")


@pytest.fixture
def trial(server: LoopbackWandb, tmp_path: Path) -> dict[str, str]:
    """The environment that W&B's agent gives the command of a trial."""
    chosen = tmp_path / "config-trial1.yaml"
    chosen.write_text("wandb_version: 1\ntop_k:\n  value: 4\n")
    return {
        **server.env,
        "WANDB_SWEEP_ID": "sw1",
        "WANDB_RUN_ID": "trial1",
        "WANDB_PROJECT": "swept",
        "WANDB_ENTITY": "loopback",
        "WANDB_SWEEP_PARAM_PATH": str(chosen),
    }


def rows_of(run: WandbRun) -> list[int]:
    return [row["_step"] for row in run.history if "test/index" in row]


def test_session_joins_the_trial(project, server, trial):
    """In its project, with what the sweep chose in the config; a replay outside the sweep goes there, too."""
    done = project.run("--evals-wandb=rag", "--evals-tracker-wait=60", **trial)
    (line,) = said(done)
    assert re.fullmatch(JOINED, line), done.stdout
    (run,) = server.runs.values()
    assert (run.id, run.project, run.sweep, run.group) == ("trial1", "swept", "sw1", None)
    assert run.config["top_k"] == 4
    assert run.summary["n"] == 12
    assert rows_of(run) == list(range(12))
    again = project.replay("latest", **server.env)
    assert (again.returncode, again.stderr) == (0, "")
    assert re.fullmatch(JOINED, again.stdout.strip())
    (run,) = server.runs.values()
    assert rows_of(run) == list(range(12))


def test_replay_is_the_first_to_send(project, server, trial):
    """What an offline session left is sent to the trial's run, from another trial as well."""
    done = project.run("--evals-wandb=rag", "--evals-tracker-wait=60", **{**trial, "WANDB_MODE": "offline"})
    assert re.fullmatch(r"wandb: offline: \S+ \(the run of this trial of sweep sw1\)", "\n".join(said(done)))
    other = {**trial, "WANDB_SWEEP_ID": "sw2", "WANDB_RUN_ID": "trial2", "WANDB_PROJECT": "other"}
    again = project.replay("latest", **other)
    assert (again.returncode, again.stderr) == (0, "")
    assert re.fullmatch(JOINED, again.stdout.strip())
    (run,) = server.runs.values()
    assert (run.id, run.project) == ("trial1", "swept")
    assert rows_of(run) == list(range(12))


def test_pipelines_are_a_group_beside_the_trial(project, server, trial):
    """The trial's id is left alone; the replay goes to the same two runs."""
    options = ("--evals-wandb=rag", "--evals-wandb-runs=pipeline", "--evals-tracker-wait=60")
    done = project.run(*options, **trial)
    name = project.folder_of_run.name
    expected = "\n".join(BESIDE.format(name, pipeline) for pipeline in ("first", "second"))
    assert re.fullmatch(expected, "\n".join(said(done))), done.stdout
    for environment in (trial, server.env):
        assert {run.id: (run.project, run.sweep, run.group) for run in server.runs.values()} == {
            f"{name}-first": ("rag", None, "trial1"),
            f"{name}-second": ("rag", None, "trial1"),
        }
        assert [rows_of(run) for run in server.runs.values()] == [list(range(6))] * 2
        again = project.replay("latest", **environment)
        assert (again.returncode, again.stderr) == (0, "")
        assert re.fullmatch(expected, again.stdout.strip())


def test_replay_to_another_project_is_a_run_of_its_own(project, server, trial):
    """The trial is none there."""
    project.run("--evals-wandb=rag", "--evals-tracker-wait=60", **{**trial, "WANDB_MODE": "offline"})
    again = project.replay("latest", "--wandb=loopback/elsewhere", **server.env)
    name = project.folder_of_run.name
    assert re.fullmatch(rf"wandb: \S+/loopback/elsewhere/runs/{name}", again.stdout.strip())
    assert [(run.id, run.project) for run in server.runs.values()] == [(name, "elsewhere")]
