"""The services of a file of pipelines as fixtures, each known by its name as the bundled pipelines are."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from rag_evals.evals.plugin.session.option_values import READERS
from rag_evals.evals.plugin.session.options import DEFAULT_PIPELINES, OPTIONS
from rag_evals.evals.plugin.terminal.pytest_internals import has_fixture
from rag_evals.rag.config import load_services
from rag_evals.rag.errors import RagError

if TYPE_CHECKING:
    from rag_evals.evals.plugin.session.session import EvalsSession
    from rag_evals.rag.answer import Pipeline
    from rag_evals.rag.config.service import ServiceConfig

_PLUGIN = "evals-services"


def add_services(session: pytest.Session) -> None:
    """Give the session a fixture for each service that has no other of its name.

    What is wrong with the file is said where a pipeline of it is asked for.
    """
    option = next(option for option in OPTIONS if option.field == "config")
    try:
        services = load_services(READERS[option.kind](option.given(session.config)))
    except RagError:
        return
    plugin = types.ModuleType(_PLUGIN)
    for name, config in services.items():
        if name not in DEFAULT_PIPELINES and not has_fixture(session, name):
            setattr(plugin, f"service {name}", _fixture(config))
    session.config.pluginmanager.register(plugin, _PLUGIN)


def _fixture(config: ServiceConfig) -> Callable[..., Pipeline]:
    @pytest.fixture(scope="session", name=config.name)
    def service(evals_session: EvalsSession) -> Pipeline:
        return evals_session.materials.resources.service(config)

    return service
