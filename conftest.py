"""The composition root: what the suite runs on comes from `fixtures/`."""

pytest_plugins = ["rag_evals.fixtures.pipelines", "rag_evals.fixtures.judges"]
