"""`--evals-offline`: a pipeline that calls out is an error of its question, with the reason."""

from __future__ import annotations

CALLS_OUT = """
import socket

import pytest
from rag_evals import pipeline_from

@pytest.fixture(scope="session")
def baseline():
    def answer(question):
        socket.create_connection(("192.0.2.1", 80), timeout=5)
    return pipeline_from(answer)
"""


def test_a_pipeline_that_calls_out(project, errors):
    """The connection is refused before it starts, and the test says so."""
    project.append("conftest.py", CALLS_OUT)
    result = project.run_apart("--evals-offline")
    result.assert_outcomes(failed=1)
    assert errors(result) == [
        "rag_evals.evals.base.errors.BreachError: pipeline baseline raised OfflineError: offline: a "
        "connection to 192.0.2.1 "
        "was refused; leave out --evals-offline to allow it"
    ]
