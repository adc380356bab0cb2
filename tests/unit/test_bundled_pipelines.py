"""What the bundled pipelines say before a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fixtures import pipelines


class Config:
    """As much of pytest's configuration as the hook asks for."""

    def __init__(self) -> None:
        self.stash = pytest.Stash()
        self.written: list[str] = []
        self.pluginmanager = SimpleNamespace(
            get_plugin=lambda _: SimpleNamespace(write_line=self.written.append)
        )

    def getoption(self, name: str, default: object = None) -> object:
        return 2 if name == "numprocesses" else default


@pytest.fixture
def config(monkeypatch):
    """A run with two workers, where the model is a file of a gigabyte."""
    monkeypatch.setattr(pipelines, "settings_from", lambda _: None)
    model = SimpleNamespace(llm=SimpleNamespace(model="openai:m@u"))
    monkeypatch.setattr(pipelines, "config_of", lambda name, _: model if name == "auto_merging" else LOCAL)
    monkeypatch.setattr(pipelines, "_bytes_of", lambda name: 10**9 * (name == "local"))
    monkeypatch.setattr(pipelines, "available_memory", lambda: 2 * 10**9)
    return Config()


LOCAL = SimpleNamespace(llm=SimpleNamespace(model="local"))


def told(config: Config, *tests: str) -> list[str]:
    pipelines.pytest_xdist_node_collection_finished(SimpleNamespace(config=config), tests)
    return config.written


def test_workers_with_a_local_model_are_warned_of_once(config):
    """The memory it takes, and the advice to stay serial; not once a worker."""
    lines = told(config, "t.py::test[baseline-a]", "t.py::test[auto_merging-a]")
    assert lines == [
        "-n 2: each worker loads its own models, 2 x 1.7 GB = 3.4 GB, but 2.0 GB are free: stay serial "
        "(without -n), llama.cpp uses all cores already"
    ]
    assert told(config, "t.py::test[baseline-a]") == lines


@pytest.mark.parametrize("test", ["t.py::test[auto_merging-a]", "t.py::test[mine-a]", "t.py::test"])
def test_others_are_not_warned(config, test):
    """A model behind a server, pipelines of one's own, and tests that are no evaluations."""
    assert told(config, test) == []
