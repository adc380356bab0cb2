"""How long W&B is waited for when the tests are over: as long as it gets on, and not when nobody wants to."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.servers.sessions import Project, said
from tests.servers.wandb_lab import until_is

SENT = r"wandb: http://127\.0\.0\.1:\d+/loopback/rag/runs/\S+"
MISSING = r"`rag-evals replay \S+` sends what is missing"
TAKEN = r"it had taken \d+ of \d+ evaluations"
# What a run of twelve evaluations sends takes some twenty requests, most of them one after the other.
SLOW = 0.3
STANDSTILL = 4


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.begun(tmp_path / "project")


def wait_line(seconds: float) -> str:
    return f"--evals-tracker-wait={seconds:g}"


def test_slow_server(project, server):
    """All arrives, though it takes longer than a standstill may last; where it is read, progress is told."""
    server.fault("slow", seconds=SLOW)
    began = time.monotonic()
    done = project.run("--evals-wandb=loopback/rag", wait_line(STANDSTILL), "-v", **server.env, CI="true")
    took = time.monotonic() - began
    *progress, last = said(done)
    assert re.fullmatch(SENT, last), done.stdout
    assert took > 2 * STANDSTILL
    line = (
        r"wandb: still sending: \d+ of 12 evaluations(, \d+ files? of \d+\.\d MB)?; Ctrl-C ends the waiting"
    )
    assert progress
    assert all(re.fullmatch(line, one) for one in progress), progress
    (run,) = server.runs.values()
    assert run.is_complete
    assert [row["_step"] for row in run.history if "test/index" in row] == list(range(12))


def test_slow_server_has_its_bound(project, server):
    """What moves without an end is given up, too."""
    server.fault("slow", seconds=SLOW)
    done = project.run(
        "--evals-wandb=loopback/rag", wait_line(STANDSTILL), "--evals-tracker-max-wait=3", **server.env
    )
    (line,) = said(done)
    assert re.fullmatch(rf"wandb: not done 3 s after the end, and given up: {TAKEN}; {MISSING}", line), line


@pytest.mark.parametrize("on", ["storage", "file_stream", "CreateArtifact"])
def test_standstill(project, server, on):
    """A request that is tried again and again is no movement."""
    server.fault("500", on)
    began = time.monotonic()
    done = project.run("--evals-wandb=loopback/rag", wait_line(STANDSTILL), **server.env)
    (line,) = said(done)
    assert re.fullmatch(
        rf"wandb: nothing moved for {STANDSTILL} s, and given up: {TAKEN}; {MISSING}", line
    ), line
    assert time.monotonic() - began < 40


def test_ctrl_c_ends_the_waiting(project, server):
    """At once; the session ends as its tests did, and the command sends the rest."""
    server.fault("hang", "storage")
    process = project.begin("--evals-wandb=loopback/rag", wait_line(60), **server.env)
    assert until_is(lambda: bool(server.asked("storage")), 60)
    assert until_is(lambda: project.lines[-1]["type"] == "end", 60)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - interrupted < 10
    assert process.returncode == 1
    (line,) = [line for line in output.splitlines() if line.startswith("wandb: ")]
    assert re.fullmatch(
        rf"wandb: not done when Ctrl-C ended the waiting, and given up: {TAKEN}; {MISSING}", line
    ), line


def test_step_summary_says_what_was_not_sent(project, server, tmp_path):
    """In GitHub Actions, with the command that sends the rest and the folder to keep for it."""
    server.fault("hang", "storage")
    summary = tmp_path / "summary.md"
    told = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = project.run("--evals-wandb=loopback/rag", wait_line(STANDSTILL), **server.env, **told)
    (line,) = said(done)
    run = project.folder_of_run.name
    assert summary.read_text("utf-8").partition("\n### Not all was sent\n")[2] == (
        f"\n- `` {line} ``\n\nThe records have all of it: keep `.rag-evals/runs/{run}` as an artifact of the "
        "job; where it is downloaded, `rag-evals replay FOLDER` sends the rest.\n"
    )
    assert line.endswith(f"; `rag-evals replay {run}` sends what is missing")
