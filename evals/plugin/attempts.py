"""Attempts of tests to evaluate: how often each was run, and what becomes of one that ends before."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from rag_evals.evals.judges.metrics import metrics_for
from rag_evals.evals.plugin.collection import asked_by, repeat_of
from rag_evals.evals.plugin.our_tests import evaluates, evaluates_retrieval, group_of, param_of
from rag_evals.evals.plugin.recording.report_events import (
    attach_asked,
    attach_evaluation,
    attach_metrics,
    drop_events,
)
from rag_evals.evals.plugin.session.session import EvalsSession, session_of
from rag_evals.evals.runs.masking import masked_parts, masked_text, without_secrets
from rag_evals.evals.runs.undecided import asked_test, undecided

# How many times a test was run before: other plugins run tests that failed again.
ATTEMPT = pytest.StashKey[int]()
# Which attempt of a test had an evaluation.
IS_EVALUATED = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Count the attempts of a test, whichever plugin runs it again; the first one has what all are to ask."""
    item.stash[ATTEMPT] = item.stash.get(ATTEMPT, -1) + 1
    session = session_of(item.config)
    if (
        session.workers.is_worker
        and evaluates(item)
        and session.settings.criteria
        and session.is_first("metrics")
    ):
        attach_metrics(item, session.settings.metrics, session.settings.criteria)
    if asked_by(item) and not session.settings.plan and session.is_first("asked"):
        asked = (_asked_test(other, session) for other in item.session.items)
        tests = [test for test in asked if test]
        attach_asked(item, masked_parts(tests) if session.settings.mask_texts else tests)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold nothing of a test that is over, with all its attempts: a log may be long."""
    try:
        return (yield)
    finally:
        drop_events(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record a test that ends before its question is evaluated as unscored: else nobody would miss it."""
    report = yield
    if call.excinfo is None or not report.failed or report.when == "teardown" or not asked_by(item):
        return report
    session, attempt = session_of(item.config), item.stash.get(ATTEMPT, 0)
    if session.settings.plan or item.stash.get(IS_EVALUATED, None) == attempt:
        return report
    if asked := _asked_test(item, session):
        first_line = call.excinfo.exconly().partition("\n")[0]
        reason = masked_text(f"the test ended before: {first_line}")
        name = session.names.get(group_of(item))
        evaluation = undecided(asked, reason, pipeline=name, attempt=attempt)
        attach_evaluation(item, without_secrets(evaluation, texts=session.settings.mask_texts))
        report.user_properties = list(item.user_properties)
    return report


def _asked_test(item: pytest.Item, session: EvalsSession) -> dict[str, Any] | None:
    """Return what a test is to evaluate; None where it is nothing that is known before."""
    question = asked_by(item)
    if question is None or not evaluates(item):
        return None
    settings = session.settings
    chosen = settings.retrieval_metrics if evaluates_retrieval(item) else settings.metrics
    metrics = [metric.name for metric in metrics_for(question, chosen, settings.known)]
    pipeline = param_of(item, "pipeline")
    name = pipeline if isinstance(pipeline, str) else None
    return asked_test(item.nodeid, name, question, repeat_of(item), metrics)
