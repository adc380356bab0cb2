"""Workers: which process this is, and what they tell each other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rag_evals.evals.plugin.workers import WorkerHooks, Workers, worker_of, workers_of


def test_controller_and_workers():
    """The controller tells each worker something and hears it at its end; one that died says nothing."""
    heard = []
    hooks = WorkerHooks({"evals_began": 1.0}, heard.append)
    worker = SimpleNamespace(workerinput={"workerid": "gw0"})
    hooks.pytest_configure_node(worker)
    assert worker.workerinput == {"workerid": "gw0", "evals_began": 1.0}
    hooks.pytest_testnodedown(worker)
    worker.workeroutput = {"evals_problem": "no documents"}
    hooks.pytest_testnodedown(worker)
    assert heard == [{}, {"evals_problem": "no documents"}]


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
