"""Pytest's own JUnit file: scores as properties, breaches as failures, valid, the same under xdist."""

from __future__ import annotations

import re
from xml.etree.ElementTree import fromstring

import pytest

from tests.servers.junit_rules import offences, properties

QUESTIONS = {
    "good": "faithfulness=0.9 relevancy=0.8",
    "bad": "faithfulness=0.1 relevancy=0.2",
    "blind": "faithfulness=none relevancy=0.8",
    "broken": "no-disk",
}
OF_BAD = {
    "evals.question_id": "bad",
    "evals.pipeline": "baseline",
    "evals.repeat": "0",
    "evals.outcome": "failed",
    "evals.faithfulness": "0.1",
    "evals.faithfulness.threshold": "0.5",
    "evals.relevancy": "0.2",
    "evals.relevancy.threshold": "0.5",
    "evals.tokens": "0",
    "evals.breach": "faithfulness 0.10 < 0.50\nrelevancy 0.20 < 0.50",
}


@pytest.fixture
def junit(project, how):
    """Run the project; return its JUnit file."""

    def run(*args: str) -> str:
        project.run("--junit-xml", "junit.xml", *how, *args)
        return (project.path / "junit.xml").read_text("utf-8")

    return run


def without_seconds(found: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if not name.startswith("evals.seconds")}


def of_test(found: dict[str, str], test: str) -> dict[str, str]:
    ending = f":test_it.py::test_answer[{test}]"
    return {name.removesuffix(ending): value for name, value in found.items() if name.endswith(ending)}


def cases(xml: str) -> dict[str, list[tuple[str, str]]]:
    """Return tag and message of what each test failed of, by its name."""
    found = {}
    for case in fromstring(xml.encode()).iter("testcase"):
        found[case.get("name")] = [
            (child.tag, child.get("message")) for child in case if child.tag != "properties"
        ]
    return found


def test_strict(project, junit):
    """By default properties stand in the suite, where the schema has them; the failure says the breach."""
    project.ask(**QUESTIONS)
    xml = junit()
    assert offences(xml) == []
    found = properties(xml)
    assert without_seconds(of_test(found, "baseline-bad")) == OF_BAD
    assert re.fullmatch(
        r"[\d.e-]+", found["evals.seconds:test_it.py::test_answer[baseline-bad]"]
    )  # a number, however small
    assert of_test(found, "baseline-blind")["evals.faithfulness.unscored"] == (
        "the fake judge gives no verdict"
    )
    assert "evals.faithfulness" not in of_test(found, "baseline-blind")
    assert "evals.breach" not in of_test(found, "baseline-good")
    assert cases(xml) == {
        "test_answer[baseline-good]": [],
        "test_answer[baseline-bad]": [
            (
                "failure",
                "rag_evals.evals.base.errors.BreachError: faithfulness 0.10 < 0.50\nrelevancy 0.20 < 0.50",
            )
        ],
        "test_answer[baseline-blind]": [
            ("skipped", "faithfulness unscored: the fake judge gives no verdict")
        ],
        "test_answer[baseline-broken]": [
            ("failure", "rag_evals.evals.base.errors.BreachError: pipeline baseline raised OSError: no disk")
        ],
    }


@pytest.mark.parametrize("mode", ["gate", "report"])
def test_not_strict(project, junit, mode):
    """Where a breach does not fail its test it is a property all the same."""
    project.ask(**QUESTIONS)
    xml = junit("--evals-mode", mode, "--evals-gate", "pass_rate >= 0.1")
    assert offences(xml) == []
    assert without_seconds(of_test(properties(xml), "baseline-bad")) == OF_BAD
    assert cases(xml)["test_answer[baseline-bad]"] == []


def test_in_the_case(project, junit):
    """`junit_family = xunit1` has them in the test itself, which the schema does not know."""
    project.ask(bad=QUESTIONS["bad"])
    xml = junit("-o", "junit_family=xunit1")
    assert without_seconds(properties(xml)) == OF_BAD
    (case,) = fromstring(xml.encode()).iter("testcase")
    assert [child.tag for child in case] == ["properties", "failure"]
    assert "<properties> in <testcase>" in offences(xml)


def test_several_in_one_test(project, junit):
    """The second evaluation of a test has names of its own; a failing teardown doubles nothing."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.fixture
def broken_at_the_end():
    yield
    raise OSError("gone")

def test_answer(evaluate, pipeline, question, broken_at_the_end):
    evaluate(pipeline, question).result()
    evaluate(pipeline, question, repeat=1).result()
""",
    )
    xml = junit()
    assert offences(xml) == []
    found = of_test(properties(xml), "baseline-good")
    assert {name: value for name, value in found.items() if "repeat" in name} == {
        "evals.repeat": "0",
        "evals.repeat#2": "1",
    }


def test_hostile(project, junit):
    """Control characters, half a surrogate pair and XML of its own stay text in a file that can be read."""
    project.append(
        "conftest.py",
        r"""
def answer(question):
    raise OSError('a\x00b\x1b[31m\ud800 </failure>]]> & "quoted"\nsecond line')
""",
    )
    xml = junit()
    assert offences(xml) == []
    breach = 'pipeline baseline raised OSError: a\ufffdb\ufffd[31m\ufffd </failure>]]> & "quoted" second line'
    assert of_test(properties(xml), "baseline-good")["evals.breach"] == breach
    assert cases(xml)["test_answer[baseline-good]"] == [
        ("failure", f"rag_evals.evals.base.errors.BreachError: {breach}")
    ]


def test_long_breach(project, junit):
    """Pytest cuts a long message; the property and the text of the failure have all of it."""
    long = "many words " * 200
    project.append("conftest.py", f"def answer(question):\n    raise OSError({long!r})\n")
    xml = junit()
    assert offences(xml) == []
    breach = f"pipeline baseline raised OSError: {long.strip()}"
    assert of_test(properties(xml), "baseline-good")["evals.breach"] == breach
    assert breach in next(fromstring(xml.encode()).iter("failure")).text


def test_no_file(project, how):
    """Without `--junit-xml` nothing is on any report, but on those of workers, to the controller."""
    project.append(
        "conftest.py",
        """
import os

def pytest_runtest_logreport(report):
    assert report.user_properties == [] or "PYTEST_XDIST_WORKER" in os.environ
""",
    )
    result = project.run(*how)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
