"""Records lost while the session runs: the summary is from memory, the loss is said, the session fails."""

from __future__ import annotations

import pytest

from tests.servers.sessions import Project as TrackedProject
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_store import ENTITY

LATEST = 'os.path.realpath(".rag-evals/runs/latest")'
RECORDS = f'{LATEST} + "/records.jsonl"'
GONE = "it was moved or removed while the session ran"
# What happens as a question is asked, what is said of it, and whether the record is still there.
DAMAGE = {
    "removed": (f"__import__('shutil').rmtree({LATEST})", GONE, False),
    "in place of it a file": (
        f"p = {LATEST}; __import__('shutil').rmtree(p); open(p, 'w').close()",
        GONE,
        False,
    ),
    "cut": (f"os.truncate({RECORDS}, 300)", "lines of", True),
    "garbled": (
        f"f = open({RECORDS}, 'r+b'); f.seek(-400, 2); f.write(b'#' * 200); f.close()",
        "1 line of",
        True,
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_lost(project, summary, name):
    """Every evaluation is in the summary, and the session fails although no test does."""
    does, said, is_there = DAMAGE[name]
    project.asked("c", does)
    project.ask(a="a", b="b", c="c", d="d")
    result = project.run("--evals-metrics", "faithfulness", "--evals-html", "report.html")
    assert result.ret == 1
    result.assert_outcomes(passed=4)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    folders = [*project.path.glob(".rag-evals/runs/2*")]
    assert summary(result)[1].split()[:3] == ["baseline", "4", "4"]
    lost = [line for line in result.outlines if line.startswith("the record ")]
    assert len(lost) == 1, result.outlines
    assert lost[0].startswith(f"the record {project.path}/.rag-evals/runs/")
    assert "records.jsonl is lost, or a part of it: " in lost[0]
    assert said in lost[0]
    assert any(line.startswith("run: ") for line in result.outlines) == is_there
    assert (folders == []) == (name == "removed")


def test_lost_in_parallel(project):
    """It is the same with workers."""
    wait = f"[time.sleep(0.01) for _ in range(2000) if not os.path.exists({RECORDS})]"
    project.asked("d", f"{wait}; {DAMAGE['removed'][0]}")
    project.ask(a="a", b="b", c="c", d="d")
    result = project.run("--evals-metrics", "faithfulness", "-n", "2")
    assert result.ret == 1
    result.assert_outcomes(passed=4)
    assert any(line.endswith(f"is lost, or a part of it: {GONE}") for line in result.outlines)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_disk_that_is_full(project):
    """The session ends before its next test: what it goes on to make would not be kept."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))"
    project.asked("c", f"n = os.path.getsize({RECORDS}) + 10; {limit}")
    project.ask(a="a", b="b", c="c", d="d")
    result = project.run_apart("--evals-metrics", "faithfulness", "-p", "no:cacheprovider")
    assert result.ret == 2
    result.assert_outcomes(passed=3)
    assert any(
        "evals: the record cannot be written any more (File too large)" in one for one in result.outlines
    )
    assert any(one.endswith("a part of it: it cannot be written (File too large)") for one in result.outlines)
    assert [line["question_id"] for line in project.evaluations] == ["a", "b"]
    assert any(one.split()[:2] == ["baseline", "3"] for one in result.outlines)


def test_lost_with_a_tracker(tmp_path):
    """W&B gets what was there; its process does not hang, and the session says the rest."""
    project = TrackedProject.begun(tmp_path / "project")
    with (project.folder / "conftest.py").open("a") as file:
        file.write(
            "\n\ndef pytest_runtest_setup(item):\n"
            "    if 'second-good' in item.nodeid:\n"
            "        import os, shutil\n"
            f"        shutil.rmtree({LATEST})\n"
        )
    with LoopbackWandb() as server:
        done = project.run(f"--evals-wandb={ENTITY}/rag", "--evals-tracker-wait=20", **server.env)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (lost,) = [line for line in done.stdout.splitlines() if line.startswith("the record ")]
    assert lost.endswith(GONE)
    assert any(line.startswith("wandb: ") for line in done.stdout.splitlines())
