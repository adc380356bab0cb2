"""Repeats: a question put again is a test of its own, and an answer judged again tells the judge's noise."""

from __future__ import annotations

import json

import pytest

# Says something else at each asking, and keeps count in a file: workers share it.
COUNTING = """
import pathlib

@pytest.fixture(scope="session")
def counting():
    def said(question):
        with pathlib.Path("asked.txt").open("a") as asked:
            asked.write(question + "\\n")
        return question
    return FakePipeline(said, name="counting")
"""

WAVERING = """
import itertools

@pytest.fixture(scope="session")
def judge():
    values = itertools.cycle([0.9, 0.5, 0.7])
    return FakeJudge(lambda question, answer: {"faithfulness": next(values)})
"""


def ids(project) -> list[str]:
    return [line["test"].partition("::")[2] for line in project.evaluations]


@pytest.mark.parametrize("how", [(), ("-n2",)], ids=["serial", "xdist"])
def test_each_repeat_is_a_test(project, how):
    """It has an id, a record and an asking of its own; the question goes before the repeat."""
    project.append("conftest.py", COUNTING)
    project.ask(a="faithfulness=0.9", b="faithfulness=0.8")
    project.run("--evals-pipelines=counting", "--evals-repeat=3", *how).assert_outcomes(passed=6)
    assert sorted(ids(project)) == [f"test_answer[counting-{q}-repeat{n}]" for q in "ab" for n in (1, 2, 3)]
    assert sorted((line["question_id"], line["repeat"]) for line in project.evaluations) == [
        (question, repeat) for question in "ab" for repeat in range(3)
    ]
    assert len((project.path / "asked.txt").read_text().splitlines()) == 6


def test_repeats_follow_their_question(project):
    """All repeats of one question, then the next: what they share is read once."""
    project.ask(a="faithfulness=0.9", b="faithfulness=0.8")
    project.run("--evals-repeat=2").assert_outcomes(passed=4)
    assert ids(project) == [f"test_answer[baseline-{q}-repeat{n}]" for q in "ab" for n in (1, 2)]


def test_one_repeat_changes_no_id(project):
    """Asked once, a test is called as ever."""
    project.run("--evals-repeat=1").assert_outcomes(passed=1)
    assert ids(project) == ["test_answer[baseline-good]"]


def test_an_answer_judged_again(project):
    """The first judging is the score; the others stand beside it."""
    project.append("conftest.py", WAVERING)
    project.run("--evals-judge-repeat=3").assert_outcomes(passed=1)
    (line,) = project.evaluations
    assert (line["scores"]["faithfulness"]["value"], line["scores"]["faithfulness"]["again"]) == (
        0.9,
        [0.5, 0.7],
    )


def test_judgings_are_kept(project):
    """The next run takes all of them from the cache, and none in place of another."""
    judge = """
@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9})
"""
    project.append("conftest.py", judge)
    for cached in ([], ["scores"]):
        project.run("--evals-judge-repeat=2").assert_outcomes(passed=1)
        records = (project.path / ".rag-evals/runs/latest/records.jsonl").read_text("utf-8").splitlines()
        (line,) = (json.loads(text) for text in records if '"type":"evaluation"' in text)
        assert [name for name in line["cached"] if name == "scores"] == cached
        assert line["scores"]["faithfulness"]["again"] == [0.9]


def test_wrong_number(project):
    """No repeat at all is no run."""
    result = project.run("--evals-repeat=0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: evals_repeat = 0: at least 1"])
