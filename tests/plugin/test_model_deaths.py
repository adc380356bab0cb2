"""Native code that dies: a question is unscored, the next goes on; what dies again ends the run, recorded."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The question is the method that the model is asked for.
CONFTEST = """
import asyncio
from pathlib import Path

import pytest
from rag_evals.evals.plugin.session.session import session_of
from rag_evals.testing import FakeJudge
from rag_evals import Answer, Context
from rag_evals.rag.native.hosting.hosted_model import HostedModel
from tests.servers.mortal_models import MortalModel

class Mortal:
    name = fingerprint = "mortal"

    def __init__(self, folder):
        self._model = HostedModel(MortalModel, Path("started").absolute(), name="tiny", folder=folder)

    async def answer(self, question):
        method, *arguments = question.split()
        text = await asyncio.to_thread(self._model.call, method, *map(float, arguments))
        return Answer(str(text), (Context("passage"),))

class MortalJudge(FakeJudge):
    name = fingerprint = "mortal"

    def __init__(self, model):
        super().__init__({"faithfulness": 0.9, "relevancy": 0.8})
        self._model = model

    async def score(self, question, answer):
        if question.reference:
            await asyncio.to_thread(self._model.call, question.reference)
        return await super().score(question, answer)

@pytest.fixture(scope="session")
def baseline(pytestconfig):
    return Mortal(session_of(pytestconfig).materials.resources.models_folder)

@pytest.fixture(scope="session")
def judge(baseline):
    return MortalJudge(baseline._model)
"""

ILL = (
    "there is no answer: the process of tiny died of SIGILL: its native code was built for another "
    "processor; `rag-evals doctor` says more"
)


@pytest.fixture
def project(project, monkeypatch):
    """A pipeline and a judge on a model that dies when it is told to."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    project.write("conftest.py", CONFTEST)
    return project


def scores(project) -> dict[str, list[tuple[float | None, str | None]]]:
    """Return value and reason of each score, by question."""
    return {
        line["question_id"]: [(score["value"], score["reason"]) for score in line["scores"].values()]
        for line in project.evaluations
    }


def test_a_death_costs_one_question(project, how):
    """It is unscored with the cause in one line; the others are answered, and no stack is dumped."""
    project.ask(a="count", b="illegal", c="count", d="count")
    result = project.run(*how, "--evals-max-unscored", "0.5")
    result.assert_outcomes(passed=3, skipped=1)
    assert result.ret == 0
    found = scores(project)
    assert set(found["b"]) == {(None, ILL)}
    assert all(value is not None for key in "acd" for value, _ in found[key])
    assert "Fatal Python error" not in result.stdout.str() + result.stderr.str()


def test_a_death_while_judging(project):
    """The answer is recorded; the verdict could not be had, and is asked for anew by the next run."""
    project.ask(a="count", b={"question": "add 1", "reference": "fault"})
    result = project.run("--evals-max-unscored", "0.5")
    result.assert_outcomes(passed=1, skipped=1)
    (line,) = (line for line in project.evaluations if line["question_id"] == "b")
    assert line["answer"] == "1.0"
    ((value, reason),) = set(scores(project)["b"])
    assert value is None
    assert re.fullmatch(
        r"there is no verdict: the process of tiny died of SIGSEGV \(\d\.\d GiB were in use\)", str(reason)
    )


def test_a_second_death_of_its_kind_ends_the_run(project):
    """What came before is recorded, cached and reported; what would come is not begun."""
    project.ask(a="count", b="illegal", c="illegal", d="count")
    result = project.run("--evals-html", "report.html")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert list(scores(project)) == ["a", "b", "c"]
    assert project.lines[-1]["type"] == "end"
    assert "b" in (project.path / "report.html").read_text("utf-8")
    cause = ILL.removeprefix("there is no answer: ")
    assert any(cause in line and line.startswith("!") for line in result.outlines)
    assert len((project.path / "started").read_text().split()) == 2


def test_workers_share_one_process(project):
    """Two workers start the model once, and its death is said to the one that was waiting for it."""
    project.ask(**{f"q{n}": "count" for n in range(8)})
    project.run("-n", "2", "--evals-no-cache").assert_outcomes(passed=8)
    assert len((project.path / "started").read_text().split()) == 1
    texts = sorted(line["answer"] for line in project.evaluations)
    assert texts == [str(n) for n in range(1, 9)]


def test_a_second_death_under_workers(project):
    """The run ends for all of them."""
    project.ask(**{f"q{n}": "illegal" for n in range(12)})
    result = project.run("-n", "2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len((project.path / "started").read_text().split()) == 2
    assert 2 <= len(project.evaluations) < 12


def test_ctrl_c_does_not_wait_for_a_call(project):
    """A call that takes a minute ends with the session; what was evaluated is recorded."""
    project.ask(a="count", b="sleep 60")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    session = subprocess.Popen(
        command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 60
    while not any('"evaluation"' in path.read_text() for path in project.path.rglob("records.jsonl")):
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.3)
    began = time.monotonic()
    session.send_signal(signal.SIGINT)
    said, _ = session.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert session.returncode == pytest.ExitCode.INTERRUPTED, said
    assert list(scores(project)) == ["a"]
    (process,) = (project.path / "started").read_text().split()
    # Whoever runs the models learns of the session's end by itself, a moment later.
    until = time.monotonic() + 5
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < until, "the process of the model is still there"
        time.sleep(0.01)
