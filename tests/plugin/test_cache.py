"""Nothing twice: what a second run reuses, what it makes anew, and what it says when it cannot."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

# A pipeline that notes each question it is really asked, and a judge that does; both are cacheable.
CONFTEST = """
import os
from pathlib import Path

import pytest
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals import Answer, Context
from rag_evals.rag.profile import Profile

def note(name, text):
    with open("made.txt", "a") as file:
        file.write(f"{name} {text}\\n")

class Pipeline:
    name = "mine"
    fingerprint = "pipeline-" + os.environ.get("PIPELINE", "1")
    profile = Profile(identity={"knobs": {"top_k": os.environ.get("PIPELINE", "1")}})

    async def answer(self, question):
        note("answer", question)
        return Answer(f"It is {question}", (Context("passage", "a.pdf", 1, 5, 12),), {"answer": 1.5})

class Judge:
    name = "judge"
    fingerprint = "judge-" + os.environ.get("JUDGE", "1")

    async def score(self, question, answer):
        note("judge", question.question)
        return Judgement((Score("faithfulness", 0.9), Score("relevancy", 0.8)), 0.5)

@pytest.fixture(scope="session")
def baseline():
    return Pipeline()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""


@pytest.fixture
def project(project):
    """Three questions to a pipeline and a judge that say when they really work."""
    project.write("conftest.py", CONFTEST)
    project.ask(a="A?", b="B?", c="C?")
    return project


def made(project) -> list[str]:
    """Return what was made since the last look, sorted."""
    file = project.path / "made.txt"
    lines = sorted(file.read_text().splitlines()) if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def cache_line(result) -> str:
    (line,) = [line for line in result.outlines if line.startswith("cache: ")]
    return line


ALL = ["answer A?", "answer B?", "answer C?", "judge A?", "judge B?", "judge C?"]
ANSWERS, JUDGEMENTS = ALL[:3], ALL[3:]


def test_a_second_run_makes_nothing(project, how):
    """Answers and scores are those of the first run, and the run says so."""
    first = project.run(*how)
    assert made(project) == ALL
    assert cache_line(first) == "cache: 0 of 3 answers reused, 0 of 3 verdicts reused"
    second = project.run(*how)
    second.assert_outcomes(passed=3)
    assert made(project) == []
    assert cache_line(second) == ("cache: 3 of 3 answers reused, 3 of 3 verdicts reused; that spared 6.0 s")
    one, two = (evaluations(run) for run in in_time(project.runs))
    assert [line["cached"] for line in two] == [["answer", "scores"]] * 3
    assert [without(line) for line in one] == [without(line) for line in two]


def evaluations(run) -> list[dict]:
    lines = map(json.loads, (run / "records.jsonl").read_text("utf-8").splitlines())
    return sorted(
        (line for line in lines if line["type"] == "evaluation"), key=lambda line: line["question_id"]
    )


def in_time(runs) -> list:
    """Order run folders by their first writing: two runs may well be of the same second."""
    return sorted(runs, key=lambda run: (run / "run.json").stat().st_mtime_ns)


def without(line: dict) -> dict:
    return {key: value for key, value in line.items() if key not in ("cached", "sum")}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("PIPELINE", ANSWERS), ("JUDGE", JUDGEMENTS)],
)
def test_what_changes_is_made_anew(project, monkeypatch, changed, expected):
    """Another pipeline answers anew, and the same answers are judged no more; another judge only judges."""
    project.run()
    made(project)
    monkeypatch.setenv(changed, "2")
    project.run()
    assert made(project) == expected


def test_a_new_question_is_made_alone(project):
    """Adding a question costs that question."""
    project.run()
    made(project)
    project.ask(a="A?", b="B?", c="C?", d="D?")
    project.run()
    assert made(project) == ["answer D?", "judge D?"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--evals-no-cache", ALL),
        ("--evals-refresh=answers", ANSWERS),
        ("--evals-refresh=scores", JUDGEMENTS),
        ("--evals-refresh=all", ALL),
    ],
)
def test_made_anew_when_told_so(project, option, expected):
    """What is named is made anew although it is there."""
    project.run()
    made(project)
    project.run(option)
    assert made(project) == expected


def test_without_a_cache_nothing_is_kept(project):
    """No file, and no line in the summary."""
    result = project.run("--evals-no-cache")
    assert not (project.path / ".rag-evals/cache.sqlite").exists()
    assert not [line for line in result.outlines if line.startswith("cache: ")]


def test_what_was_made_anew_is_reused_next_time(project):
    """A refreshed answer takes the place of the old one."""
    project.run("--evals-refresh=all")
    made(project)
    project.run()
    assert made(project) == []


def test_a_repeat_is_never_a_replay(project):
    """Each repeat asks and judges; in the next run each is its own again."""
    project.write(
        "test_it.py",
        """
async def test_answer(evaluate, pipeline, question):
    for repeat in range(2):
        (await evaluate(pipeline, question, repeat=repeat)).require()
""",
    )
    project.run()
    assert made(project) == sorted([*ALL, *ALL])
    project.run()
    assert made(project) == []


def test_two_tests_on_one_question_ask_once(project):
    """Within a run, too, nothing is made twice."""
    project.append(
        "test_it.py",
        "\n\nasync def test_again(evaluate, pipeline, question):\n"
        "    (await evaluate(pipeline, question)).require()\n",
    )
    project.run().assert_outcomes(passed=6)
    assert made(project) == ALL


def test_what_cannot_be_told_apart_is_not_reused(project):
    """A function without a fingerprint is asked each time: nobody could see that it has changed."""
    project.append(
        "conftest.py",
        """
from rag_evals import pipeline_from

async def function(question):
    note("answer", question)
    return "Two.", []

@pytest.fixture(scope="session")
def plain():
    return pipeline_from(function)

@pytest.fixture(scope="session")
def versioned():
    return pipeline_from(function, fingerprint="v1")
""",
    )
    project.run("--evals-pipelines=plain,versioned", "-k", "plain-a or versioned-a")
    assert made(project).count("answer A?") == 2
    project.run("--evals-pipelines=plain,versioned", "-k", "plain-a or versioned-a")
    assert made(project).count("answer A?") == 1


def test_failures_are_not_kept(project):
    """A pipeline that raised is asked again."""
    project.append(
        "conftest.py",
        """
class Failing(Pipeline):
    async def answer(self, question):
        note("answer", question)
        raise ValueError("boom")

@pytest.fixture(scope="session")
def failing():
    return Failing()
""",
    )
    for _ in range(2):
        project.run("--evals-pipelines=failing", "--evals-max-unscored=1").assert_outcomes(failed=3)
        assert made(project) == ANSWERS


def test_a_damaged_file_is_said(project, how):
    """The run goes on without it, and says what to do."""
    project.write(".rag-evals/cache.sqlite", "this is no database, but it is long enough to look at" * 99)
    result = project.run(*how)
    result.assert_outcomes(passed=3)
    path = project.path / ".rag-evals/cache.sqlite"
    assert (
        f"{path} is damaged (file is not a database): nothing is reused from it and nothing kept; delete it"
        in result.outlines
    )
    assert made(project) == ALL


def test_a_file_of_a_newer_version_is_said(project):
    """A file of a later version is neither read nor written."""
    project.run()
    with closing(sqlite3.connect(project.path / ".rag-evals/cache.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 7")
    result = project.run()
    result.assert_outcomes(passed=3)
    path = project.path / ".rag-evals/cache.sqlite"
    assert (
        f"{path} was made by a newer rag-evals (version 7 of it, this one knows 1): nothing is reused "
        "from it and nothing kept; upgrade, or give another folder with --evals-home" in result.outlines
    )


def test_collecting_makes_no_cache(project):
    """Nothing happens unless asked."""
    project.run("--collect-only")
    assert not (project.path / ".rag-evals").exists()
