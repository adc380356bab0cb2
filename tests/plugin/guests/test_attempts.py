"""Tests that other plugins run again: every attempt is kept, the last one counts."""

from __future__ import annotations

import pytest

# Answers worse, or not at all, until it was asked often enough; it counts in a file, for all processes.
CONFTEST = """
from pathlib import Path
import pytest
from rag_evals.testing import FakeJudge, FakePipeline

def answer(question):
    asked = Path("asked.txt")
    with asked.open("a") as file:
        file.write(question + "\\n")
    times = asked.read_text().splitlines().count(question)
    return "bad" if "flaky" in question and times < 3 else "good"

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(answer, name="baseline")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge(lambda question, answer: {"faithfulness": 0.9 if answer.text == "good" else 0.1})
"""

RERUNS = {
    "rerunfailures": ("--reruns", "3", "-p", "no:flaky"),
    "retry": ("--retries", "3", "-p", "no:flaky", "-p", "no:rerunfailures"),
    "flaky": ("--force-flaky", "--max-runs", "4", "-p", "no:rerunfailures"),
}


@pytest.fixture
def flaky_project(project):
    """A steady question and one that is answered well at the third time."""
    project.write("conftest.py", CONFTEST)
    project.ask(steady="steady?", flaky="flaky?")
    return project


@pytest.mark.parametrize("plugin", RERUNS)
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_the_last_attempt_counts(flaky_project, run, plugin, options):
    """A rerun asks anew; the record has each attempt once, the table and every report the last."""
    result = run(*RERUNS[plugin], *options)
    assert result.ret == 0, result.stdout.str()
    attempts = [
        (line["question_id"], line.get("attempt", 0), line["outcome"]) for line in flaky_project.evaluations
    ]
    assert sorted(attempts) == [
        ("flaky", 0, "failed"),
        ("flaky", 1, "failed"),
        ("flaky", 2, "passed"),
        ("steady", 0, "passed"),
    ]
    table = next(line for line in result.outlines if line.startswith("baseline "))
    assert table.split()[:6] == ["baseline", "2", "2", "0", "0", "0.90"], table
    assert "questions whose verdict flips: 1 of 1 measured more than once" in result.outlines


def test_reports_of_a_run_with_attempts(flaky_project, run, guest_python):
    """The commands read what the session said: nothing failed, and what was flaky is told."""
    run(*RERUNS["rerunfailures"])
    cli = (guest_python, "-m", "rag_evals.evals.cli")
    report = flaky_project.pytester.run(*cli, "report", "latest", "--format", "junit", "--out", "junit.xml")
    assert report.ret == 0
    assert 'tests="2" failures="0"' in (flaky_project.path / "junit.xml").read_text()
    flaky = flaky_project.pytester.run(*cli, "flaky", "latest")
    assert any(line.startswith("baseline  flaky ") for line in flaky.outlines), flaky.outlines


def test_a_rerun_that_passes_is_no_error_on_github(flaky_project, run, monkeypatch):
    """A green job has no error annotation."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = run(*RERUNS["rerunfailures"])
    assert result.ret == 0
    assert [line for line in result.outlines if line.startswith("::error")] == []


def test_repeats_of_another_plugin_are_repeats(project, run):
    """What pytest-repeat runs several times is measured several times."""
    run("--count", "3")
    assert [line["repeat"] for line in project.evaluations] == [0, 1, 2]
