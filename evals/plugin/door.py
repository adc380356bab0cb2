"""The door: the hooks of every session of pytest; what evaluates is imported when the first test needs it."""

from __future__ import annotations

import time
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.plugin.our_tests import is_evaluation
from rag_evals.evals.plugin.terminal.pytest_internals import is_left_in
from rag_evals.evals.plugin.workers import turns_together, workers_of
from rag_evals.rag.native.hosting.models_folder import new_session_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag_evals.evals.plugin.hooks import Begun
    from rag_evals.evals.plugin.session.session import EvalsSession

_UNSET = 'The configuration option "asyncio_default_fixture_loop_scope" is unset'
# How the names of our events on a report begin, and those of what a worker tells.
_OURS = "evals"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and put up the door."""
    # pytest-asyncio is here because of us: what it says of a setting of its own is no error of the project's,
    # not under `-W error` either. The setting itself is the project's.
    warnings.filterwarnings("ignore", _UNSET)
    config.addinivalue_line(
        "markers",
        "evals(gate, **thresholds): an evaluation; keyword arguments set thresholds for this test, such as "
        "evals(faithfulness=0.8); gate='pass_rate >= 0.9', or a list: what all tests so marked are held to",
    )
    config.stash[_DOOR] = door = Door(config)
    config.pluginmanager.register(door, "evals-door")


class Door:
    """Begins the session of evaluations when a test first wants it: before, nothing of it is imported.

    Args:
        config: Pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._workers = workers_of(config)
        # What all processes of a session know alike.
        self._told = self._workers.told or {
            "evals_began": time.time(),
            "evals_session": new_session_name(),
        }

    @cached_property
    def begun(self) -> Begun:
        """The session of evaluations and its hooks; begun the first time."""
        from rag_evals.evals.plugin.hooks import begin

        return begin(self._config, self._workers, self._told)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Have the services of the file of pipelines become fixtures, where one is named."""
        if self._config.getoption("evals_config") or self._config.getini("evals_config"):
            from rag_evals.evals.plugin.session.services import add_services

            add_services(session)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Have tests that evaluate parametrized, if any of them is to run."""
        if is_evaluation(metafunc.definition) and is_left_in(metafunc.definition):
            self.begun.parametrize(metafunc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Have our events on a test's report recorded, before other plugins print them."""
        is_ours = any(str(name).startswith(_OURS) for name, _ in report.user_properties)
        if is_ours and not self._workers.is_worker:
            self.begun.record(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that is about to begin."""
        node.workerinput.update(self._told)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Keep the turns of a conversation in one worker, in a session that may ask any."""
        asks = config.getoption("evals_questions") or config.getini("evals_questions")
        return turns_together(config, log, self._conversations) if asks else None

    def _conversations(self) -> Mapping[str, str]:
        """Return the conversation of each turn by the id of its question, as test ids have it."""
        try:
            questions = self.begun.session.questions.at_hand
        except UsageError:
            return {}  # the workers say what is wrong
        return {
            question.id.encode("unicode_escape").decode(): question.conversation
            for question in questions
            if question.conversation is not None
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear a worker that has ended; one that evaluates says so."""
        output = getattr(node, "workeroutput", {})
        if any(str(name).startswith(_OURS) for name in output):
            self.begun.session.hear(output)


_DOOR = pytest.StashKey[Door]()


def begun_session(config: pytest.Config) -> EvalsSession:
    """Return the session of evaluations; it begins with this where it had not."""
    return config.stash[_DOOR].begun.session
