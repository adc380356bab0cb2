"""A project of a user's own, on fakes: each test of the plugin runs pytest in one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

# These cannot be loaded twice in one process, and pytester forgets what the pytest inside it has loaded.
import numpy  # noqa: F401
import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401
import pytest
import rag_evals.evals.engine.budget

# What nearly every test would load anew, or patches: of a module that is loaded twice only one is patched.
import rag_evals.evals.engine.cache
import rag_evals.evals.generation.generate
import rag_evals.evals.plugin.evaluate_fixture
import rag_evals.evals.plugin.hooks
import rag_evals.evals.runs.run_folder  # noqa: F401
import requests  # noqa: F401
import scipy.stats  # noqa: F401
import statsmodels.stats.multitest  # noqa: F401

from tests.servers.wandb import LoopbackWandb

# Without the plugins of libraries that only our own tests need: loading them takes as long as all else of a
# worker's start. tests/plugin/guests runs beside plugins of others.
INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = --strict-markers --strict-config -p no:anyio -p no:hypothesispytest -p no:langsmith_plugin
evals_pipelines = baseline
evals_questions = questions.jsonl
"""

# The pipelines answer with the question, and the judge reads its scores from that: "faithfulness=0.9
# relevancy=none" is answered faithfully, and whether it is relevant cannot be had.
CONFTEST = """
import pytest
from rag_evals.testing import FakeJudge, FakePipeline

def answer(question):
    return OSError("no disk") if "no-disk" in question else question

def scores(question, answer):
    pairs = (word.split("=") for word in answer.text.split())
    return {metric: None if value == "none" else float(value) for metric, value in pairs}

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(answer, name="baseline")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge(scores)
"""

# The same, with a pipeline that does as a test has it.
DOES = """
import os, time
import pytest
from rag_evals.testing import FakeJudge, FakePipeline

def answer(question):
    if question == "{question}":
        {does}
    return "good"

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(answer, name="baseline")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({{"faithfulness": 0.9}})
"""

TEST = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""

GOOD = "faithfulness=0.9 relevancy=0.8"


class Project:
    """A folder with questions, a conftest and tests; `run` runs pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.write("pytest.ini", INI)
        self.write("conftest.py", CONFTEST)
        self.write("test_it.py", TEST)
        self.ask(good=GOOD)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        """Read a file of the project."""
        return (self.path / name).read_text("utf-8")

    def append(self, name: str, text: str) -> None:
        """Add to a file of the project."""
        self.write(name, (self.path / name).read_text("utf-8") + "\n" + text)

    def asked(self, question: str, does: str) -> None:
        """Write a conftest whose pipeline answers well, but runs a statement when it is asked `question`."""
        self.write("conftest.py", DOES.format(question=question, does=does))

    def ask(self, name: str = "questions.jsonl", **questions: str | dict) -> None:
        """Write a question file; a text is the question, a dict gives more keys."""
        lines = [
            {"id": key, **(given if isinstance(given, dict) else {"question": given})}
            for key, given in questions.items()
        ]
        self.write(name, "".join(json.dumps(line) + "\n" for line in lines))

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest; in this process, as nothing of ours lives in modules. Workers are processes."""
        path = os.environ.get("PYTHONPATH")
        result = self.pytester.runpytest_inprocess(*args)
        assert os.environ.get("PYTHONPATH") == path, "this process is offline for good: use run_apart"
        return result

    def run_apart(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*args)

    @property
    def runs(self) -> list[Path]:
        """The run folders."""
        return sorted(path for path in self.path.rglob(".rag-evals/runs/*") if not path.is_symlink())

    @property
    def last_run(self) -> Path:
        """The folder of the last run; the names of two of one second do not tell which was later."""
        return max(self.runs, key=lambda run: (run / "records.jsonl").stat().st_mtime_ns)

    @property
    def lines(self) -> list[dict]:
        """The lines of the only run, without their checksums."""
        (run,) = self.runs
        with (run / "records.jsonl").open(encoding="utf-8") as file:
            return [{key: value for key, value in json.loads(line).items() if key != "sum"} for line in file]

    @property
    def evaluations(self) -> list[dict]:
        """The evaluations of the only run."""
        return [line for line in self.lines if line["type"] == "evaluation"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One good question to one pipeline; change what the test is about."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # the same output there as anywhere
    return Project(pytester)


@pytest.fixture
def server() -> Iterator[LoopbackWandb]:
    """A W&B on this machine."""
    with LoopbackWandb() as running:
        yield running


@pytest.fixture(params=[(), ("-n", "2"), ("-p", "no:xdist")], ids=["serial", "xdist", "without-xdist"])
def how(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The three ways to run: a feature is the same in all of them."""
    return request.param


@pytest.fixture
def summary():
    """Return the lines of the evals section of a run's output, up to what it says of the judge."""

    def lines(result: pytest.RunResult) -> list[str]:
        start = next(n for n, line in enumerate(result.outlines) if re.fullmatch(r"=+ evals =+", line))
        end = next(n for n, line in enumerate(result.outlines) if n > start and line.startswith("judge: "))
        return result.outlines[start + 1 : end]

    return lines


@pytest.fixture
def errors():
    """Return the lines that pytest marks as what a test failed of."""

    def lines(result: pytest.RunResult) -> list[str]:
        return [line[1:].strip() for line in result.outlines if re.match(r"E( |$)", line)]

    return lines
