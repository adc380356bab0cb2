"""The record of a run: which lines, in which order, whatever becomes of the tests."""

from __future__ import annotations

import json
import signal
import time
from subprocess import TimeoutExpired

from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import questions_digest
from rag_evals.evals.runs.environment import installed_versions

GOOD = "faithfulness=0.9 relevancy=0.8"
BAD = "faithfulness=0.1 relevancy=0.2"


def types(project) -> list[str]:
    return [line["type"] for line in project.lines]


def test_lines_of_a_run(project, how):
    """First the run, each pipeline and judge once, then a line an evaluation, last the end."""
    project.append(
        "conftest.py",
        """
@pytest.fixture(scope="session")
def other():
    return FakePipeline(answer, name="other")
""",
    )
    project.ask(**{f"q{n}": GOOD if n % 2 else BAD for n in range(6)})
    result = project.run("--evals-pipelines", "baseline,other", *how)
    result.assert_outcomes(passed=6, failed=6)
    lines = project.lines
    (run,) = project.runs
    asked = load_questions([project.path / "questions.jsonl"])
    assert lines[0] == {
        "type": "run",
        "schema": 1,
        "run": run.name,
        "args": [*lines[0]["args"][: -len(how) or None], *how],
        "directory": "../../..",
        "as_module": lines[0]["as_module"],
        "mode": "strict",
        "metrics": ["faithfulness", "relevancy", "refusal"],
        "retrieval_metrics": ["retrieval.recall@8", "retrieval.ndcg@10", "retrieval.mrr"],
        "tau": 0.5,
        "only": None,
        "thresholds": {},
        "max_unscored": 0.1,
        "judge_floor": 0.7,
        "gate": [],
        "inconclusive": "warn",
        "margin": 0.05,
        "baseline": None,
        "stop_early": False,
        "shard": None,
        "machine": lines[0]["machine"],
        "git": lines[0]["git"],
        "versions": installed_versions(),
        "offline": False,
        "trackers": {},
        "used": [],
        "remarks": [],
        "questions": [{"path": "../../../questions.jsonl", "digest": questions_digest(asked)}],
        "stale": [],
    }
    inode = (run / "records.jsonl").stat().st_ino
    said = json.loads((run / "run.json").read_text("utf-8"))
    assert said == {**lines[0], "status": "finished", "inode": inode}
    assert lines[-1] == {"type": "end", "passed": 6, "failed": 6}
    assert types(project).count("evaluation") == 12
    described = [line for line in lines if line["type"] in ("pipeline", "judge")]
    assert sorted((line["type"], line["name"]) for line in described) == [
        ("judge", "fake"),
        ("pipeline", "baseline"),
        ("pipeline", "other"),
    ]
    assert all(
        len(line["fingerprint"]) == 64 and line["settings"] == line["identity"] == {} for line in described
    )
    # What is under evaluation is described before its first evaluation.
    for name in ("baseline", "other"):
        first = next(n for n, line in enumerate(lines) if line.get("pipeline") == name)
        assert any(line.get("name") == name for line in lines[:first])
    assert result.outlines[-1 - _summary_length(result)] == f"run: .rag-evals/runs/{run.name}"


def _summary_length(result) -> int:
    start = next(n for n, line in enumerate(result.outlines) if "short test summary info" in line)
    return len(result.outlines) - start


def test_settings_of_pipelines_and_judges(project):
    """What a pipeline or a judge says of its settings is on its line; what JSON has no form for, as text."""
    project.append(
        "conftest.py",
        """
from pathlib import Path
from rag_evals.rag.profile import Profile

@pytest.fixture(scope="session")
def told():
    pipeline = FakePipeline(answer, name="told")
    pipeline.profile = Profile(settings={"top_k": 3, "model": Path("small.gguf"), "sizes": (200, 100)})
    return pipeline

@pytest.fixture(scope="session")
def own():
    pipeline = FakePipeline(answer, name="own")
    pipeline.profile = object()  # a thing of its own that happens to be called so
    return pipeline
""",
    )
    project.run("--evals-pipelines", "told,own").assert_outcomes(passed=2)
    assert [(line["name"], line["settings"]) for line in project.lines if line["type"] == "pipeline"] == [
        ("told", {"top_k": 3, "model": "small.gguf", "sizes": [200, 100]}),
        ("own", {}),
    ]


def test_folder_that_cannot_be_made(project, how):
    """A run that cannot be recorded stops at once, with one line and status 4, not with a traceback."""
    project.write("file", "")
    project.ask(a=GOOD, b=GOOD)
    result = project.run("--evals-home", "file", *how)
    assert result.ret == 4
    output = "\n".join((*result.outlines, *result.errlines))
    assert "INTERNALERROR" not in output
    assert "Traceback" not in output
    (line,) = [line for line in result.outlines if "cannot be written" in line]
    assert line.strip("! ") == (
        f"_pytest.outcomes.Exit: evals: the record cannot be written ({project.path / 'file'}: "
        "Not a directory): give another folder with --evals-home"
    )


def test_two_runs_are_two_folders(project):
    """Each run has its folder, `latest` points at the last, and git does not see them."""
    project.run()
    first = project.runs
    project.run()
    home = project.path / ".rag-evals"
    assert len(project.runs) == 2
    (second,) = set(project.runs) - set(first)
    assert (home / "runs" / "latest").resolve() == second
    assert (home / ".gitignore").read_text() == "*\n"


def test_home_of_ones_own(project, monkeypatch):
    """`--evals-home` starts from where one stands; the summary shows the path that can be opened."""
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    result = project.run("--evals-home", "here", "..")
    (run,) = (project.path / "sub" / "here" / "runs").glob("2*")
    assert f"run: sub/here/runs/{run.name}" in result.outlines
    assert project.runs == []


def test_failing_for_its_own_reason(project):
    """A test that fails, in its body or around it, still has its record, and has it once."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.fixture
def broken():
    yield
    raise RuntimeError("teardown")

@pytest.fixture
def evaluation(evaluate, pipeline, question):
    return evaluate(pipeline, question).result()

def test_body(evaluate, pipeline, question):
    evaluate(pipeline, question).result()
    raise RuntimeError("body")

def test_teardown(broken, evaluate, pipeline, question):
    evaluate(pipeline, question).result()

def test_both(broken, evaluation):
    raise RuntimeError("body")

def test_twice(evaluate, pipeline, question):
    first = evaluate(pipeline, question).result()
    second = evaluate(pipeline, question).result()
    second.require()

@pytest.fixture
def late(evaluation):
    raise RuntimeError("setup")

def test_setup(late):
    pass
""",
    )
    result = project.run()
    result.assert_outcomes(passed=2, failed=2, errors=3)
    assert [line["test"].partition("::")[2] for line in project.evaluations] == [
        "test_body[baseline-good]",
        "test_teardown[baseline-good]",
        "test_both[baseline-good]",
        "test_twice[baseline-good]",
        "test_twice[baseline-good]",
        "test_setup[baseline-good]",
    ]
    assert project.lines[-1] == {"type": "end", "passed": 6}


def test_junit_shows_no_blob(project, how):
    """The record travels on the report, but no other plugin's output shows it; others' properties stay."""
    project.write(
        "test_it.py",
        """
def test_answer(evaluate, pipeline, question, record_property):
    record_property("mine", "kept")
    evaluate(pipeline, question).result().require()
""",
    )
    project.ask(good=GOOD, bad=BAD)
    project.run("--junit-xml", "junit.xml", "-o", "junit_family=xunit1", *how).assert_outcomes(
        passed=1, failed=1
    )
    xml = (project.path / "junit.xml").read_text("utf-8")
    assert xml.count('<property name="mine" value="kept"') == 2
    assert 'name="evals"' not in xml
    assert "&quot;question_id" not in xml
    assert xml.count("relevancy 0.20 &lt; 0.50") > 0
    assert types(project).count("evaluation") == 2


def test_interrupted(project):
    """Ctrl-C keeps what was finished: whole lines, a last line, pytest's own exit status, and no hang."""
    project.write(
        "test_it.py",
        """
import os, signal, time

def test_answer(evaluate, pipeline, question):
    pending = evaluate(pipeline, question)
    if question.id == "third":
        os.kill(os.getpid(), signal.SIGINT)
    pending.result()
""",
    )
    project.append(
        "conftest.py",
        """
import asyncio

class Slow(FakePipeline):
    async def answer(self, question):
        if "slow" in question:
            await asyncio.sleep(60)
        return await super().answer(question)

@pytest.fixture(scope="session")
def slow():
    return Slow(answer, name="slow")
""",
    )
    project.ask(first=GOOD, second=GOOD, third="slow=1", fourth=GOOD)
    began = time.monotonic()
    result = project.run_apart("--evals-pipelines", "slow")
    assert time.monotonic() - began < 30
    assert result.ret == 2
    assert result.stderr.str() == ""
    assert types(project) == [
        "run",
        "asked",
        "pipeline",
        "judge",
        "evaluation",
        "evaluation",
        "ruling",
        "end",
    ]
    assert [line["question_id"] for line in project.evaluations] == ["first", "second"]
    assert project.lines[-1] == {"type": "end", "passed": 2, "interrupted": True}


def test_killed(project):
    """A session that is killed outright leaves every line of the questions it had finished."""
    project.write(
        "test_it.py",
        """
import os, signal

def test_answer(evaluate, pipeline, question):
    if question.id == "third":
        os.kill(os.getpid(), signal.SIGKILL)
    evaluate(pipeline, question).result()
""",
    )
    project.ask(first=GOOD, second=GOOD, third=GOOD)
    try:
        result = project.run_apart()
    except TimeoutExpired:  # pragma: no cover
        raise AssertionError("a killed session hangs") from None
    assert result.ret == -signal.SIGKILL
    assert types(project) == ["run", "asked", "pipeline", "judge", "evaluation", "evaluation"]


def test_worker_that_dies(project):
    """A pipeline that kills its xdist worker costs its own question; the others are recorded."""
    project.append(
        "conftest.py",
        """
import os

@pytest.fixture(scope="session")
def deadly():
    return FakePipeline(lambda question: os._exit(3) if "deadly" in question else question, name="deadly")
""",
    )
    project.ask(a=GOOD, b="deadly=1", c=GOOD, d=GOOD)
    result = project.run("--evals-pipelines", "deadly", "-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    outcomes = {line["question_id"]: line["outcome"] for line in project.evaluations}
    assert outcomes == {"a": "passed", "b": "unscored", "c": "passed", "d": "passed"}
    assert types(project).count("pipeline") == 1
    assert project.lines[-1] == {"type": "end", "passed": 3, "unscored": 1}
