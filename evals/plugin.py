"""The pytest plugin: options, parametrization and fixtures; the logic is in plain objects elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

from evals.asked import questions_of
from evals.errors import UsageError, printable
from evals.items import (
    REPEAT,
    keep_shard,
    leave_out_stale,
    marked_conditions,
    marked_thresholds,
    question_of,
    shuffle,
)
from evals.judges import Judge
from evals.live_hooks import LiveHooks
from evals.progress import Progress
from evals.recorder import Recorder
from evals.session import (
    BEGAN,
    ENGINE,
    PROBLEM,
    PROGRESS,
    SAID,
    SPENDING,
    cache_for,
    report_problem,
    settings_of,
    stop_for,
)
from evals.settings import DEFAULT_PIPELINES, Settings, add_options
from rag.answer import Pipeline
from rag.errors import RagError

if TYPE_CHECKING:
    from evals.cache import Cache
    from evals.starting import Evaluate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; register the recorder, but not in an xdist worker."""
    config.addinivalue_line(
        "markers",
        "evals(gate, **thresholds): an evaluation; keyword arguments set thresholds for this test, such as "
        "evals(faithfulness=0.8); gate='pass_rate >= 0.9', or a list: what all tests so marked are held to",
    )
    config.stash[BEGAN] = time.time()
    config.stash[PROGRESS] = progress = Progress()
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(recorder := Recorder(config, progress), "evals-recorder")
        config.pluginmanager.register(LiveHooks(config, progress), "evals-live")
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from evals.github_hooks import GitHubHooks

            config.pluginmanager.register(GitHubHooks(os.environ, recorder), "evals-github")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `pipeline` and `question` of tests that evaluate.

    Pipelines vary slowest, so that each index and model is loaded once.
    """
    if not _is_evaluation(metafunc):
        return
    try:
        settings = settings_of(metafunc.config)
        marked_thresholds(metafunc.definition)
        marked_conditions(metafunc.definition)
        if _is_free("pipeline", metafunc):
            names = _known_pipelines(metafunc, settings.pipelines)
            metafunc.parametrize("pipeline", names, indirect=True, scope="session")
        if _is_free("question", metafunc):
            questions = questions_of(metafunc.config)
            metafunc.parametrize("question", questions, ids=[question.id for question in questions])
        if settings.repeat > 1:
            repeats = range(settings.repeat)
            metafunc.fixturenames.append(REPEAT)
            metafunc.parametrize(REPEAT, repeats, indirect=True, ids=[f"repeat{n + 1}" for n in repeats])
    except UsageError as error:
        # Raised from here it would be a collection error with a traceback: wrong configuration is one
        # line and pytest's usage exit code, so `pytest_collection_modifyitems` says it.
        report_problem(metafunc.config, str(error))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the questions of the shard; stop the session if the configuration is wrong."""
    problem = config.stash.get(PROBLEM, None) or _gate_problem(config, items)
    if problem is None:
        keep_shard(config, items)
        leave_out_stale(config, items)
        shuffle(config, items)
        return
    report_problem(config, problem)
    items.clear()  # nothing will run, and nobody is to announce it
    # An exception in a worker would be printed as a crash: there the controller says it.
    if not hasattr(config, "workeroutput"):
        del config.stash[PROBLEM]  # pytest says it itself
        raise pytest.UsageError(problem)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Stop the session when a fixture finds the configuration wrong: one line, not an error a question."""
    __tracebackhide__ = True  # other errors are none of our business
    try:
        return (yield)
    except (RagError, UsageError) as error:
        stop_for(request, error)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker when the session began."""
    node.workerinput["evals_began"] = node.config.stash[BEGAN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's word that the configuration is wrong, and of questions that were written."""
    output = getattr(node, "workeroutput", {})
    if problem := output.get("evals_problem"):
        node.config.stash[PROBLEM] = problem
    said = node.config.stash.setdefault(SAID, [])
    said += [line for line in output.get("evals_said", ()) if line not in said]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give up what was begun ahead; exit with the usage code if a worker found the configuration wrong."""
    if ENGINE in session.config.stash:
        session.config.stash[ENGINE].stop()
    if session.config.stash.get(PROBLEM, None) is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    if not session.config.pluginmanager.has_plugin("terminalreporter"):
        _say_plainly(session.config)


def _say_plainly(config: pytest.Config) -> None:
    """Say plan and problem where pytest itself says nothing, as under `rag-evals plan`."""
    if (problem := config.stash.get(PROBLEM, None)) is not None:
        sys.stderr.write(f"ERROR: {problem}\n")
    said = config.stash.get(SAID, [])
    if said and (config.option.collectonly or settings_of(config).plan):
        sys.stdout.writelines(f"{line}\n" for line in said)
    sys.stdout.writelines(f"{line}\n" for line in _planned(config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a run would take, if that was asked, and what workers had to say."""
    for line in config.stash.get(SAID, ()) if config.option.verbose >= 0 else ():
        terminalreporter.line(line)
    for line in _planned(config):
        terminalreporter.line(line)
    problem = config.stash.get(PROBLEM, None)
    if problem is not None:
        terminalreporter.line(f"ERROR: {problem}", red=True)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say what is about to be evaluated."""
    ours = [item for item in items if "evaluate" in getattr(item, "fixturenames", ())]
    count = sum(item.get_closest_marker("skip") is None for item in ours)
    if not count:
        return None
    settings = settings_of(config)
    config.stash[PROGRESS].expect(count)
    given = settings.thresholds
    metrics = [f"{name} >= {given[name]:g}" if name in given else name for name in settings.metrics]
    return f"evals: {count} evaluations, mode {settings.mode}, {', '.join(metrics)}"


@pytest.fixture(scope="session")
def evals_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this run."""
    return settings_of(pytestconfig)


@pytest.fixture(scope="session")
def evals_cache(pytestconfig: pytest.Config) -> Cache | None:
    """What earlier runs made; None with `--evals-no-cache`."""
    return cache_for(pytestconfig)


@pytest.fixture(scope="session")
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """The pipeline under evaluation: the fixture that `--evals-pipelines` names.

    The name of the fixture is the pipeline's name in ids and reports.
    """
    given = request.getfixturevalue(request.param)
    if not isinstance(given, Pipeline):
        raise UsageError(
            f"fixture {request.param!r} gave {type(given).__name__}, which is no pipeline: return "
            "pipeline_from(function), pipeline_from_query_engine(engine), or an object with a name, a "
            "fingerprint and an async answer(question)"
        )
    return given


@pytest.fixture
def evals_repeat(request: pytest.FixtureRequest) -> int:
    """Which repeat of its question this test is, from 0."""
    return int(getattr(request, "param", 0))


@pytest.fixture
def evaluate(request: pytest.FixtureRequest, judge: Judge) -> Evaluate:
    """Ask a pipeline a question and judge the answer.

    Write `await evaluate(pipeline, question)`; `evaluate(pipeline, question).result()` in a plain test.
    """
    # Settings and engine are not fixtures among the arguments: each costs every test some 40 microseconds.
    from evals.starting import evaluate_for

    return evaluate_for(request, judge)


def _is_evaluation(metafunc: pytest.Metafunc) -> bool:
    """Tell our tests from others that happen to have a fixture called `question` or `pipeline`."""
    marked = metafunc.definition.get_closest_marker("evals") is not None
    return marked or "evaluate" in metafunc.fixturenames


def _is_free(name: str, metafunc: pytest.Metafunc) -> bool:
    """Tell whether a test has the fixture `name` and does not parametrize it itself."""
    return name in metafunc.fixturenames and not any(
        name in _argument_names(mark) for mark in metafunc.definition.iter_markers("parametrize")
    )


def _argument_names(mark: pytest.Mark) -> Sequence[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


def _known_pipelines(metafunc: pytest.Metafunc, names: Sequence[str]) -> Sequence[str]:
    """Give `names` if there is a fixture for each.

    There is no public way to ask for a fixture before a test runs, and an unknown name would be one error
    a question instead of one line.
    """

    def is_fixture(name: str) -> bool:
        return bool(metafunc.definition.session._fixturemanager.getfixturedefs(name, metafunc.definition))

    for name in names:
        if not is_fixture(name):
            told = [*metafunc.config.getini("evals_pipelines"), *DEFAULT_PIPELINES]
            hint = get_close_matches(name, filter(is_fixture, told), 1)
            tail = f"; did you mean {hint[0]!r}?" if hint else ""
            raise UsageError(f"unknown pipeline {name!r}: there is no fixture of that name{tail}")
    if not names:
        raise UsageError("no pipelines: give --evals-pipelines NAME, or set evals_pipelines in the ini file")
    return names


def _gate_problem(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say that the run is to decide but is held to nothing; None when all is well."""
    if not any(question_of(item) for item in items):
        return None
    settings = settings_of(config)
    if settings.stop_early and (problem := _early_problem(config, settings)):
        return problem
    if settings.mode != "gate" or settings.gate or settings.baseline or settings.update_baseline:
        return None
    if any(marked_conditions(item) for item in items):
        return None
    return (
        "evals_mode = gate, but there is nothing to hold the run to: give --evals-gate CONDITION, "
        "such as 'pass_rate >= 0.9', or --evals-baseline RUN"
    )


def _early_problem(config: pytest.Config, settings: Settings) -> str | None:
    """Say what does not go together with stopping early."""
    if not (settings.gate or settings.baseline):
        return "evals_stop_early: there is nothing to decide: give --evals-gate or --evals-baseline"
    other = {
        "evals_repeat": settings.repeat > 1,
        "evals_shard": settings.shard is not None,
        "evals_rejudge": settings.rejudge,
        "-n": hasattr(config, "workerinput"),
    }
    given = [name for name, is_given in other.items() if is_given]
    if given:
        return f"evals_stop_early takes one question after the other, without {', '.join(given)}"
    return None


def _planned(config: pytest.Config) -> list[str]:
    """Give the lines that `--evals-plan` is for."""
    if SPENDING not in config.stash or not settings_of(config).plan:
        return []
    from evals.planning import plan_lines

    return [printable(line) for line in plan_lines(config.stash[SPENDING].plans.values())]
