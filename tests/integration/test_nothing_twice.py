"""Nothing twice with the bundled pipelines and small real models: what later runs load, embed and ask."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What models, indexes and their libraries come with.
HEAVY = ("llama_cpp", "torch", "llama_index", "sentence_transformers", "transformers", "numpy", "pypdf")

# A project of a user's own on the bundled fixtures. At the end of the process it writes down which of the
# heavy libraries were imported in it.
CONFTEST = f"""
import atexit, sys
from dataclasses import replace
from pathlib import Path

from rag_evals.evals.judges import prompts

pytest_plugins = ["rag_evals.fixtures.pipelines", "rag_evals.fixtures.judges"]

if Path("reworded").exists():
    prompts.ANSWERS = replace(prompts.ANSWERS, task=prompts.ANSWERS.task.replace("give", "contain"))

def note():
    Path("imported").write_text(" ".join(name for name in {HEAVY!r} if name in sys.modules))

atexit.register(note)
"""

TEST = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result()
"""

# Relevancy embeds nothing: the vectors in the cache are those of the chunks and the questions.
INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = -p no:cacheprovider -p no:xdist --evals-offline
evals_mode = report
evals_max_unscored = 1
evals_metrics = relevancy
evals_docs = docs
evals_questions = questions.jsonl
evals_config = pipelines.toml
"""

TOML = """
[llm]
model = "smollm2-135m-instruct"
n_ctx = 2048
n_threads = 1

[defaults]
embedder = "all-minilm-l6-v2"
max_answer_tokens = 12
instruction = "Answer in one sentence."

[pipelines.baseline]
retriever = "vector"
chunk_sizes = [32]
chunk_overlap = 0
top_k = 1

[pipelines.auto_merging]
retriever = "auto_merging"
chunk_sizes = [128, 32]
chunk_overlap = 0
top_k = 2
reranker = "none"
rerank_top_n = 2
"""

DOCUMENTS = {
    "experts.md": "The router of a mixture of experts sends each token to two of the eight experts. "
    "A gate scores every expert for each token and keeps the two experts with the highest scores. "
    "The load of the experts is balanced by a loss, so that no expert gets all of the tokens.\n",
    "tides.md": "The tide at Saint-Malo rises by up to thirteen metres in the spring of the year. "
    "The moon and the sun pull at the water of the tide together twice in each month. "
    "The causeway to the fort lies dry when the tide has gone out and the water is low.\n",
}

QUESTIONS = {
    "experts": "To how many experts does the router send each token?",
    "tide": "By how many metres does the tide at Saint-Malo rise?",
}


class Project:
    """A folder with documents, questions and settings; `run` runs pytest in a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set_up(self) -> None:
        """Write what every run begins with."""
        lines = [json.dumps({"id": name, "question": asked}) for name, asked in QUESTIONS.items()]
        for name, text in (
            *((f"docs/{name}", text) for name, text in DOCUMENTS.items()),
            ("conftest.py", CONFTEST),
            ("test_it.py", TEST),
            ("pytest.ini", INI),
            ("pipelines.toml", TOML),
            ("questions.jsonl", "\n".join(lines) + "\n"),
        ):
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def run(self, *options: str) -> dict[tuple[str, str], dict]:
        """Run pytest; return the evaluations by pipeline and question."""
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        records = (self.path / ".rag-evals/runs/latest/records.jsonl").read_text("utf-8")
        lines = [line for line in map(json.loads, records.splitlines()) if line["type"] == "evaluation"]
        for line in lines:
            del line["sum"]  # of this very line, with the seconds that it took
        return {(line["pipeline"], line["question_id"]): line for line in lines}

    @property
    def imported(self) -> list[str]:
        """The heavy libraries that the last run imported."""
        return (self.path / "imported").read_text().split()

    def count(self, kind: str) -> int:
        """Count the items of a kind in the cache."""
        with closing(sqlite3.connect(self.path / ".rag-evals/cache.sqlite")) as connection:
            return connection.execute("SELECT count(*) FROM item WHERE kind = ?", (kind,)).fetchone()[0]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project that has run once, and what that run recorded."""
    project = Project(tmp_path_factory.mktemp("twice"))
    project.set_up()
    return project, project.run()


@pytest.fixture
def again(first, tmp_path):
    """A copy of that project for one test to change."""
    shutil.copytree(first[0].path, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def cached(evaluations: dict) -> dict:
    return {key: tuple(line["cached"]) for key, line in evaluations.items()}


BOTH = [(pipeline, name) for pipeline in ("baseline", "auto_merging") for name in QUESTIONS]


@pytest.mark.model
def test_the_first_run_makes_everything(first):
    """Both pipelines answer both questions, and every chunk is embedded; the other tests begin with that."""
    project, evaluations = first
    assert cached(evaluations) == dict.fromkeys(BOTH, ())
    assert project.count("vector") >= 2 * 3 + len(QUESTIONS)
    # Retrieval is done by the session; models run in processes of their own.
    assert "llama_index" in project.imported
    assert not {"llama_cpp", "torch", "sentence_transformers"} & set(project.imported)


@pytest.mark.model
def test_a_second_run_loads_nothing(first, again):
    """No model, no index, and none of their libraries; what it records is what the first run recorded."""
    evaluations = again.run()
    assert again.imported == []
    assert cached(evaluations) == dict.fromkeys(BOTH, ("answer", "scores"))
    for key, line in evaluations.items():
        assert {**line, "cached": []} == first[1][key]


@pytest.mark.model
def test_one_document_of_two_changes(first, again):
    """Only its chunks are embedded, and only the questions that got other passages are answered."""
    vectors = again.count("vector")
    again.write("docs/tides.md", DOCUMENTS["tides.md"].replace("thirteen", "twelve"))
    evaluations = again.run()
    # One chunk holds the changed word, and it is the same in both pipelines.
    assert again.count("vector") == vectors + 1
    assert cached(evaluations) == {
        (pipeline, name): ("answer", "scores") if name == "experts" else () for pipeline, name in BOTH
    }
    texts = [context["text"] for context in evaluations["baseline", "tide"]["contexts"]]
    assert any("twelve" in text for text in texts)
    # Once more, and nothing is left to do.
    again.run()
    assert again.imported == []


@pytest.mark.model
def test_another_top_k(again):
    """The pipeline whose knob it is answers anew where the passages are others; nothing is embedded."""
    vectors = again.count("vector")
    again.write("pipelines.toml", TOML.replace("top_k = 1", "top_k = 2"))
    evaluations = again.run()
    assert again.count("vector") == vectors
    assert cached(evaluations) == {
        (pipeline, name): () if pipeline == "baseline" else ("answer", "scores") for pipeline, name in BOTH
    }


@pytest.mark.model
def test_one_word_of_a_wording(first, again):
    """Another judge judges anew, and nothing is answered anew."""
    answers = again.count("answer")
    again.write("reworded", "")
    evaluations = again.run()
    assert cached(evaluations) == dict.fromkeys(BOTH, ("answer",))
    assert again.count("answer") == answers
    assert {key: line["answer"] for key, line in evaluations.items()} == {
        key: line["answer"] for key, line in first[1].items()
    }
