"""A project of two pipelines that notes what each test took.

Its tests stop once, in front of a test of its middle and outside of all measured times, until whoever runs it
lets them go on: that is the moment at which something can be made to go wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = --strict-markers --strict-config -p no:cacheprovider
evals_pipelines = first, second
evals_questions = questions.jsonl
evals_max_unscored = 0.5
"""

# A pipeline answers with the question after a while; the judge reads its scores from that.
CONFTEST = """
import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from rag_evals.testing import FakeJudge
from rag_evals import Answer, Context

EVALUATED = {}

class Pipeline:
    fingerprint = "lab"

    def __init__(self, name):
        self.name = name

    async def answer(self, question):
        await asyncio.sleep(0.05)
        if "no-disk" in question:
            raise OSError("no disk")
        return Answer(question, (Context("passage " * 50, "a.pdf", 1, 5, 12),))

def scores(question, answer):
    pairs = (word.split("=") for word in answer.text.split() if "=" in word)
    return {metric: None if value == "none" else float(value) for metric, value in pairs}

@pytest.fixture(scope="session")
def first():
    return Pipeline("first")

@pytest.fixture(scope="session")
def second():
    return Pipeline("second")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge(scores)

@pytest.fixture
def evaluated(request):
    start = time.perf_counter()
    return lambda: EVALUATED.update({request.node.nodeid: time.perf_counter() - start})

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    if item.session.items.index(item) == int(os.environ["LAB_STOP"]):
        Path("stopped").touch()
        until = time.monotonic() + 60
        while not Path("go").exists() and time.monotonic() < until:
            time.sleep(0.01)
    start = time.perf_counter()
    try:
        return (yield)
    finally:
        took = time.perf_counter() - start
        told = [item.nodeid, EVALUATED.get(item.nodeid, 0.0), took, time.time()]
        with open("times.jsonl", "a") as file:
            file.write(json.dumps(told) + "\\n")

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    # Before the tracker, which has only just been begun, makes a folder of that name.
    if "LAB_DISK" in os.environ:
        for run in Path(".rag-evals/runs").glob("*"):
            if not run.is_symlink() and not (run / "wandb").exists():
                (run / "wandb").symlink_to(os.environ["LAB_DISK"])
"""

TEST = """
def test_answer(evaluate, pipeline, question, evaluated):
    evaluation = evaluate(pipeline, question).result()
    evaluated()
    evaluation.require()
"""

GOOD = "faithfulness=0.9 relevancy=0.8"
# Every eighth question fails, has no verdict, or has no answer.
OTHERS = {3: "faithfulness=0.1 relevancy=0.8", 5: "faithfulness=none relevancy=0.8", 6: "no-disk"}


def write_project(folder: Path, questions: int) -> None:
    """Make the folder, with so many questions to each of the two pipelines."""
    folder.mkdir(parents=True)
    for name, text in (("pytest.ini", INI), ("conftest.py", CONFTEST), ("test_it.py", TEST)):
        (folder / name).write_text(text)
    asked = (f"{OTHERS.get(n % 8, GOOD)} question {n}" for n in range(questions))
    lines = (json.dumps({"id": f"q{n}", "question": text}) + "\n" for n, text in enumerate(asked))
    (folder / "questions.jsonl").write_text("".join(lines))
