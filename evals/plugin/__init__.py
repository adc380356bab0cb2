"""The pytest plugin: hooks and fixtures in thin modules, and the session that they share."""

pytest_plugins = (
    "evals.plugin.options",
    "evals.plugin.hooks",
    "evals.plugin.collection",
    "evals.plugin.fixtures",
)
