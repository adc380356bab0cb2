"""A session whose evaluations are made on a cluster: what actors are told of it, and of its tasks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.backends.cluster.backend import ClusterBackend
from rag_evals.evals.engine.backends.cluster.connection import Connection
from rag_evals.evals.engine.backends.cluster.messages import BASE, THREADS, NodeSpec
from rag_evals.evals.engine.backends.cluster.options import LOCAL, ClusterPlan, plan_from
from rag_evals.evals.engine.task import Origin, Task
from rag_evals.evals.plugin.our_tests import evaluates, group_of, param_of
from rag_evals.evals.plugin.session.cluster.node import start_node
from rag_evals.evals.plugin.session.session import EvalsSession
from rag_evals.evals.questions.question import Question, question_to_json, to_line
from rag_evals.rag.pipelines.adapters import SearchOnly


def cluster_backend(config: pytest.Config, session: EvalsSession) -> ClusterBackend[Connection]:
    """Return what makes the evaluations of `session` on a cluster; nothing is connected yet.

    Raises:
        UsageError: The settings of the cluster are wrong.
    """
    settings = session.settings
    plan = plan_from(settings.cluster)
    tests: Sequence[pytest.Item] = getattr(config.pluginmanager.get_plugin("session"), "items", ())
    ours = [item for item in tests if evaluates(item)]
    folder = str(config.rootpath)
    connect = partial(_connected, session, partial(Connection, plan, folder, is_offline=settings.offline))
    return ClusterBackend(
        connect,
        plan,
        start_node,
        partial(_spec, config, ours, plan, session),
        cache=session.cache,
        concurrency=settings.concurrency,
        seconds=settings.timeout,
        ends=lambda: session.budget.ends,
        watcher=session.progress,
        say=session.screen.say_in_test,
        tasks=len(ours),
        is_traced=settings.is_traced,
    )


# What makes the line of a question one of a log, with which tests are collected: none of its answers.
_LOGGED = {"answer": "-", "contexts": []}


def _connected(session: EvalsSession, connect: partial[Connection]) -> Connection:
    connection = connect()
    if connection.is_begun_here:
        found = "" if session.settings.cluster.address == LOCAL else "no Ray cluster was found; "
        cpus = sum(node.resources.get("CPU", 0) for node in connection.nodes())
        session.screen.say_in_test(
            f"evals: {found}a Ray cluster is begun on this machine, with {cpus:g} CPUs"
        )
    return connection


def _spec(
    config: pytest.Config,
    items: Sequence[pytest.Item],
    plan: ClusterPlan,
    session: EvalsSession,
    connection: Connection,
) -> NodeSpec:
    """Return the session that an actor begins: pytest as it was called here, for one question."""
    here = config.invocation_params.dir
    is_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    base = here if is_job and connection.is_shipped else config.rootpath
    if not here.is_relative_to(base):
        raise UsageError(
            f"evals_ray: call pytest in {config.rootpath} or a folder of it: it is what is shipped"
        )
    given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
    functions = dict.fromkeys(item.nodeid.partition("[")[0] for item in items)
    asked = (param_of(item, "question") for item in items)
    stale = session.questions.stale  # they are left out there, too
    question = next((one for one in asked if isinstance(one, Question) and one.id not in stale), None)
    home, is_local = plan.home, connection.is_begun_here and not plan.home
    settings = session.settings
    return NodeSpec(
        arguments=tuple(one.replace(str(base), BASE) for one in given),
        base=None if connection.is_shipped else str(base),
        folder=os.path.relpath(here, base),
        tests=tuple(f"{config.rootpath}/{name}".replace(str(base), BASE) for name in functions),
        question=to_line({**question_to_json(_alone(question)), **(_LOGGED if settings.answers else {})}),
        home=str(settings.home.absolute()) if is_local else home,
        # A database does not belong on a storage that nodes share.
        keeps=settings.cache and not home,
        is_on_path=not {"", str(Path.cwd())}.isdisjoint(sys.path),
        is_logged=bool(settings.answers),
        is_traced=settings.is_traced,
        threads=plan.runtime_env.get("env_vars", {}).get(THREADS) or os.environ.get(THREADS),
    )


def _alone(question: Question | None) -> Question:
    """Return a question to collect tests with: none of a conversation, whose other turns are not there."""
    alone = question or Question("evals-ray", "-")
    return replace(alone, history=(), conversation=None, turn=None)


def origin_of(item: pytest.Function, task: Task) -> Origin:
    """Return where another process finds the pipeline and the judge of a task of `item`."""
    given = item.funcargs
    whole = task.pipeline.whole if isinstance(task.pipeline, SearchOnly) else task.pipeline
    pipeline = next((name for name, value in given.items() if value is whole), "")
    judge = None if task.is_retrieval else "judge"
    problem = ""
    if task.calls:
        problem = "it is asked where its test runs (in_test=True), and no test runs there"
    elif not pipeline:
        problem = (
            f"{item.nodeid} has it from no fixture; make it one, and let the test take it as an argument"
        )
    elif judge and given.get(judge) is not task.judge:
        problem = f"{item.nodeid} has its judge from no fixture called judge"
    return Origin(group_of(item), pipeline, judge, problem)
