"""A run as JUnit XML: valid by the usual schema, scores as properties, breaches as failures."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.junit import junit_properties, run_junit, suite_properties
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Tokens

from tests.servers.junit_rules import offences, properties

GOOD = Evaluation(
    Question("size", "How big?"),
    "baseline",
    Answer("Two."),
    (Score("faithfulness", 0.93), Score("relevancy", 1.0)),
    {"faithfulness": 0.7},
    seconds={"generate": 1.5, "judge": 0.25},
    tokens={"generate": Tokens(7, 8, 9)},
    usd=0.0125,
    test="tests/test_it.py::TestAll::test_answer[baseline-size]",
)
BAD = Evaluation(
    Question("why", "Why?"),
    "baseline",
    Answer("Because."),
    (
        Score("faithfulness", 0.25, evidence='"Because" is not supported'),
        Score("relevancy", 0.125),
        Score("refusal", None, reason="silent"),
    ),
    {"faithfulness": 0.7, "relevancy": 0.5},
    test="tests/test_it.py::TestAll::test_answer[baseline-why]",
)
BLIND = Evaluation(
    Question("what", "What?"),
    "other",
    Answer("That."),
    (Score("faithfulness", None, reason="silent"),),
    {"faithfulness": 0.7},
    repeat=1,
)
BROKEN = Evaluation(Question("who", "Who?"), "other", None, (), {}, error="OSError: no disk")


def run_of(*evaluations: Evaluation, name="r1") -> Run:
    return Run(name, RunHeader(), (), evaluations)


def test_properties():
    """Every score has its value; one that could not be had has its reason instead."""
    assert junit_properties(GOOD) == [
        ("evals.question_id", "size"),
        ("evals.pipeline", "baseline"),
        ("evals.repeat", "0"),
        ("evals.outcome", "passed"),
        ("evals.faithfulness", "0.93"),
        ("evals.faithfulness.threshold", "0.7"),
        ("evals.relevancy", "1"),
        ("evals.seconds", "1.75"),
        ("evals.tokens", "16"),
        ("evals.usd", "0.0125"),
    ]
    assert junit_properties(BLIND, number=2) == [
        ("evals.question_id#2", "what"),
        ("evals.pipeline#2", "other"),
        ("evals.repeat#2", "1"),
        ("evals.outcome#2", "unscored"),
        ("evals.faithfulness.unscored#2", "silent"),
        ("evals.faithfulness.threshold#2", "0.7"),
        ("evals.seconds#2", "0"),
        ("evals.tokens#2", "0"),
    ]
    assert dict(junit_properties(BAD))["evals.breach"] == (
        'faithfulness 0.25 < 0.70: "Because" is not supported\nrelevancy 0.12 < 0.50'
    )
    assert suite_properties("t.py::t[a]", [("evals.relevancy", "1")]) == [("evals.relevancy:t.py::t[a]", "1")]


def test_run():
    """A suite a pipeline, a case an evaluation, with the names that pytest's own file has."""
    xml = run_junit(run_of(GOOD, BLIND, BAD, BROKEN))
    assert offences(xml) == []
    root = fromstring(xml.encode())
    assert root.attrib == {"name": "r1", "tests": "4", "failures": "1", "errors": "1", "time": "1.750"}
    assert [suite.attrib for suite in root] == [
        {"name": "baseline", "tests": "2", "failures": "1", "errors": "0", "skipped": "0", "time": "1.750"},
        {"name": "other", "tests": "2", "failures": "0", "errors": "1", "skipped": "1", "time": "0.000"},
    ]
    cases = [
        (case.get("classname"), case.get("name"), [(sub.tag, sub.get("message"), sub.text) for sub in case])
        for case in root.iter("testcase")
    ]
    assert cases == [
        ("tests.test_it.TestAll", "test_answer[baseline-size]", []),
        (
            "tests.test_it.TestAll",
            "test_answer[baseline-why]",
            [
                (
                    "failure",
                    'faithfulness 0.25 < 0.70: "Because" is not supported\nrelevancy 0.12 < 0.50\n'
                    "refusal unscored: silent",
                    "question: Why?\nanswer: Because.",
                )
            ],
        ),
        (
            "evals",
            "other what repeat 2",
            [("skipped", "faithfulness unscored: silent", "question: What?\nanswer: That.")],
        ),
        ("evals", "other who", [("error", "pipeline other raised OSError: no disk", "question: Who?")]),
    ]


def test_scores_of_a_run():
    """The suite has the scores of each of its tests, and means over those that are there."""
    found = properties(run_junit(run_of(GOOD, BAD)))
    assert found["evals.run"] == "r1"
    assert (found["evals.faithfulness.mean"], found["evals.relevancy.mean"]) == ("0.59", "0.5625")
    assert "evals.refusal.mean" not in found
    assert found[f"evals.faithfulness:{GOOD.test}"] == "0.93"
    assert found[f"evals.breach:{BAD.test}"].startswith("faithfulness 0.25 < 0.70")


@pytest.mark.parametrize("evaluations", [(), (BROKEN,), (BLIND,)])
def test_little_to_say(evaluations):
    """An empty run, and one without a single score, are valid files too."""
    xml = run_junit(run_of(*evaluations))
    assert offences(xml) == []
    assert len(list(fromstring(xml.encode()).iter("testcase"))) == len(evaluations)


def test_hostile():
    """Whatever stands in names, answers and reasons, the file is XML, and the text in it is whole."""
    evil = "a\x00\x1b[31m\ud800\ufffe ]]> </testcase> & <!-- \"'\n\u2028\U0001f99c"
    shown = "a#x00#x1B[31m#xD800#xFFFE ]]> </testcase> & <!-- \"'\n\u2028\U0001f99c"
    one = Evaluation(
        Question(evil, evil),
        evil,
        Answer(evil),
        (Score(evil, 0.1),),
        {evil: 0.5},
        test=f"{evil}::{evil}[{evil}",
    )
    xml = run_junit(run_of(one, name=evil))
    assert offences(xml) == []
    (case,) = fromstring(xml.encode()).iter("testcase")
    assert case[0].text == f"question: {shown}\nanswer: {shown}"
    assert f"evals.pipeline:{shown}::{shown}[{shown}" in properties(xml)


def test_same_bytes():
    assert run_junit(run_of(GOOD, BAD)) == run_junit(run_of(GOOD, BAD))


def test_rules_see_offences():
    """The checker of the tests sees what the schema refuses; else it would prove nothing."""
    assert offences("<testsuites><testsuite time='soon'>x<testcase/></testsuite></testsuites>") == [
        "<testsuite> without errors",
        "<testsuite> without failures",
        "<testsuite> without name",
        "<testsuite> without tests",
        "<testsuite> with time soon",
        "<testsuite> with text",
        "<testcase> without name",
    ]
    assert offences("<testcase name='a' file='b'><properties/></testcase>") == [
        "<testcase> is no root",
        "<testcase> with file",
        "<properties> in <testcase>",
    ]
