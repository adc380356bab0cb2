"""The pytest plugin: hooks and fixtures in thin modules, and the session that they share."""

from __future__ import annotations

# Those that others import come before them: pytest rewrites the assertions of what it imports itself.
pytest_plugins = (
    "rag_evals.evals.plugin.session.options",
    "rag_evals.evals.plugin.collection",
    "rag_evals.evals.plugin.fixtures",
    "rag_evals.evals.plugin.hooks",
)
