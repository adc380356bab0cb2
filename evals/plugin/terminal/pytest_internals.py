"""Private parts of pytest that have no public name; a test for each says when pytest moves it."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.junitxml import xml_key


def has_fixture(item: pytest.Item, name: str) -> bool:
    """Return whether a test could have the fixture `name`, before any test runs."""
    return bool(item.session._fixturemanager.getfixturedefs(name, item))


def junit_writer(config: pytest.Config) -> Any:
    """Return what writes pytest's JUnit file; None where there is to be none."""
    return config.stash.get(xml_key, None)
