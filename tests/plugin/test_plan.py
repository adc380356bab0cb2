"""Before and during a run: what it will take, what it may take, and that nothing finished is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from rag_evals.evals.cli.main import main

from tests.plugin.test_cache import CONFTEST, made

SLOW = CONFTEST.replace(
    'note("answer", question)\n', 'note("answer", question)\n        time.sleep(0.15)\n'
).replace("import os\n", "import os\nimport time\n", 1)


@pytest.fixture
def project(project):
    """Three questions to a pipeline and a judge that say when they really work."""
    project.write("conftest.py", CONFTEST)
    project.ask(a="A?", b="B?", c="C?")
    return project


def plan(project, *arguments: str) -> list[str]:
    result = project.run_apart("--evals-plan", "-p", "no:terminal", *arguments)
    assert result.ret == 0
    return result.outlines


def test_a_plan_makes_nothing(project):
    """Only what was made before is looked up, and no run is recorded."""
    assert plan(project) == ["plan: baseline: 3 of 3 answers and 3 judgements to make"]
    assert (made(project), project.runs) == ([], [])


def test_a_plan_tells_what_is_left(project):
    """What was made tells what the rest takes: an answer took 1.5 s, a judgement 0.5 s."""
    project.run("-k", "baseline-a")
    assert plan(project) == ["plan: baseline: 2 of 3 answers and 2 judgements to make, about 0 tokens, 4 s"]
    project.run()
    assert plan(project) == ["plan: baseline: all 3 evaluations were made before"]


def test_a_plan_on_a_terminal(project):
    """Asked for by its option, the plan stands in pytest's own summary."""
    result = project.run("--evals-plan")
    result.assert_outcomes(skipped=3)
    assert "plan: baseline: 3 of 3 answers and 3 judgements to make" in result.outlines


def test_the_command(project, monkeypatch, capfd):
    """`rag-evals plan` takes pytest's arguments and prints nothing but the plan."""
    monkeypatch.chdir(project.path)
    assert main(["plan"]) == 0
    assert capfd.readouterr().out == "plan: baseline: 3 of 3 answers and 3 judgements to make\n"
    assert main(["plan", "--evals-pipelines=baselin"]) == 4
    assert capfd.readouterr().err.startswith("ERROR: unknown pipeline 'baselin'")
    assert main(["plan", "nowhere.py"]) == 4
    assert "nowhere.py" in capfd.readouterr().err


def test_a_run_that_would_take_too_long_is_refused(project, how):
    """Refused before anything is made, in one line, with the usage exit code."""
    project.run("-k", "baseline-a")
    made(project)
    result = project.run("--evals-max-minutes=0.05", *how)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = "\n".join((*result.outlines, *result.errlines))
    assert "ERROR: this run would take about 0.1 min, more than evals_max_minutes = 0.05" in output
    assert made(project) == []


def test_a_run_stops_cleanly_when_its_time_is_over(project):
    """What is finished is recorded and reused by the next run, which goes on from there."""
    project.write("conftest.py", SLOW)
    result = project.run("--evals-max-minutes=0.002")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    done = len(project.evaluations)
    assert done in (1, 2)
    assert any("evals_max_minutes = 0.002 are over after" in line for line in result.outlines)
    first = made(project)
    assert len(first) == 2 * done
    project.run().assert_outcomes(passed=3)
    assert len(made(project)) == 6 - len(first)


AHEAD = """
import asyncio
import time

import pytest
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals import Answer
from rag_evals.rag.profile import Profile

def note(name, text):
    with open("made.txt", "a") as file:
        file.write(f"{name} {text}\\n")

class Remote:
    name = "remote"
    fingerprint = "remote-1"
    profile = Profile(most_at_once=4)

    async def answer(self, question):
        note("begin", question)
        await asyncio.sleep(0.3 if question == "q0?" else 0.05)
        note("end", question)
        return Answer("Two.")

class Judge:
    name = "judge"
    fingerprint = "judge-1"

    async def score(self, question, answer):
        return Judgement((Score("faithfulness", 0.1 if question.id == "q0" else 0.9),))

@pytest.fixture(scope="session")
def remote():
    return Remote()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""


@pytest.fixture
def ahead(project):
    """Two hundred questions to a pipeline that answers several at once; the first is slow and breaches."""
    project.write("conftest.py", AHEAD)
    project.ask(**{f"q{n}": f"q{n}?" for n in range(200)})
    return project


def test_tests_come_in_their_order_whoever_is_ready_first(ahead):
    """The engine is done with others long before the first; the tests and records keep their order."""
    ahead.run("--evals-pipelines=remote", "--evals-mode=report").assert_outcomes(passed=200)
    assert [line["question_id"] for line in ahead.evaluations] == [f"q{n}" for n in range(200)]
    notes = (ahead.path / "made.txt").read_text().splitlines()
    assert notes.index("end q5?") < notes.index("end q0?")
    assert len(notes) == 400


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_the_first_failure_stops_the_look_ahead(ahead, option):
    """With -x nothing further is begun; what was finished by then is not asked again."""
    result = ahead.run("--evals-pipelines=remote", option)
    result.assert_outcomes(failed=1)
    notes = made(ahead)
    begun = {line.split()[1] for line in notes if line.startswith("begin")}
    ended = {line.split()[1] for line in notes if line.startswith("end")}
    assert len(begun) < 200
    ahead.run("--evals-pipelines=remote", "--evals-mode=report")
    again = {line.split()[1] for line in made(ahead) if line.startswith("begin")}
    # One that had its answer but not yet its verdict is judged again, not asked again.
    assert again == {f"q{n}?" for n in range(200)} - ended


def test_other_questions_than_the_tests_own_are_not_guessed(ahead):
    """A test that asks something else than its parameter says gets that, and nothing is asked in vain."""
    ahead.write(
        "test_it.py",
        """
from dataclasses import replace

async def test_answer(evaluate, pipeline, question):
    await evaluate(pipeline, replace(question, question=question.question + "!"))
""",
    )
    ahead.run("--evals-pipelines=remote", "--evals-mode=report").assert_outcomes(passed=200)
    begun = [line for line in made(ahead) if line.startswith("begin")]
    assert len(begun) == 200
    assert all(line.endswith("!") for line in begun)


PLAIN = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result()
"""
ASYNC = """
async def test_answer(evaluate, pipeline, question):
    await evaluate(pipeline, question)
"""


@pytest.mark.parametrize("test", [PLAIN, ASYNC], ids=["plain", "async"])
def test_an_interrupt_waits_for_nobody(ahead, test):
    """Ctrl-C ends the run although a server hangs; what was finished is not asked again."""
    ahead.write("test_it.py", test)
    hanging = AHEAD.replace(
        'await asyncio.sleep(0.3 if question == "q0?" else 0.05)',
        'await asyncio.to_thread(time.sleep, 600 if question == "q5?" and Path("hang").exists() else 0.01)',
    ).replace("import time\n", "import time\nfrom pathlib import Path\n")
    ahead.write("conftest.py", hanging)
    ahead.write("hang", "")
    command = [sys.executable, "-m", "pytest", "-q", "--evals-pipelines=remote", "--evals-mode=report"]
    with subprocess.Popen(command, cwd=ahead.path, stdout=subprocess.PIPE, text=True) as process:
        try:
            notes = ahead.path / "made.txt"
            until = time.monotonic() + 30
            while not notes.exists() or notes.read_text().count("end") < 100:
                assert time.monotonic() < until, "it never came beyond the question that hangs"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=10)[0]
        finally:
            process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "KeyboardInterrupt" in output
    ended = {line.split()[1] for line in made(ahead) if line.startswith("end")}
    (ahead.path / "hang").unlink()
    ahead.run("--evals-pipelines=remote", "--evals-mode=report").assert_outcomes(passed=200)
    again = {line.split()[1] for line in made(ahead) if line.startswith("begin")}
    assert again == {f"q{n}?" for n in range(200)} - ended
