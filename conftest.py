"""The composition root: what the suite runs on comes from `fixtures/`."""

pytest_plugins = ["fixtures.pipelines", "fixtures.judges"]
