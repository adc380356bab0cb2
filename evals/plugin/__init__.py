"""The pytest plugin: a door that every session has, and behind it the session of those that evaluate."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PARTS = (
    "rag_evals.evals.plugin.session.options",
    "rag_evals.evals.plugin.door",
    "rag_evals.evals.plugin.fixtures",
    # By name alone: the plugin imports nothing of the fixtures.
    "rag_evals.fixtures.pipelines",
    "rag_evals.fixtures.judges",
)


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the parts of the plugin, but for those that the project has named itself.

    `pytest_plugins` would do the same, but for each name in it pytest reads the entry points of every package
    that is installed: with 190 of them that took a session 50 ms, whatever it tests.
    """
    for name in PARTS:
        if not pluginmanager.has_plugin(name):
            pluginmanager.register(import_module(name), name)
