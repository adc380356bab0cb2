"""Pipelines that are bound to a loop or a thread: where they are asked, and what is said."""

from __future__ import annotations

import pytest

CONFTEST = """
import asyncio
import sqlite3
import threading
import pytest
import pytest_asyncio
from rag_evals import pipeline_from
from rag_evals.testing import FakeJudge

class Client:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.lock = asyncio.Lock()

    async def ask(self, question):
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("the client is attached to a different loop")
        async with self.lock:
            await asyncio.sleep(0)
        return "good", ["good"]

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client():
    return Client()

@pytest.fixture(scope="session")
def bound(client):
    return pipeline_from(client.ask, name="bound", in_test=True)

@pytest.fixture(scope="session")
def loose(client):
    return pipeline_from(client.ask, name="loose")

@pytest.fixture(scope="session")
def sqlite():
    connection = sqlite3.connect(":memory:")
    def ask(question):
        return connection.execute("select 'good'").fetchone()[0], ["good"]
    return pipeline_from(ask, name="sqlite", in_test=True)

@pytest.fixture(scope="session")
def elsewhere():
    connection = sqlite3.connect(":memory:")
    def ask(question):
        return connection.execute("select 'good'").fetchone()[0], []
    return pipeline_from(ask, name="elsewhere")

@pytest.fixture(scope="session")
def failing():
    def ask(question):
        raise OSError(f"no disk in {threading.current_thread().name}")
    return pipeline_from(ask, name="failing", in_test=True)

@pytest.fixture(scope="session")
def leaving():
    def ask(question):
        raise SystemExit("done")
    return pipeline_from(ask, name="leaving", in_test=True)

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.9})
"""
ASYNC = """
import pytest

@pytest.mark.asyncio(loop_scope="session")
async def test_answer(evaluate, pipeline, question):
    (await evaluate(pipeline, question)).require()
"""


@pytest.fixture
def bound_project(project):
    """Clients and connections that only work where they were made."""
    project.write("conftest.py", CONFTEST)
    project.ask(a="a?", b="b?")
    return project


@pytest.mark.parametrize(("name", "test"), [("bound", ASYNC), ("sqlite", None), ("sqlite", ASYNC)])
def test_where_its_test_runs(bound_project, how, name, test):
    """A pipeline asked in the test works with what was made there, in async tests and in plain ones."""
    if test:
        bound_project.write("test_it.py", test)
    bound_project.run("--evals-pipelines", name, *how).assert_outcomes(passed=2)
    assert {line["outcome"] for line in bound_project.evaluations} == {"passed"}


@pytest.mark.parametrize(("name", "test"), [("loose", ASYNC), ("elsewhere", None)])
def test_elsewhere(bound_project, name, test):
    """Asked elsewhere it fails as its library has it, and the message says what to write."""
    if test:
        bound_project.write("test_it.py", test)
    bound_project.run("--evals-pipelines", name).assert_outcomes(failed=2)
    errors = [line["error"] for line in bound_project.evaluations]
    assert len(errors) == 2
    assert {error.partition(": a pipeline is")[2] for error in errors} == {
        " asked on a loop and in a thread of the harness; pipeline_from(..., in_test=True), "
        "or Profile(runs_in_test=True), has it asked where its test runs"
    }


def test_an_error_in_the_test(bound_project):
    """What the pipeline raises there is its evaluation's error, as it is anywhere."""
    bound_project.run("--evals-pipelines", "failing").assert_outcomes(failed=2)
    assert {line["error"] for line in bound_project.evaluations} == {"OSError: no disk in MainThread"}


@pytest.mark.parametrize("test", [None, ASYNC], ids=["plain", "async"])
def test_an_exit_in_the_test(bound_project, test):
    """A pipeline that would end the process ends neither the test nor the session, as elsewhere."""
    if test:
        bound_project.write("test_it.py", test)
    bound_project.run("--evals-pipelines", "leaving").assert_outcomes(failed=2)
    assert {line["error"] for line in bound_project.evaluations} == {"SystemExit: done"}
