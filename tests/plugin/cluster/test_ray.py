"""Evaluations on a Ray cluster on this machine: all else stays, and faults cost time, not results."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.servers.ray_cluster import ray_cluster

pytestmark = pytest.mark.cluster

CONFTEST = """
import asyncio, json, os, signal
import pytest
from rag_evals import pipeline_from
from rag_evals.testing import FakeJudge

def pytest_addoption(parser):
    parser.addoption("--word", default="bad")

@pytest.fixture(scope="session")
def word(pytestconfig):
    return pytestconfig.getoption("--word")

@pytest.fixture(scope="session")
def waiting(word):
    async def ask(question):
        await asyncio.sleep(0.05)
        return f"{word} {os.getpid()}", [f"{question} in {os.getcwd()}"]
    return pipeline_from(ask, name="waiting", fingerprint=f"waiting {word}")

def once(name):
    try:
        os.close(os.open(f"{os.environ['NOTES']}/{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

@pytest.fixture(scope="session")
def mortal():
    async def ask(question):
        open(f"{os.environ['NOTES']}/pid{os.getpid()}", "w").close()
        await asyncio.sleep(0.2)
        if question == "What is 3?" or (question == "What is 10?" and once("ten")):
            os.kill(os.getpid(), signal.SIGKILL)
        return f"answer to {question}", [question]
    return pipeline_from(ask, name="mortal", fingerprint="mortal")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""
LISTENING = """
@pytest.fixture(scope="session")
def listening():
    from contextlib import suppress
    def listened():
        import psutil
        raylet = next(one for one in psutil.Process().parents() if one.name() == "raylet")
        for process in raylet.parent().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended just now
                for one in process.net_connections("inet"):
                    if one.status == psutil.CONN_LISTEN:
                        yield one.laddr.ip.removeprefix("::ffff:")
    async def ask(question):
        return json.dumps(sorted(set(listened()))), ["a passage"]
    return pipeline_from(ask, name="listening", fingerprint="listening")
"""
HUNGRY = """
@pytest.fixture(scope="session")
def hungry():
    async def ask(question):
        if question == "What is 5?" and once("five"):
            taken = bytearray({size})
            for place in range(0, len(taken), 4096):
                taken[place] = 1
            await asyncio.sleep(60)
        return f"answer to {{question}}", [question]
    return pipeline_from(ask, name="hungry", fingerprint="hungry")
"""
ASYNC = """
async def test_answer(evaluate, pipeline, question):
    (await evaluate(pipeline, question)).require()
"""


@pytest.fixture
def clustered(project, monkeypatch):
    """A project whose pipeline says which process it is in."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", ASYNC)
    project.ask(**{f"q{n}": f"What is {n}?" for n in range(60)})
    return project


def test_work_is_done_elsewhere_and_recorded_here(clustered):
    """Each question once, by two actors with the options of this call; a second run makes nothing.

    Nothing of Ray listens beyond the loopback address, and a session that is offline can use it.
    """
    clustered.append("conftest.py", LISTENING)
    options = ("--evals-ray=local", "--evals-ray-actors=2", "--word=good", "--evals-offline")
    options = (*options, "--evals-pipelines=waiting,listening")
    result = clustered.run_apart(*options, "--evals-ray-resources=num_cpus=0.5")
    result.assert_outcomes(passed=120)
    assert re.search(r"evals: a Ray cluster is begun on this machine, with \d+ CPUs", result.stdout.str())
    told = {one["answer"] for one in clustered.evaluations if one["pipeline"] == "listening"}
    assert {address for one in told for address in json.loads(one)} == {"127.0.0.1"}
    made = [one for one in clustered.evaluations if one["pipeline"] == "waiting"]
    assert sorted(one["question_id"] for one in made) == sorted(f"q{n}" for n in range(60))
    assert {one["test"] for one in made} == {f"test_it.py::test_answer[waiting-q{n}]" for n in range(60)}
    pids = {one["answer"].removeprefix("good ") for one in made}
    assert len(pids) == 2
    assert {one["contexts"][0]["text"].partition(" in ")[2] for one in made} == {str(clustered.path)}
    # What actors made is kept here, and the next run needs no cluster.
    again = clustered.run_apart(*options)
    again.assert_outcomes(passed=120)
    assert "Ray cluster" not in again.stdout.str()
    assert "cache: 120 of 120 answers reused, 120 of 120 verdicts reused" in again.stdout.str()


def test_a_cluster_that_does_not_start_ends_the_session_once(clustered, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(clustered.write("a file", "")))
    result = clustered.run_apart("--evals-ray=local", "--evals-pipelines=waiting")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stdout.str().count("ERROR: evals_ray: ") == 1


def test_what_cannot_travel_is_said_before_the_first_question(clustered):
    clustered.write(
        "test_it.py",
        "from rag_evals.testing import FakePipeline\n\n\n"
        "def test_answer(evaluate, question):\n"
        "    evaluate(FakePipeline(lambda q: q, name='mine'), question).result()\n",
    )
    result = clustered.run_apart("--evals-ray=local")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: evals_ray: mine cannot be asked elsewhere: test_it.py::test_answer[q0] has it from no "
        "fixture; make it one, and let the test take it as an argument"
    ) in result.stdout.str()
    assert "Ray cluster" not in result.stdout.str()


# --- faults, on two nodes ---


def answered(project) -> list[str]:
    """Return the questions of the only run that have an answer."""
    return sorted(one["question_id"] for one in project.evaluations if one["answer"])


def has_answers(project, count: int) -> bool:
    """Return whether so many evaluations are recorded."""
    files = [run / "records.jsonl" for run in project.runs]
    return any(file.exists() and file.read_text().count('"type":"evaluation"') >= count for file in files)


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> float:
    """Return how long it took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, "it never does"
        time.sleep(0.05)
    return time.monotonic() - start


def test_actors_that_die_cost_a_question_at_most(begun, clustered):
    """One that dies once is replaced; a question over which three die is left unscored, with the cause."""
    said = begun("--evals-pipelines=mortal").communicate(timeout=300)[0]
    assert answered(clustered) == sorted(f"q{n}" for n in range(60) if n != 3)
    (lost,) = (one for one in clustered.evaluations if not one["answer"])
    reason = (
        "there is no answer: 3 actors were lost over it, the last: its process died: it was killed, or "
        "crashed in native code"
    )
    assert (lost["question_id"], lost["outcome"], lost["error"]) == ("q3", "unscored", None)
    assert {score["reason"] for score in lost["scores"].values()} == {reason}
    assert said.count("was lost: its process died") == 4
    assert "59 passed, 1 skipped" in said


def test_a_node_that_is_lost(begun, clustered, cluster):
    """What it was at goes to the other one; each question is in the records once."""
    running = begun("--evals-pipelines=waiting")
    wait_until(lambda: has_answers(clustered, 5))
    cluster.tell("remove")
    said = running.communicate(timeout=300)[0]
    cluster.tell("add")
    assert answered(clustered) == sorted(f"q{n}" for n in range(60))
    assert "60 passed" in said


def test_a_node_that_hangs(begun, clustered, cluster):
    """Its processes and its network stand still: it counts as lost after the time that was said."""
    clustered.ask(**{f"q{n}": f"What is {n}?" for n in range(11, 60)})
    clustered.write("ray.toml", "lost_after = 5\n")
    running = begun("--evals-pipelines=mortal", "--evals-ray-config=ray.toml")
    wait_until(lambda: has_answers(clustered, 8))
    began = time.monotonic()
    cluster.tell("hang")
    said = running.communicate(timeout=300)[0]
    assert time.monotonic() - began < 60
    cluster.tell("remove")
    cluster.tell("add")
    assert answered(clustered) == sorted(f"q{n}" for n in range(11, 60))
    assert said.count("was lost: it gave no sign of life for 5 s; what it was at goes to others") >= 1
    assert "49 passed" in said


def test_the_head_restarts(begun, clustered, cluster):
    """Actors go on meanwhile; one that dies behind it is replaced by the head that came back."""
    clustered.ask(**{f"q{n}": f"What is {n}?" for n in [*range(4, 10), *range(11, 60), 10]})
    running = begun("--evals-pipelines=mortal")
    wait_until(lambda: has_answers(clustered, 5))
    cluster.tell("kill head")
    wait_until(lambda: has_answers(clustered, 15))
    cluster.tell("start head")
    said = running.communicate(timeout=300)[0]
    assert answered(clustered) == sorted(f"q{n}" for n in range(4, 60))
    assert said.count("was lost: its process died") == 1
    assert "56 passed" in said


def test_a_head_that_is_gone(begun, clustered, cluster):
    """The session ends with a line that says so, and with what was made."""
    clustered.ask(**{f"r{n}": f"Which is {n}?" for n in range(600)})
    clustered.write("ray.toml", "lost_after = 5\n")
    running = begun("--evals-pipelines=mortal", "--evals-ray-config=ray.toml")
    wait_until(lambda: has_answers(clustered, 5))
    cluster.tell("kill head")
    began = time.monotonic()
    said = running.communicate(timeout=300)[0]
    assert time.monotonic() - began < 30
    cluster.tell("start head")
    assert "Interrupted: the cluster's head has not answered for 5 s !" in said
    assert "interrupted: `rag-evals continue" in said
    assert "never retrieved" not in said
    made = answered(clustered)
    assert len(made) >= 5
    assert f"{len(made)} passed" in said


def test_an_actor_that_runs_out_of_memory(begin, clustered, notes):
    """Its question is answered by another one."""
    import psutil

    memory = psutil.virtual_memory()
    clustered.append("conftest.py", HUNGRY.format(size=memory.total // 5))
    share = 1 - memory.available / memory.total + 0.1
    settings = {"RAY_memory_usage_threshold": f"{share:.2f}", "RAY_memory_monitor_refresh_ms": "100"}
    with ray_cluster(1, 1, {**settings, "NOTES": str(notes)}) as small:
        said = begin("--evals-pipelines=hungry", f"--evals-ray={small.address}").communicate(timeout=300)[0]
    assert answered(clustered) == sorted(f"q{n}" for n in range(60))
    assert "was lost: its node ran out of memory; what it was at goes to others" in said
    assert "60 passed" in said


def test_a_killed_session_goes_on_from_its_cache(begun, clustered, notes):
    """Ray ends the actors of one that is gone."""
    running = begun("--evals-pipelines=mortal", "-k", "not q3 and not q10")
    wait_until(lambda: has_answers(clustered, 10))
    running.kill()
    pids = [int(note.name.removeprefix("pid")) for note in notes.glob("pid*")]
    assert wait_until(lambda: not any(map(is_alive, pids)), 15) < 15
    made = len(answered(clustered))
    said = begun("--evals-pipelines=mortal", "-k", "not q3 and not q10").communicate(timeout=300)[0]
    reused = re.search(r"cache: (\d+) of (\d+) answers reused", said)
    assert reused, said
    assert int(reused[1]) >= made


def test_ctrl_c_frees_the_cluster(begun, clustered, notes):
    clustered.ask(**{f"r{n}": f"Which is {n}?" for n in range(600)})
    running = begun("--evals-pipelines=mortal")
    wait_until(lambda: has_answers(clustered, 10))
    running.send_signal(signal.SIGINT)
    pids = [int(note.name.removeprefix("pid")) for note in notes.glob("pid*")]
    assert pids
    assert wait_until(lambda: not any(map(is_alive, pids)), 15) < 5
    said = running.communicate(timeout=60)[0]
    assert "KeyboardInterrupt" in said
    assert "interrupted: `rag-evals continue" in said


def test_sigterm_ends_a_session_as_ever(begun, clustered, notes):
    """Ray's own way with it is an exception in the middle of pytest."""
    clustered.ask(**{f"r{n}": f"Which is {n}?" for n in range(600)})
    running = begun("--evals-pipelines=mortal")
    wait_until(lambda: has_answers(clustered, 10))
    running.terminate()
    said = running.communicate(timeout=60)[0]
    assert running.returncode == -signal.SIGTERM
    assert "INTERNALERROR" not in said
    pids = [int(note.name.removeprefix("pid")) for note in notes.glob("pid*")]
    assert wait_until(lambda: not any(map(is_alive, pids)), 15) < 15


def test_a_resource_that_no_node_has(begun, clustered):
    """It is said after half a minute, and the session ends when it was told to."""
    clustered.write("ray.toml", "wait_minutes = 0.6\nresources = { num_gpus = 1 }\n")
    running = begun("--evals-pipelines=waiting", "--evals-ray-config=ray.toml")
    heard = [(time.monotonic(), line) for line in running.stdout]
    running.wait(60)
    said = "".join(line for _, line in heard)
    (at,) = (at for at, line in heard if "cannot begin" in line)
    assert heard[-1][0] - at > 3
    missing = "num_gpus = 1 (the most that a node has is 0)"
    assert (
        f"evals: 1 actor cannot begin: no node of the cluster has {missing}; add such a node, ask for less "
        "with --evals-ray-resources, or end this with Ctrl-C"
    ) in said
    assert f"ERROR: evals_ray: no actor has begun in 0.6 minutes: no node has {missing}" in said
    assert running.returncode == pytest.ExitCode.USAGE_ERROR


def is_alive(pid: int) -> bool:
    """Return whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
