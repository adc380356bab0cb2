"""Workers: which process this is, and what they tell each other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rag_evals.evals.plugin.workers import Workers, piece_counts, talk_of, worker_of, workers_of


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


@pytest.mark.parametrize(
    ("test", "talk"),
    [
        ("test_it.py::test_a[baseline-c-1]", "test_it.py::test_a baseline c"),
        ("test_it.py::test_a[baseline-c-1-repeat2]", "test_it.py::test_a baseline c"),
        ("test_it.py::test_a[my-pipeline-c-1]", "test_it.py::test_a my-pipeline c"),
        ("test_it.py::test_a[c-1]", "test_it.py::test_a  c"),
        ("test_it.py::test_a[baseline-long-talk-12]", "test_it.py::test_a baseline long"),
        ("test_it.py::test_a[baseline-c-10]", None),
        ("test_it.py::test_a[baseline-other]", None),
        ("test_it.py::test_a", None),
        ("test_it.py::test_c-1", None),
    ],
)
def test_the_conversation_of_a_test_is_read_from_its_id(test, talk):
    """The controller has no tests, only their ids."""
    conversations = {"c-1": "c", "c-2": "c", "long-talk-12": "long"}
    assert talk_of(test, conversations, piece_counts(conversations)) == talk
