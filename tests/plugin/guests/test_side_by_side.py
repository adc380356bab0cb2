"""Popular plugins beside ours: every question is evaluated and recorded once, whatever else they do."""

from __future__ import annotations

import pytest

GOOD = "faithfulness=0.9 relevancy=0.8"


@pytest.mark.parametrize(
    "options",
    [
        ("randomly",),
        ("--cov=.", "--cov-report="),
        ("--html=report.html",),
        ("-p", "sugar"),
        ("-n", "2", "--dist", "loadscope"),
        ("-n", "2", "--dist", "worksteal"),
        ("-n", "2", "--dist", "each"),
        ("--count", "1"),
        ("--timeout", "60"),
    ],
    ids=["random", "cov", "html", "sugar", "loadscope", "worksteal", "each", "repeat", "timeout"],
)
def test_nothing_is_lost(project, run, options):
    """A row a question, and the status of pytest."""
    project.ask(a=GOOD, b=GOOD, c="faithfulness=0.1")
    result = run(*options)
    assert result.ret == 1
    times = 2 if "each" in options else 1  # each worker runs every test
    found = sorted((line["question_id"], line["outcome"]) for line in project.evaluations)
    assert found == sorted([("a", "passed"), ("b", "passed"), ("c", "failed")] * times)


FEATURE = """
Feature: answers
  Scenario: a question is answered well
    Given the pipeline
    When it is asked "faithfulness=0.9 relevancy=0.8"
    Then the answer holds
"""
STEPS = """
from pytest_bdd import given, parsers, scenarios, then, when
from rag_evals import Question

scenarios("answers.feature")

@given("the pipeline", target_fixture="asked")
def the_pipeline(baseline):
    return baseline

@when(parsers.parse('it is asked "{text}"'), target_fixture="evaluation")
def it_is_asked(evaluate, asked, text):
    return evaluate(asked, Question("bdd", text)).result()

@then("the answer holds")
def the_answer_holds(evaluation):
    evaluation.require()
"""


def test_steps_of_a_scenario(project, run):
    """A step asks a question of its own; its evaluation is recorded as any."""
    project.write("answers.feature", FEATURE)
    project.write("test_it.py", STEPS)
    run().assert_outcomes(passed=1)
    assert [(line["question_id"], line["outcome"]) for line in project.evaluations] == [("bdd", "passed")]
