"""Which tests are ours: others may have fixtures of the same names, or such a mark, for something else."""

from __future__ import annotations

from typing import Any

import pytest
from rag_evals.evals.plugin.terminal.pytest_internals import fixture_module

# The modules of our fixtures, and of the bundled ones.
FIXTURES = "rag_evals.evals.plugin.fixtures"
PIPELINES = "rag_evals.fixtures.pipelines"
JUDGES = "rag_evals.fixtures.judges"
# And of those of the services of a file of pipelines.
SERVICES = "rag_evals.evals.plugin.session.services"


# The fixtures that evaluate: answers, and retrieval alone.
EVALUATE, EVALUATE_RETRIEVAL = "evaluate", "evaluate_retrieval"


def evaluates(item: pytest.Item) -> bool:
    """Return whether a test has a fixture of ours that evaluates."""
    return _has(item, EVALUATE) or evaluates_retrieval(item)


def evaluates_retrieval(item: pytest.Item) -> bool:
    """Return whether a test evaluates retrieval alone."""
    return _has(item, EVALUATE_RETRIEVAL) and not _has(item, EVALUATE)


def _has(item: pytest.Item, name: str) -> bool:
    return name in getattr(item, "fixturenames", ()) and fixture_module(item, name) == FIXTURES


def is_evaluation(item: pytest.Item) -> bool:
    """Return whether a test evaluates, or bears our mark and asks for what we give."""
    does = evaluates(item)
    if does or item.get_closest_marker("evals") is None:
        return does
    names = getattr(item, "fixturenames", ())
    return any(name in names and is_free(item, name) for name in ("pipeline", "question"))


def is_free(item: pytest.Item, name: str) -> bool:
    """Return whether `pipeline` or `question` is ours to give: the project has no fixture of that name."""
    return fixture_module(item, name) == (FIXTURES if name == "pipeline" else None)


def param_of(item: pytest.Item, name: str) -> Any:
    """Return the parameter `name` of a test; None without."""
    given = getattr(item, "callspec", None)
    return given.params.get(name) if given else None


def group_of(item: pytest.Item) -> str:
    """Return the test function and the pipeline: tests that differ only in what they ask."""
    return f"{item.nodeid.partition('[')[0]} {param_of(item, 'pipeline')}"
