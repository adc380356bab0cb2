"""Scores in pytest's own JUnit file."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from rag_evals.evals.plugin.terminal.pytest_internals import junit_writer
from rag_evals.evals.reports.junit import tell_junit
from rag_evals.evals.runs.evaluation import evaluation_from_json


def write_scores(
    config: pytest.Config, report: pytest.TestReport, evaluations: Sequence[str], new: int
) -> None:
    """Add the scores of a test to pytest's JUnit file, if there is to be one.

    Args:
        config: Pytest's configuration.
        report: A report of the test.
        evaluations: Those of the test so far, as JSON.
        new: How many of them earlier reports did not have.
    """
    writer = junit_writer(config)
    if writer is None:
        return

    tell_junit(writer, report, [evaluation_from_json(json.loads(text)) for text in evaluations], new=new)
