"""Workers: which process this is, and what they tell each other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rag_evals.evals.plugin.workers import Workers, worker_of, workers_of


@pytest.mark.parametrize(
    ("asked", "attributes", "workers"),
    [
        (None, {}, Workers()),
        (0, {}, Workers()),
        (4, {}, Workers(4)),
        ("auto", {}, Workers()),
        (4, {"workerinput": {"a": 1}, "workeroutput": {}}, Workers(4, {"a": 1}, {})),
    ],
)
def test_which_process(asked, attributes, workers):
    """Without xdist there is one process; a worker knows what it was told."""
    config = SimpleNamespace(getoption=lambda name, default: asked, **attributes)
    assert workers_of(config) == workers
    assert workers.is_worker == bool(attributes)


def test_telling():
    """Only a worker tells the controller something."""
    Workers().tell("evals_problem", "none")
    worker = Workers(told={}, output={})
    worker.tell("evals_problem", "no documents")
    assert worker.output == {"evals_problem": "no documents"}


def test_worker_of_a_report():
    """A report of a worker has its id."""
    assert (worker_of(SimpleNamespace(worker_id="gw1")), worker_of(SimpleNamespace())) == ("gw1", "")
