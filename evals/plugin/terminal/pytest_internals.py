"""Private parts of pytest that have no public name; a test for each says when pytest moves it."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.junitxml import xml_key
from _pytest.mark import KeywordMatcher, MarkMatcher
from _pytest.mark.expression import Expression
from _pytest.nodes import Node


def fixture_module(item: pytest.Item, name: str) -> str | None:
    """Return the module of the fixture `name` that a test would get; None where there is none."""
    # What a test asks for by name was looked up before, once for all tests of a function.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get(name)
    is_parameter = known and known[-1].func.__module__ == "_pytest.python"
    found = item.session._fixturemanager.getfixturedefs(name, item) if is_parameter or not known else known
    return str(getattr(found[-1].func, "__module__", "")) if found else None


def has_fixture(session: pytest.Session, name: str) -> bool:
    """Return whether a plugin, or a conftest that was read, has a fixture of that name."""
    return bool(session._fixturemanager.getfixturedefs(name, session))


def fixture_function(node: Node, name: str) -> Any:
    """Return the function of the fixture `name` that a test or a file gets; None where there is none."""
    found = node.session._fixturemanager.getfixturedefs(name, node)
    return found[-1].func if found else None


def is_in_ini(config: pytest.Config, name: str) -> bool:
    """Return whether the ini file, or `-o`, says something of an option."""
    return name in getattr(config, "_inicfg", {})


def is_left_in(item: pytest.Item) -> bool:
    """Return whether `-m` and `--deselect` leave a test in, whatever its parameters are."""
    prefixes = tuple(item.config.getoption("deselect", default=None) or ())
    return not item.nodeid.startswith(prefixes) and _holds(
        item.config.getoption("markexpr", default=""), MarkMatcher.from_markers(item.iter_markers())
    )


def has_keyword(item: pytest.Item) -> bool:
    """Return whether `-k` leaves a test in by what is known without its parameters."""
    return _holds(item.config.getoption("keyword", default=""), KeywordMatcher.from_item(item))


def _holds(expression: str, matcher: Any) -> bool:
    try:
        return not expression.strip() or Expression.compile(expression).evaluate(matcher)
    except Exception:  # noqa: BLE001 - pytest itself says what is wrong with it
        return True


def toml_value(config: pytest.Config, name: str) -> Any:
    """Return what a typed TOML table of pytest's says, as TOML has it; None where there is nothing."""
    found = getattr(config, "_inicfg", {}).get(name)
    return found.value if found is not None and found.mode == "toml" else None


def junit_writer(config: pytest.Config) -> Any:
    """Return what writes pytest's JUnit file; None where there is to be none."""
    return config.stash.get(xml_key, None)
