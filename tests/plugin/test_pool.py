"""Passages of a real run, pooled, labelled, and held against the pipelines again."""

from __future__ import annotations

import json

from rag_evals.evals.cli.main import main

CONFTEST = """
import pytest
from rag_evals import Answer, Context
from rag_evals.testing import FakeJudge, FakePipeline

TEXTS = {0: "Nothing of it.", 1: "Two experts process a token.", 2: "Each goes to two of them."}

def found(*order):
    return Answer("Two.", tuple(Context(TEXTS[n], f"{n}.md", start=0, end=len(TEXTS[n])) for n in order))

@pytest.fixture(scope="session")
def words():
    return FakePipeline({"How many?": found(0, 1)}, name="words")

@pytest.fixture(scope="session")
def meaning():
    return FakePipeline({"How many?": found(2, 1)}, name="meaning")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9})
"""


def test_a_run_is_pooled(project, monkeypatch):
    """Two pipelines of one run; the gold passage is known, the others are proposed."""
    monkeypatch.chdir(project.path)
    source = {"document": "1.md", "start": 0, "end": 28}
    project.ask(experts={"question": "How many?", "sources": [source]})
    project.write("conftest.py", CONFTEST)
    project.run("--evals-pipelines", "words,meaning").assert_outcomes(passed=2)
    assert main(["questions", "pool", "latest", "--out", "pool.jsonl"]) == 0
    lines = [json.loads(line) for line in project.read("pool.jsonl").splitlines()]
    assert [(line["document"], line["found"]) for line in lines] == [
        ("0.md", {"words": 1}),
        ("2.md", {"meaning": 1}),
    ]
    for line, relevance in zip(lines, (0, 1), strict=True):
        line["relevance"] = relevance
    project.write("pool.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    assert main(["questions", "pool", "--apply", "pool.jsonl", "questions.jsonl"]) == 0
    assert json.loads(project.read("questions.jsonl"))["sources"] == [
        source,
        {"document": "0.md", "start": 0, "end": 14, "quote": "Nothing of it.", "relevance": 0.0},
        {"document": "2.md", "start": 0, "end": 25, "quote": "Each goes to two of them."},
    ]
