"""Events on a test's report: one JSON string an event, put on where the test runs.

xdist carries it from a worker to the controller by itself: serial and parallel runs are one code path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.masking import masked, masked_fingerprint
from rag_evals.evals.runs.trace_lines import spans_of, trace_lines
from rag_evals.evals.runs.undecided import ASKED
from rag_evals.rag.identity import canonical

EVALUATION = "evals"
# An answer of the baseline, judged anew.
REJUDGED = "evals-rejudged"
# What describes a pipeline or a judge.
ABOUT = "evals-about"
# The spans of an evaluation.
TRACE = "evals-trace"
# The id of a question that is not asked.
STALE_EVENT = "evals-stale"
# The tests of the session that are to evaluate.
ASKED_EVENT = "evals-asked"
# The metrics of the session, with those of its own, for a process that does not see them.
METRICS_EVENT = "evals-metrics"
_OURS = (EVALUATION, REJUDGED, ABOUT, TRACE, STALE_EVENT, ASKED_EVENT, METRICS_EVENT)


class Event(NamedTuple):
    """Something of ours on a report."""

    kind: str
    text: str


def attach_evaluation(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put `evaluation` on the test's report.

    Raises:
        ValueError: There is a NaN or an infinity in it; it fails this very test, not the run.
    """
    _attach(item, EVALUATION, evaluation_to_json(evaluation))


def attach_recorded(item: pytest.Item, line: str) -> None:
    """Put an evaluation that was recorded before on the test's report, as it stands in the records."""
    item.user_properties.append((EVALUATION, line))


def attach_rejudged(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put an answer of the baseline that was judged anew on the test's report."""
    _attach(item, REJUDGED, {**evaluation_to_json(evaluation), "type": "rejudged"})


def attach_about(item: pytest.Item, event: dict[str, Any]) -> None:
    """Put what describes a pipeline or a judge on the test's report, without secrets."""
    # By these two it is found again: a name stays, and a fingerprint tells at least that it is the same.
    named: dict[str, Any] = {key: event[key] for key in ("name", "fingerprint") if key in event}
    if "fingerprint" in named:
        named["fingerprint"] = masked_fingerprint(named["fingerprint"])
    _attach(item, ABOUT, {**masked(event), **named})


def attach_trace(item: pytest.Item, evaluation: Evaluation) -> None:
    """Put the spans of `evaluation` on the test's report, if the run has traces."""
    if evaluation.spans:
        item.user_properties.append((TRACE, trace_lines(spans_of(evaluation))))


def attach_asked(item: pytest.Item, tests: Sequence[Mapping[str, Any]]) -> None:
    """Put on the test's report which tests of the session are to evaluate."""
    _attach(item, ASKED_EVENT, {"type": ASKED, "tests": tests})


def attach_metrics(item: pytest.Item, metrics: Sequence[str], criteria: Mapping[str, Any]) -> None:
    """Put on the test's report which metrics the run has, and what is said of those of its own."""
    _attach(item, METRICS_EVENT, {"metrics": metrics, "criteria": criteria})


def attach_stale(item: pytest.Item, question_id: str) -> None:
    """Put on the test's report that its question is not asked, as it does not belong to the documents."""
    item.user_properties.append((STALE_EVENT, question_id))


def take_events(report: pytest.TestReport) -> list[Event]:
    """Take our events off a report, before other plugins print them."""
    ours = [Event(name, str(value)) for name, value in report.user_properties if name in _OURS]
    if ours:
        report.user_properties = [pair for pair in report.user_properties if pair[0] not in _OURS]
    return ours


def drop_events(item: pytest.Item) -> None:
    """Drop the events of a test that is over: its reports have them, and pytest keeps it to the end."""
    item.user_properties[:] = [pair for pair in item.user_properties if pair[0] not in _OURS]


def _attach(item: pytest.Item, kind: str, event: dict[str, Any]) -> None:
    # Half of a surrogate pair could not travel to another process: it becomes JSON's own escape for it.
    text = canonical(event).encode(errors="backslashreplace").decode()
    item.user_properties.append((kind, text))
