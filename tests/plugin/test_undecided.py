"""Tests that were to evaluate and did not: unscored with the cause, in the record and all that reads it."""

from __future__ import annotations

import json

import pytest
from rag_evals.evals.runs.run import read_run


def outcomes(project):
    return {line["question_id"]: line["outcome"] for line in project.evaluations}


def test_a_worker_that_died(project):
    """Its test has no report of its own: it is unscored, and the budget of unscored questions is spent."""
    project.asked("die?", "os._exit(1)")
    project.ask(a="a?", b="b?", c="die?", d="d?")
    result = project.run("-n", "2", "--evals-gate", "coverage >= 1")
    assert outcomes(project) == {"a": "passed", "b": "passed", "c": "unscored", "d": "passed"}
    (lost,) = (line for line in project.evaluations if line["question_id"] == "c")
    assert (lost["pipeline"], lost["test"]) == ("baseline", "test_it.py::test_answer[baseline-c]")
    assert lost["scores"]["faithfulness"]["reason"] == "the process died that the test ran in"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert any(line.startswith("BLOCK") and "coverage >= 1" in line for line in result.outlines)


def test_a_session_that_died(project):
    """A run that ended in the middle is read with all that it never came to."""
    project.asked("die?", "os._exit(1)")
    project.ask(a="a?", b="die?", c="c?")
    assert project.run_apart().ret == 1
    (folder,) = project.runs
    run = read_run(folder)
    assert [(e.question.id, e.outcome) for e in run.evaluations] == [
        ("a", "passed"),
        ("b", "unscored"),
        ("c", "unscored"),
    ]
    assert run.evaluations[1].unscored == (
        "faithfulness unscored: the session ended before",
        "relevancy unscored: the session ended before",
        "refusal unscored: the session ended before",
    )


def test_a_fixture_that_fails(project, how):
    """A test whose pipeline could not be made counts as lost, each of its questions."""
    project.append(
        "conftest.py", "@pytest.fixture(scope='session')\ndef broken():\n    raise OSError('no disk')\n"
    )
    project.ask(a="faithfulness=0.9", b="faithfulness=0.9")
    result = project.run("--evals-pipelines", "broken", *how)
    result.assert_outcomes(errors=2)
    reasons = [line["scores"]["faithfulness"]["reason"] for line in project.evaluations]
    assert reasons == ["the test ended before: OSError: no disk"] * 2
    assert {line["pipeline"] for line in project.evaluations} == {"broken"}


def test_a_test_that_fails_on_its_own(project):
    """Whatever a test fails of before it evaluates; after it, the evaluation is what counts."""
    project.write(
        "test_it.py",
        "def test_before(evaluate, pipeline, question):\n"
        "    assert question.id == 'good', 'not this one'\n"
        "    evaluate(pipeline, question).result()\n"
        "    assert question.id != 'good'\n",
    )
    project.ask(good="faithfulness=0.9 relevancy=0.9 refusal=0.9", other="faithfulness=0.9")
    project.run()
    assert outcomes(project) == {"good": "passed", "other": "unscored"}


def test_what_is_no_loss(project):
    """A test that is skipped, or expected to fail, or that passes without an evaluation loses nothing."""
    project.write(
        "test_it.py",
        "import pytest\n"
        "def test_skips(evaluate, pipeline, question):\n    pytest.skip('no')\n"
        "@pytest.mark.xfail(strict=True)\n"
        "def test_expected(evaluate, pipeline, question):\n    raise OSError('known')\n"
        "def test_passes(evaluate, pipeline, question):\n    pass\n",
    )
    result = project.run()
    result.assert_outcomes(skipped=1, xfailed=1, passed=1)
    assert project.runs == []


def test_two_tests_on_one_question(project, how):
    """Each test has an evaluation of its own, in the session, in the report and in a baseline."""
    project.write(
        "test_it.py",
        "import pytest\n"
        "def test_easy(evaluate, pipeline, question):\n    evaluate(pipeline, question).result().require()\n"
        "@pytest.mark.evals(faithfulness=0.95)\n"
        "def test_hard(evaluate, pipeline, question):\n    evaluate(pipeline, question).result().require()\n",
    )
    project.ask(a="faithfulness=0.9 relevancy=0.9", b="faithfulness=0.99 relevancy=0.9")
    result = project.run(*how)
    result.assert_outcomes(passed=3, failed=1)
    (folder,) = project.runs
    run = read_run(folder)
    assert sorted((e.test.partition("::")[2], e.outcome) for e in run.evaluations) == [
        ("test_easy[baseline-a]", "passed"),
        ("test_easy[baseline-b]", "passed"),
        ("test_hard[baseline-a]", "failed"),
        ("test_hard[baseline-b]", "passed"),
    ]
    assert run.notes == ()
    with (folder / "records.jsonl").open() as file:
        assert json.loads(file.readlines()[-1])["passed"] == 3
