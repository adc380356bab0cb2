"""The hooks of a session that evaluates, from its beginning to its last word."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import pytest
from rag_evals.evals.answers.log_summary import summary_to_json, told_of
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.engine.backends.backend import Backend
from rag_evals.evals.engine.budget import plan_lines
from rag_evals.evals.plugin import attempts, bundled, collection
from rag_evals.evals.plugin.our_tests import evaluates, evaluates_retrieval
from rag_evals.evals.plugin.recording.github import GitHubHooks
from rag_evals.evals.plugin.recording.junit import write_scores
from rag_evals.evals.plugin.recording.recorder import Recorder
from rag_evals.evals.plugin.recording.summary import SessionSummary
from rag_evals.evals.plugin.session.session import SESSION, EvalsSession, session_of
from rag_evals.evals.plugin.session.settings import settings_from
from rag_evals.evals.plugin.terminal.progress_line import LiveHooks
from rag_evals.evals.plugin.terminal.screen import Screen
from rag_evals.evals.plugin.workers import Workers


class Begun(NamedTuple):
    """A session of evaluations that has begun.

    Attributes:
        session: The session.
        parametrize: Gives a test that evaluates its pipelines and questions.
        record: Records what is on a test's report; not in an xdist worker.
    """

    session: EvalsSession
    parametrize: Callable[[pytest.Metafunc], None]
    record: Callable[[pytest.TestReport], None]


def begin(config: pytest.Config, workers: Workers, told: Mapping[str, Any]) -> Begun:
    """Begin the session, and register its hooks: what records and tells not in an xdist worker.

    Args:
        config: Pytest's configuration.
        workers: Which process this is.
        told: What all processes of the session know alike: when it began, and its name.
    """
    plugins = config.pluginmanager
    session = config.stash[SESSION] = EvalsSession(
        partial(settings_from, config),
        Screen(config, workers),
        workers,
        began=told["evals_began"],
        name=told["evals_session"],
        is_only_collected=config.option.collectonly,
        on_stop=partial(setattr, plugins.get_plugin("session"), "shouldstop"),
        on_cluster=partial(_cluster_backend, config),
    )
    config.add_cleanup(session.close)
    for module in (bundled, collection, attempts, sys.modules[__name__]):
        plugins.register(module, module.__name__)
    recorder = Recorder(config, session, partial(write_scores, config))
    if workers.is_worker:
        workers.tell("evals_evaluates", True)
        return Begun(session, collection.parametrize, recorder.record)
    plugins.register(LiveHooks(config, session.progress), "evals-live")
    listeners = []
    if os.environ.get("GITHUB_ACTIONS") == "true":
        plugins.register(github := GitHubHooks(os.environ, recorder), "evals-github")
        listeners.append(github.hear)
    plugins.register(SessionSummary(config, session, recorder, listeners), "evals-summary")
    return Begun(session, collection.parametrize, recorder.record)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Let a cluster say in tests what becomes of it."""
    ours = session_of(session.config)
    with ours.screen.copied() if ours.is_on_cluster else nullcontext():
        return (yield)


def _cluster_backend(config: pytest.Config, session: EvalsSession) -> Backend:
    """Return what makes the evaluations on a cluster; other sessions import nothing of it."""
    from rag_evals.evals.plugin.session.cluster.controller import cluster_backend

    return cluster_backend(config, session)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Return what is about to be evaluated."""
    ours = [item for item in items if evaluates(item) and item.get_closest_marker("skip") is None]
    if not ours:
        return []
    session = session_of(config)
    session.progress.expect(len(ours))
    settings, given = session.settings, session.settings.thresholds
    retrievals = sum(map(evaluates_retrieval, ours))
    parts = (
        (len(ours) - retrievals, "evaluation", settings.metrics),
        (retrievals, "retrieval", settings.retrieval_metrics),
    )
    counts = [count_of(count, what) for count, what, _ in parts if count]
    names = [name for count, _, metrics in parts if count for name in metrics]
    metrics = [f"{name} >= {given[name]:g}" if name in given else name for name in names]
    log = session.questions.log
    told = {"answers": summary_to_json(log.summary)} if log else {}
    return [
        f"evals: {', '.join(counts)}, mode {settings.rules.mode}, {', '.join(metrics)}",
        *told_of(told),
    ]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Give up what was begun ahead; exit with the usage code if a worker found the configuration wrong."""
    ours = session_of(session.config)
    ours.give_up()  # before any report is made, so that none holds up a cluster
    given = yield
    if ours.problem is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    if not session.config.pluginmanager.has_plugin("terminalreporter"):
        _say_plainly(ours)
    return given


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a run would take, if that was asked, and what workers had to say."""
    session = session_of(config)
    for line in session.screen.said if config.option.verbose >= 0 else ():
        terminalreporter.line(line)
    for line in _planned(session):
        terminalreporter.line(line)
    if session.problem is not None:
        terminalreporter.line(f"ERROR: {session.problem}", red=True)


def _say_plainly(session: EvalsSession) -> None:
    """Say plan and problem where pytest itself says nothing, as under `rag-evals plan`."""
    if session.problem is not None:
        sys.stderr.write(f"ERROR: {session.problem}\n")
    said = session.screen.said
    if said and (session.is_only_collected or session.settings.plan):
        sys.stdout.writelines(f"{line}\n" for line in said)
    sys.stdout.writelines(f"{line}\n" for line in _planned(session))


def _planned(session: EvalsSession) -> list[str]:
    """Return the lines that `--evals-plan` is for."""
    if not session.is_planned:
        return []
    return [printable(line) for line in plan_lines(session.budget.plans.values())]
