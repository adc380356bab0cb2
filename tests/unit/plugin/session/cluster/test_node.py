"""The session of pytest in an actor, without a cluster: what it sets up, answers and refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CONFTEST = """
import pytest
from rag_evals.testing import FakeJudge, FakePipeline

ANSWERS = {"How many?": "Two.", "Who?": OSError("no disk"), "When?": SystemExit("out")}

@pytest.fixture(scope="session")
def first():
    yield FakePipeline(ANSWERS, name="first")
    print("first is over", flush=True)

@pytest.fixture(scope="session")
def second():
    return FakePipeline({"How many?": "Three."}, name="second")

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("no key")

@pytest.fixture(params=["a", "b"], scope="session")
def mine(request):
    return FakePipeline({"How many?": request.param}, name="mine")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""
TEST = """
import pytest

async def test_answer(evaluate, pipeline, question):
    raise AssertionError("the body is not run")

class TestMine:
    def test_mine(self, evaluate, mine, question):
        raise AssertionError("the body is not run")
"""
DRIVER = """
import json, sys
from concurrent.futures import wait
from rag_evals.evals.engine.backends.cluster.messages import BASE, NodeSpec, Request
from rag_evals.evals.engine.task import Origin
from rag_evals.evals.plugin.session.cluster.node import start_node
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import FakeJudge, FakePipeline

base, asks, arguments = json.loads(sys.argv[1])
question = '{"id": "a", "question": "?"}'
spec = NodeSpec(tuple(arguments), base, ".", (f"{BASE}/test_it.py",), question, base + "/home")
node = start_node(spec)
JUDGE = FakeJudge({"faithfulness": 0.9, "relevancy": 0.8}).fingerprint
futures = []
for test, fixture, pipeline, question in asks:
    fingerprint = {
        "first": "FIRST", "second": FakePipeline({"How many?": "Three."}, name="second").fingerprint,
    }.get(pipeline, pipeline)
    futures.append(node.submit(Request(
        Origin(test, fixture, "judge"), fingerprint, JUDGE, Question("q", question),
        ("faithfulness", "relevancy"), pipeline, 0, 0, 1,
    )))
replies = [future.result(timeout=60) for future in futures]
print()
print(json.dumps([
    reply.refused or [
        reply.evaluation.answer and reply.evaluation.answer.text,
        reply.evaluation.error,
        {s.metric: s.value for s in reply.evaluation.scores},
        [kept.kind for kept in reply.kept],
    ]
    for reply in replies
]))
print(node.stalled() < 60)
node.end()
"""


@pytest.fixture
def asked(tmp_path):
    """Have a node in a process of its own answer; return what it replies."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_mode = auto\nevals_pipelines = first second broken\n"
        "evals_mode = gate\nevals_wandb = team/project\naddopts = --maxfail=1 --junitxml=junit.xml\n"
    )

    def ask(*asks, arguments=("-k", "nothing", "nowhere.py")):
        given = json.dumps([str(tmp_path), asks, arguments])
        first = FIRST_FINGERPRINT
        ran = subprocess.run(
            [sys.executable, "-P", "-c", DRIVER.replace('"FIRST"', repr(first)), given],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )
        lines = ran.stdout.splitlines()
        found = [line for line in lines if line.startswith("[[") or line.startswith('["')]
        assert found, ran.stdout + ran.stderr
        assert "True" in lines, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr, ran.stderr
        return json.loads(found[0]), lines, sorted(path.name for path in tmp_path.iterdir())

    return ask


def _fingerprint():
    from rag_evals.evals.testing import FakePipeline

    answers = {"How many?": "Two.", "Who?": OSError("no disk"), "When?": SystemExit("out")}
    return FakePipeline(answers, name="first").fingerprint


FIRST_FINGERPRINT = _fingerprint()
SCORES = {"faithfulness": 0.9, "relevancy": 0.8}
FIRST, SECOND = "test_it.py::test_answer first", "test_it.py::test_answer second"


def test_it_answers_with_the_fixtures_of_the_tests(asked):
    """Whatever selects, records or decides where pytest was called does nothing; fixtures end at the end."""
    replies, lines, files = asked(
        (FIRST, "pipeline", "first", "How many?"),
        (SECOND, "pipeline", "second", "How many?"),
        (FIRST, "pipeline", "first", "Who?"),
        (FIRST, "pipeline", "first", "How many?"),
    )
    good = ["Two.", None, SCORES, ["answer", "scores"]]
    assert replies == [
        good,
        ["Three.", None, SCORES, ["answer", "scores"]],
        [None, "OSError: no disk", dict.fromkeys(SCORES), []],
        good,
    ]
    assert sum("first is over" in line for line in lines) == 1
    assert {"junit.xml", "home"}.isdisjoint(files)
    assert ".rag-evals" not in files


def test_it_refuses_what_it_cannot_do(asked):
    replies, _, _ = asked(
        ("test_it.py::test_answer broken", "pipeline", "broken", "How many?"),
        ("test_it.py::test_other first", "pipeline", "first", "How many?"),
        (FIRST, "pipeline", "0123456789abcdef", "How many?"),
        (FIRST, "pipeline", "first", "How many?"),
    )
    assert replies == [
        "test_it.py::test_answer[broken-a] cannot be set up: RuntimeError: no key",
        "there is no test test_it.py::test_other first",
        f"pipeline 0123456789abcdef is not what it is where pytest was called: its fingerprint is "
        f"{FIRST_FINGERPRINT[:12]} here and 0123456789ab there",
        ["Two.", None, SCORES, ["answer", "scores"]],
    ]


def test_what_cannot_be_collected_is_said(asked, tmp_path):
    (tmp_path / "conftest.py").write_text("import no_such_module\n")
    said = (
        r"UsageError: ImportError while loading conftest '.*conftest\.py'\.; conftest\.py:1: in <module>; "
        r"import no_such_module; E   ModuleNotFoundError: No module named 'no_such_module'"
    )
    with pytest.raises(AssertionError, match=said):
        asked((FIRST, "pipeline", "first", "How many?"))
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("import no_such_module\n")
    with pytest.raises(
        AssertionError,
        match=r"UsageError: test_it\.py: ModuleNotFoundError: No module named 'no_such_module'",
    ):
        asked((FIRST, "pipeline", "first", "How many?"))
