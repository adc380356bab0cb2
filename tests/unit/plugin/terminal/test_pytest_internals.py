"""What is used of pytest without a public name: when pytest moves it, this says what and where."""

from __future__ import annotations

import pytest
from rag_evals.evals.plugin.terminal.pytest_internals import (
    fixture_function,
    fixture_module,
    has_keyword,
    is_in_ini,
    is_left_in,
    junit_writer,
    toml_value,
)

MOVED = "pytest has moved {}: mend evals/plugin/terminal/pytest_internals.py"


def test_fixtures_by_name(request):
    """Whether a test could have a fixture is asked of the session's fixture manager."""
    manager = getattr(request.session, "_fixturemanager", None)
    assert hasattr(manager, "getfixturedefs"), MOVED.format("session._fixturemanager.getfixturedefs")
    assert fixture_module(request.node, "tmp_path") == "_pytest.tmpdir", MOVED.format("FixtureDef.func")
    assert fixture_module(request.node, "no_such_fixture") is None, MOVED.format("what getfixturedefs gives")
    for node in (request.node, request.node.parent, request.session):
        assert fixture_function(node, "tmp_path").__name__ == "tmp_path", MOVED.format("FixtureDef.func")
        assert fixture_function(node, "no_such_fixture") is None


@pytest.mark.parametrize(
    ("options", "is_left", "has_key"),
    [
        ((), True, True),
        (("-m", "not slow"), False, True),
        (("-m", "slow"), True, True),
        (("-k", "test_one"), True, True),
        (("-k", "baseline"), True, False),
        (("--deselect", "NODE"), False, True),
        (("--deselect", "NODE_two"), True, True),
        (("-m", "not ("), True, True),
    ],
)
def test_selection(pytester: pytest.Pytester, options, is_left, has_key):
    """What `-m`, `-k` and `--deselect` leave in; what is wrong with them is pytest's to say."""
    pytester.makeini("[pytest]\nmarkers = slow")
    (item,) = pytester.getitems("import pytest\n@pytest.mark.slow\ndef test_one(): pass")
    item.config = pytester.parseconfigure(*(option.replace("NODE", item.nodeid) for option in options))
    assert (is_left_in(item), has_keyword(item)) == (is_left, has_key), MOVED.format("_pytest.mark")


def test_typed_toml(pytester: pytest.Pytester):
    """A typed table says what TOML says; another ini file says nothing here."""
    pytester.makefile(".toml", pytest="[pytest]\nevals_repeat = 2")
    assert toml_value(pytester.parseconfigure(), "evals_repeat") == 2, MOVED.format("config._inicfg")
    pytester.makeini("[pytest]\nevals_repeat = 2")
    assert toml_value(pytester.parseconfigure("-c", "tox.ini"), "evals_repeat") is None


def test_what_the_ini_file_says(pytester: pytest.Pytester):
    """It is told from the default, and so is `-o`."""
    pytester.makeini("[pytest]\nevals_repeat = 1")
    config = pytester.parseconfigure("-o", "evals_tau=0.5")
    found = [is_in_ini(config, name) for name in ("evals_repeat", "evals_tau", "evals_metrics")]
    assert found == [True, True, False], MOVED.format("config._inicfg")


def test_junit_writer(pytester: pytest.Pytester):
    """Pytest's JUnit writer is on its stash; there is none without `--junitxml`."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    without = pytester.parseconfigure()
    assert junit_writer(without) is None
    config = pytester.parseconfigure("--junitxml=report.xml")
    writer = junit_writer(config)
    for name in ("family", "add_global_property"):
        assert hasattr(writer, name), MOVED.format(f"_pytest.junitxml.LogXML.{name}")
