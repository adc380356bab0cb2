"""The pytest plugin: options, parametrization and fixtures; the logic is in plain objects elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

import pytest

from evals.engine import Engine, PendingEvaluation
from evals.engine import evaluate as evaluate_question
from evals.errors import UsageError
from evals.judges import Judge
from evals.labels import load_labels
from evals.metrics import DEFAULT_THRESHOLD, METRICS
from evals.offline import forbid_connections
from evals.questions import Question, expand_globs, load_questions
from evals.recorder import Recorder, attach_about, attach_evaluation
from evals.settings import (
    DEFAULT_PIPELINES,
    Settings,
    add_options,
    checked_thresholds,
    settings_from,
)
from rag.answer import Pipeline
from rag.errors import RagError

Evaluate = Callable[[Pipeline, Question], PendingEvaluation]

SETTINGS = pytest.StashKey[Settings]()
ENGINE = pytest.StashKey[Engine]()
QUESTIONS = pytest.StashKey[tuple[Question, ...]]()
PROBLEM = pytest.StashKey[str]()
DESCRIBED = pytest.StashKey[set[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; register the recorder, but not in an xdist worker."""
    config.addinivalue_line(
        "markers",
        "evals(**thresholds): an evaluation; keyword arguments set thresholds for this test, "
        "such as evals(faithfulness=0.8)",
    )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config), "evals-recorder")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `pipeline` and `question` of tests that evaluate.

    Pipelines vary slowest, so that each index and model is loaded once.
    """
    if not _is_evaluation(metafunc):
        return
    try:
        settings = _settings(metafunc.config)
        _marked_thresholds(metafunc.definition)
        if _is_free("pipeline", metafunc):
            names = _known_pipelines(metafunc, settings.pipelines)
            metafunc.parametrize("pipeline", names, indirect=True, scope="session")
        if _is_free("question", metafunc):
            questions = _questions(metafunc.config)
            metafunc.parametrize("question", questions, ids=[question.id for question in questions])
    except UsageError as error:
        # Raised from here it would be a collection error with a traceback: wrong configuration is one
        # line and pytest's usage exit code, so `pytest_collection_modifyitems` says it.
        _report_problem(metafunc.config, str(error))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Stop the session if the configuration is wrong."""
    problem = config.stash.get(PROBLEM, None)
    if problem is None:
        return
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
        _report_problem(request.config, str(error))
        request.session.shouldstop = "the configuration is wrong"
        pytest.skip("the configuration is wrong")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's word that the configuration is wrong."""
    problem = getattr(node, "workeroutput", {}).get("evals_problem")
    if problem:
        node.config.stash[PROBLEM] = problem


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with the usage code if a worker found the configuration wrong."""
    if session.config.stash.get(PROBLEM, None) is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a worker found wrong with the configuration."""
    problem = config.stash.get(PROBLEM, None)
    if problem is not None:
        terminalreporter.line(f"ERROR: {problem}", red=True)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say what is about to be evaluated."""
    count = sum("evaluate" in getattr(item, "fixturenames", ()) for item in items)
    if not count:
        return None
    settings = _settings(config)
    given = settings.thresholds
    metrics = [f"{name} >= {given[name]:g}" if name in given else name for name in settings.metrics]
    return f"evals: {count} evaluations, mode {settings.mode}, {', '.join(metrics)}"


@pytest.fixture(scope="session")
def evals_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this run."""
    return _settings(pytestconfig)


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
def evaluate(request: pytest.FixtureRequest, judge: Judge) -> Evaluate:
    """Ask a pipeline a question and judge the answer.

    Write `await evaluate(pipeline, question)`; `evaluate(pipeline, question).result()` in a plain test.
    """
    # Not fixtures among the arguments: each costs every test some 40 microseconds.
    settings, engine = _settings(request.config), _engine(request.config)
    marked = _marked_thresholds(request.node)

    def start(pipeline: Pipeline, question: Question) -> PendingEvaluation:
        thresholds = {**_defaults(judge), **settings.thresholds, **marked, **dict(question.thresholds)}
        enforced = settings.mode == "strict"
        name = _name_for(pipeline, request)
        _describe(request.node, name, pipeline, judge)
        running = evaluate_question(
            pipeline, question, judge, thresholds, metrics=settings.metrics, name=name, enforced=enforced
        )
        return PendingEvaluation(engine.submit(running), partial(attach_evaluation, request.node))

    return start


def _defaults(judge: Judge) -> Mapping[str, float]:
    """Give the thresholds that nobody set: those of the judge's card, else 0.5."""
    return {**dict.fromkeys(METRICS, DEFAULT_THRESHOLD), **getattr(judge, "thresholds", {})}


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


def _name_for(pipeline: Pipeline, request: pytest.FixtureRequest) -> str:
    """Give the name of the fixture that `pipeline` is from: two functions may well have one name."""
    given = getattr(request.node, "callspec", None)
    name = given.params.get("pipeline") if given else None
    if isinstance(name, str) and request.node.funcargs.get("pipeline") is pipeline:
        return name
    return pipeline.name


def _engine(config: pytest.Config) -> Engine:
    """Give the engine that runs pipelines and judges, on an event loop of its own."""
    if ENGINE not in config.stash:
        config.stash[ENGINE] = engine = Engine()
        config.add_cleanup(engine.close)
    return config.stash[ENGINE]


def _settings(config: pytest.Config) -> Settings:
    if SETTINGS not in config.stash:
        settings = settings_from(config)
        if settings.labels:
            load_labels(settings.labels)  # they are used at the end: what is wrong with them is said now
        config.stash[SETTINGS] = settings
        if settings.offline:
            forbid_connections()
    return config.stash[SETTINGS]


def _questions(config: pytest.Config) -> tuple[Question, ...]:
    if QUESTIONS not in config.stash:
        globs = _settings(config).questions
        if not globs:
            raise UsageError(
                "no questions: give --evals-questions GLOB, or set evals_questions in the ini file"
            )
        questions = load_questions(expand_globs(globs, config.rootpath))
        for question in questions:
            checked_thresholds(dict(question.thresholds), where=f"question {question.id}: ")
        config.stash[QUESTIONS] = questions
    return config.stash[QUESTIONS]


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


def _report_problem(config: pytest.Config, problem: str) -> None:
    """Keep `problem` for the end of the session; a worker hands it to the controller."""
    config.stash[PROBLEM] = problem
    if hasattr(config, "workeroutput"):
        config.workeroutput["evals_problem"] = problem


def _marked_thresholds(item: pytest.Item) -> Mapping[str, float]:
    """Give the thresholds of the test's marks; the nearest mark that names a metric wins."""
    marked: dict[str, Any] = {}
    for mark in item.iter_markers("evals"):
        marked = {**mark.kwargs, **marked}
    return checked_thresholds(marked, where=f"{item.nodeid}: ")


def _describe(item: pytest.Item, name: str, pipeline: Pipeline, judge: Judge) -> None:
    """Put what a pipeline and the judge are made of on the report, once a process."""
    described = item.config.stash.setdefault(DESCRIBED, set())
    for kind, name_of_it, thing in (("pipeline", name, pipeline), ("judge", judge.name, judge)):
        if (name_of_it, thing.fingerprint) not in described:
            described.add((name_of_it, thing.fingerprint))
            event = {"type": kind, "name": name_of_it, "fingerprint": thing.fingerprint}
            attach_about(item, {**event, "settings": _settings_of(thing)})


def _settings_of(thing: Pipeline | Judge) -> dict[str, Any]:
    """Give what `thing` says of its settings, if it does; what JSON has no form for becomes text."""
    settings = getattr(thing, "settings", None)
    return dict(json.loads(json.dumps(settings, default=str))) if isinstance(settings, Mapping) else {}
