"""The pytest plugin: a door that every session has, and behind it the session of those that evaluate."""

from __future__ import annotations

# Those that others import come before them: pytest rewrites the assertions of what it imports itself.
pytest_plugins = (
    "rag_evals.evals.plugin.session.options",
    "rag_evals.evals.plugin.door",
    "rag_evals.evals.plugin.fixtures",
    # By name alone: the plugin imports nothing of the fixtures.
    "rag_evals.fixtures.pipelines",
    "rag_evals.fixtures.judges",
)
