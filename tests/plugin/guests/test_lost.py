"""Tests that hang or die under pytest-timeout: the others go on, and what was lost is counted."""

from __future__ import annotations

import pytest

ASYNC = """
async def test_answer(evaluate, pipeline, question):
    (await evaluate(pipeline, question)).require()
"""


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_one_question_that_hangs(project, run, options, is_async):
    """The test that hangs fails, the place of its question is given back, and it counts as lost."""
    project.asked("hang?", "time.sleep(60)")
    if is_async:
        project.write("test_it.py", ASYNC)
    project.ask(a="a?", b="hang?", c="c?", d="d?")
    result = run("--timeout", "2", "--timeout-method", "signal", "--evals-gate", "coverage >= 1", *options)
    result.assert_outcomes(passed=3, failed=1)
    outcomes = {line["question_id"]: line["outcome"] for line in project.evaluations}
    assert outcomes == {"a": "passed", "b": "unscored", "c": "passed", "d": "passed"}
    reason = next(e for e in project.evaluations if e["question_id"] == "b")["scores"]["faithfulness"][
        "reason"
    ]
    assert reason.startswith("the test ended before: Failed: Timeout (>2.0s) from pytest-timeout"), reason
    assert any(line.startswith("BLOCK") and "coverage" in line for line in result.outlines), result.outlines


def test_a_worker_that_a_timeout_kills(project, run):
    """The thread method ends the whole process: its test is lost, the others are evaluated by another."""
    project.asked("hang?", "time.sleep(60)")
    project.ask(a="a?", b="hang?", c="c?", d="d?")
    run("--timeout", "2", "--timeout-method", "thread", "-n", "2")
    outcomes = {line["question_id"]: line["outcome"] for line in project.evaluations}
    assert outcomes == {"a": "passed", "b": "unscored", "c": "passed", "d": "passed"}
