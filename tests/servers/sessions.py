"""A project whose runs have all that a tracker can be told; its sessions are processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = --strict-markers --strict-config -p no:cacheprovider
evals_pipelines = first, second
evals_questions = questions.jsonl
"""

# A pipeline answers with the question, without what comes before "? "; the judge reads its scores from that.
CONFTEST = """
import sys
from pathlib import Path

import pytest
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals import Answer, Context
from rag_evals.rag.answer import Span, Tokens
from rag_evals.rag.profile import Profile

IDENTITY = {
    "index": {"documents": {"a.md": "1f", "b.pdf": "2e"}, "embedder": {"name": "tiny", "sha256": "3d"}},
    "model": {"name": "small", "sha256": "4c"},
    "temperature": 0.0,
}

class Pipeline:
    def __init__(self, name, top_k):
        self.name = name
        self.fingerprint = name * 8
        self.profile = Profile(
            settings={"index": "abcdef0123456789ff", "top_k": top_k, "reranker": None, "hybrid": True},
            identity={**IDENTITY, "top_k": top_k},
        )

    async def answer(self, question):
        if "no-disk" in question:
            raise OSError("no disk")
        if self.name == "second":
            question = question.replace("relevancy=0.8", "relevancy=0.75")
        return Answer(
            question.partition("? ")[2],
            (Context("eight experts", "b.pdf", 2, 5, 18, 0.5), Context("no pages", "a.md", None, 0, 8, 0.25)),
            {"retrieve": 0.25, "generate": 1.5, "merge": 0.125},
            {"generate": Tokens(100, 20, 7)},
            stages={"candidates": (Span("b.pdf", 2, 5, 18),)},
        )

class Judge:
    name = "reader"
    fingerprint = "reads"
    profile = Profile(
        settings={"model": "judge-model", "metrics": ["faithfulness", "relevancy"]},
        identity={"model": {"sha256": "5b"}, "prompts": 3},
    )

    async def score(self, question, answer):
        pairs = [word.split("=") for word in answer.text.split() if "=" in word]
        return Judgement(tuple(self.read(metric, value) for metric, value in pairs), 0.5, Tokens(40, 60, 1))

    def read(self, metric, text):
        if text == "none":
            return Score(metric, None, reason="no verdict")
        claims = (ClaimScore(f"claim of {metric} {text}", float(text)), ClaimScore("another", 1.0))
        return Score(metric, float(text), claims=claims)

@pytest.fixture(scope="session")
def first():
    return Pipeline("first", 4)

@pytest.fixture(scope="session")
def second():
    return Pipeline("second", 8)

@pytest.fixture(scope="session")
def judge():
    return Judge()

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    Path(f"imported-{'worker' if hasattr(config, 'workerinput') else 'main'}.txt").write_text(
        " ".join(sorted({name.partition(".")[0] for name in sys.modules}))
    )
"""

TEST = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""

SOURCE = {"document": "b.pdf", "page": 2, "start": 5, "end": 18, "quote": "eight experts"}
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"id": "good", "question": "Why? faithfulness=0.9 relevancy=0.8", "reference": "8", "tags": ["a", "b"]},
    {"id": "fails", "question": "How? faithfulness=0.1 relevancy=0.8", "sources": [SOURCE]},
    {"id": "unscored", "question": "When? faithfulness=none relevancy=0.8", "tags": ["a"]},
    {"id": "error", "question": "no-disk? relevancy=1"},
    {"id": "größe", "question": "Wie\nviele “Experten” \U0001f600? faithfulness=1 relevancy=0.7"},
    {"id": "page", "question": "Where? faithfulness=0.95 relevancy=0.85", "sources": [{"document": "a.md"}]},
)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Project:
    """Two pipelines and six questions in a folder of their own; `begun` makes it."""

    folder: Path

    @classmethod
    def begun(cls, folder: Path) -> Project:
        """Make the folder."""
        folder.mkdir(parents=True)
        for name, text in (("pytest.ini", INI), ("conftest.py", CONFTEST), ("test_it.py", TEST)):
            (folder / name).write_text(text, "utf-8")
        lines = "".join(f"{json.dumps(question)}\n" for question in QUESTIONS)
        (folder / "questions.jsonl").write_text(lines, "utf-8")
        return cls(folder)

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a session."""
        return self._run("pytest", "-q", *options, environment=environment)

    def begin(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Begin a session, to be disturbed."""
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *options],
            cwd=self.folder,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def replay(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Send a run again."""
        return self._run("rag_evals.evals.cli", "replay", *options, environment=environment)

    def sync(self, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Let wandb itself send what it left in `folder`."""
        more = {"WANDB_DATA_DIR": str(self.folder), "WANDB_CACHE_DIR": str(self.folder), **environment}
        return self._run("wandb", "sync", str(folder), environment=more)

    @property
    def runs(self) -> list[Path]:
        """The run folders, the oldest first."""
        found = [path for path in self.folder.glob(".rag-evals/runs/*") if not path.is_symlink()]
        return sorted(found, key=lambda path: path.stat().st_ctime_ns)

    @property
    def folder_of_run(self) -> Path:
        """The only run folder."""
        (run,) = self.runs
        return run

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the only run, without their checksums."""
        lines = map(json.loads, (self.folder_of_run / "records.jsonl").read_text("utf-8").splitlines())
        return [{key: value for key, value in line.items() if key != "sum"} for line in lines]

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The evaluations of the only run."""
        return [line for line in self.lines if line["type"] == "evaluation"]

    def imported(self, process: str = "main") -> set[str]:
        """Return the packages that were imported in pytest's process when it ended."""
        return set((self.folder / f"imported-{process}.txt").read_text().split())

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        foreign = ("WANDB_", "GITHUB_", "PYTEST_")
        ours = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        return {**ours, "PYTHONPATH": str(ROOT), "WANDB_ERROR_REPORTING": "false", **more}

    def _run(
        self, module: str, *options: str, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *options],
            cwd=self.folder,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
        )


def said(done: subprocess.CompletedProcess[str], tracker: str = "wandb") -> list[str]:
    """Return the lines about a tracker in what was printed."""
    return [line for line in done.stdout.splitlines() if line.startswith(f"{tracker}: ")]
