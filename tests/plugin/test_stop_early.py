"""Stopping early: what is decided needs no further question, and the rest is reported as skipped."""

from __future__ import annotations

import pytest

GATE = ("--evals-mode=gate", "--evals-judge-floor=0", "--evals-stop-early")


def ask(project, count: int, bad: int = 0) -> None:
    """Put questions of which the first are bad."""
    project.ask(**{f"q{n:03}": f"faithfulness={0.1 if n < bad else 0.9}{n:03}" for n in range(count)})


def outcomes(result: pytest.RunResult) -> tuple[int, int]:
    """Return the number of tests that ran and that were skipped."""
    counts = result.parseoutcomes()
    return counts.get("passed", 0), counts.get("skipped", 0)


def test_a_clear_pass(project):
    """All good: decided long before the last question; the skipped ones say why."""
    ask(project, 300)
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.8", "-rs")
    ran, skipped = outcomes(result)
    assert ran + skipped == 300
    assert ran < 100
    result.stdout.fnmatch_lines(
        ["*decided early*", "gate: PASS", "SKIPPED [[]*the gate of baseline is decided: PASS"]
    )
    assert result.ret == pytest.ExitCode.OK


def test_a_clear_block(project):
    """Half of them bad where nine in ten must be good."""
    ask(project, 300, bad=150)
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.9")
    ran, skipped = outcomes(result)
    assert ran < 60
    assert ran + skipped == 300
    result.stdout.fnmatch_lines(["BLOCK *", "gate: BLOCK: the run fails"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_is_not_clear_goes_to_the_end(project):
    """At the bound nothing is decided early."""
    ask(project, 60, bad=6)
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.9")
    assert outcomes(result) == (60, 0)
    result.stdout.fnmatch_lines(["gate: INCONCLUSIVE*"])


def test_the_order_is_random_and_the_same_each_time(project):
    """Bad questions first in the file are not first in the run, and two runs put them alike."""
    ask(project, 40, bad=20)
    ids = []
    for _ in range(2):
        project.run(*GATE, "--evals-gate=pass_rate >= 0.5")
        records = project.path / ".rag-evals/runs/latest/records.jsonl"
        lines = records.read_text("utf-8").splitlines()
        ids.append([line.split('"question_id":"')[1][:4] for line in lines if '"question_id"' in line])
    assert ids[0] == ids[1]
    assert ids[0] != sorted(ids[0])


def test_each_pipeline_by_itself(project):
    """One that is decided leaves the other to go on."""
    project.append(
        "conftest.py",
        """
@pytest.fixture(scope="session")
def bad():
    return FakePipeline(lambda question: "faithfulness=0.1", name="bad")
""",
    )
    ask(project, 200)
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.8", "--evals-pipelines=bad,baseline")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    evaluated = [line["pipeline"] for line in project.evaluations]
    assert 0 < evaluated.count("bad") < evaluated.count("baseline") < 100


def test_against_a_baseline(project):
    """A drop that is plain after some questions stops the run."""
    ask(project, 200)
    project.run("--evals-mode=gate", "--evals-gate=coverage >= 0.9")
    project.append(
        "conftest.py",
        """
@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(lambda question: "faithfulness=0.2", name="baseline")
""",
    )
    result = project.run(*GATE, "--evals-baseline=latest")
    ran, skipped = outcomes(result)
    assert ran < 60
    assert ran + skipped == 200
    result.stdout.fnmatch_lines(["gate: BLOCK: the run fails"])


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--evals-mode=report"], "there is nothing to decide: give --evals-gate or --evals-baseline"),
        (
            ["--evals-gate=pass_rate > 0", "--evals-repeat=2"],
            "takes one question after the other, without evals_repeat",
        ),
        (["--evals-gate=pass_rate > 0", "-n2"], "takes one question after the other, without -n"),
    ],
)
def test_what_does_not_go_together(project, args, problem):
    """It is said in one line, and nothing is evaluated."""
    result = project.run("--evals-stop-early", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(
        line.startswith("ERROR: evals_stop_early") and problem in line
        for line in (*result.outlines, *result.errlines)
    )
    assert not project.runs
