"""JUnit XML: what pytest's own file says of an evaluation, and a file made from the records of a run.

The usual schema (Jenkins' xUnit plugin, junit-10) knows `<properties>` in a `<testsuite>` only, and refuses
a file that has them in a `<testcase>`. Many readers want them just there, and pytest puts them there for
`record_property`. So `junit_family` of pytest decides for its file; ours keeps to the schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# What XML 1.0 has no way to write (https://www.w3.org/TR/xml/#charsets), and DEL, as in pytest's file; and
# what drives a terminal or turns text around.
_NO_XML = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)

Properties = list[tuple[str, str]]


def junit_properties(evaluation: Evaluation, *, number: int = 1) -> Properties:
    """Return name and value of everything that a JUnit file says of `evaluation`.

    A score that could not be had has no value, but `evals.METRIC.unscored` with the reason.

    Args:
        evaluation: What a test evaluated.
        number: Which evaluation of its test it is, from 1; names of further ones end in `#2` and so on.
    """
    found: Properties = [
        ("question_id", evaluation.question.id),
        ("pipeline", evaluation.pipeline),
        ("repeat", str(evaluation.repeat)),
        ("outcome", evaluation.outcome),
    ]
    for score in evaluation.scores:
        if score.value is None:
            found.append((f"{score.metric}.unscored", score.reason or ""))
        else:
            found.append((score.metric, _number(score.value)))
        if (threshold := evaluation.thresholds.get(score.metric)) is not None:
            found.append((f"{score.metric}.threshold", _number(threshold)))
    found.append(("seconds", _number(sum(evaluation.seconds.values()))))
    found.append(("tokens", str(evaluation.total.evaluated + evaluation.total.generated)))
    found += [("usd", _number(evaluation.usd))] if evaluation.usd is not None else []
    found += [("breach", "\n".join(evaluation.breaches))] if evaluation.breaches else []
    ending = f"#{number}" if number > 1 else ""
    return [(xml_text(f"evals.{name}{ending}"), xml_text(value)) for name, value in found]


def suite_properties(test: str, properties: Properties) -> Properties:
    """Return `properties` of a test as they stand in its suite: each name is followed by the test."""
    return [(f"{name}:{xml_text(test)}", value) for name, value in properties]


def tell_junit(xml: Any, report: Any, evaluations: Sequence[Evaluation], *, new: int) -> None:
    """Add what `report` evaluated to pytest's own JUnit file.

    With `junit_family = xunit1` it becomes properties of the test; else of the suite, as the schema wants it.

    Args:
        xml: Pytest's writer of the file.
        report: The report of one phase of the test, without events of ours.
        evaluations: Everything that the test has evaluated so far.
        new: How many of these earlier reports of the test did not have.
    """
    known = len(evaluations) - new
    for number, evaluation in enumerate(evaluations, 1):
        properties = junit_properties(evaluation, number=number)
        if xml.family == "xunit1":
            report.user_properties += properties
        elif number > known:
            for name, value in suite_properties(report.nodeid, properties):
                xml.add_global_property(name, value)


def run_junit(run: Run) -> str:
    """Return a run as JUnit XML: a suite a pipeline, a case an evaluation. The same run gives the same bytes.

    A breach is a failure, what a pipeline raised an error, and what is unscored is skipped.
    """
    pipelines = dict.fromkeys(evaluation.pipeline for evaluation in run.evaluations)
    groups = [[e for e in run.evaluations if e.pipeline == pipeline] for pipeline in pipelines]
    counts = _counts(run.evaluations)
    del counts["skipped"]  # the schema has it in a suite only
    root = Element("testsuites", {"name": xml_text(run.name), **counts})
    root.extend(_suite(run, group) for group in groups)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def xml_text(text: str) -> str:
    """Return `text` with what XML cannot hold written as `#x1B`, the way pytest does."""
    return _NO_XML.sub(lambda found: f"#x{ord(found.group()):02X}", text)


def _suite(run: Run, group: Sequence[Evaluation]) -> Element:
    suite = Element("testsuite", {"name": xml_text(group[0].pipeline), **_counts(group)})
    properties = SubElement(suite, "properties")
    means = [("evals.run", xml_text(run.name)), *_means(group)]
    of_tests = [pair for e in group for pair in suite_properties(_test(e), junit_properties(e))]
    for name, value in (*means, *of_tests):
        SubElement(properties, "property", name=name, value=value)
    suite.extend(map(_case, group))
    return suite


def _counts(group: Sequence[Evaluation]) -> dict[str, str]:
    outcomes = [evaluation.outcome for evaluation in group]
    return {
        "tests": str(len(group)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("unscored")),
        "time": f"{sum(sum(e.seconds.values()) for e in group):.3f}",
    }


def _means(group: Sequence[Evaluation]) -> Properties:
    """Return the mean of each metric over the scores that are there."""
    metrics = dict.fromkeys(score.metric for e in group for score in e.scores)
    values = {
        metric: [s.value for e in group for s in e.scores if s.metric == metric and s.value is not None]
        for metric in metrics
    }
    return [(xml_text(f"evals.{name}.mean"), _number(fmean(had))) for name, had in values.items() if had]


def _case(evaluation: Evaluation) -> Element:
    classname, name = _address(evaluation)
    seconds = sum(evaluation.seconds.values())
    case = Element("testcase", classname=xml_text(classname), name=xml_text(name), time=f"{seconds:.3f}")
    message = xml_text("\n".join((*evaluation.breaches, *evaluation.unscored)))
    tag = {"failed": "failure", "error": "error", "unscored": "skipped"}.get(evaluation.outcome)
    if tag:
        given = {"type": "rag_evals.evals.base.errors.BreachError"} if evaluation.breaches else {}
        SubElement(case, tag, {**given, "message": message}).text = xml_text(_said(evaluation))
    return case


def _said(evaluation: Evaluation) -> str:
    answer = [f"answer: {evaluation.answer.text}"] if evaluation.answer else []
    return "\n".join((f"question: {evaluation.question.question}", *answer))


def _test(evaluation: Evaluation) -> str:
    """Return the node id of its test; for a record without one, its pipeline and question."""
    repeat = f" repeat {evaluation.repeat + 1}" if evaluation.repeat else ""
    return evaluation.test or f"{evaluation.pipeline} {evaluation.question.id}{repeat}"


def _address(evaluation: Evaluation) -> tuple[str, str]:
    """Return class and name of its test as pytest's own file has them, so that their histories join."""
    if not evaluation.test:
        return "evals", _test(evaluation)
    path, bracket, parameters = evaluation.test.partition("[")
    file, *names = path.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    *classes, name = names or [module]
    return ".".join((module, *classes)), f"{name}{bracket}{parameters}"


def _number(value: float) -> str:
    return f"{value:.6g}"
