"""What is used of pytest without a public name: when pytest moves it, this says what and where."""

from __future__ import annotations

import pytest
from rag_evals.evals.plugin.terminal.pytest_internals import has_fixture, junit_writer

MOVED = "pytest has moved {}: mend evals/plugin/terminal/pytest_internals.py"


def test_fixtures_by_name(request):
    """Whether a test could have a fixture is asked of the session's fixture manager."""
    manager = getattr(request.session, "_fixturemanager", None)
    assert hasattr(manager, "getfixturedefs"), MOVED.format("session._fixturemanager.getfixturedefs")
    assert has_fixture(request.node, "tmp_path"), MOVED.format("what getfixturedefs gives")
    assert not has_fixture(request.node, "no_such_fixture"), MOVED.format("what getfixturedefs gives")


def test_junit_writer(pytester: pytest.Pytester):
    """Pytest's JUnit writer is on its stash; there is none without `--junitxml`."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    without = pytester.parseconfigure()
    assert junit_writer(without) is None
    config = pytester.parseconfigure("--junitxml=report.xml")
    writer = junit_writer(config)
    for name in ("family", "add_global_property"):
        assert hasattr(writer, name), MOVED.format(f"_pytest.junitxml.LogXML.{name}")
