"""The pytest plugin: options, parametrization and fixtures; the logic is in plain objects elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

from evals.cache import FILE as CACHE_FILE
from evals.cache import Cache
from evals.conditions import Condition
from evals.engine import AHEAD, Engine, PendingEvaluation
from evals.errors import UsageError, printable
from evals.judges import Judge
from evals.labels import load_labels
from evals.live_hooks import LiveHooks
from evals.metrics import DEFAULT_THRESHOLD, METRICS
from evals.offline import forbid_connections
from evals.planning import plan_lines
from evals.progress import Progress
from evals.questions import Question, expand_globs, load_questions
from evals.recorder import Recorder, attach_about, attach_evaluation, attach_rejudged, baseline_for
from evals.records import Evaluation
from evals.remembering import ANSWER, SCORES, WRITTEN, Remembering, Task, keys_of
from evals.settings import (
    DEFAULT_PIPELINES,
    Settings,
    add_options,
    checked_thresholds,
    parse_conditions,
    settings_from,
)
from evals.spending import Spending
from evals.upcoming import Ask, Upcoming
from rag.answer import Pipeline
from rag.errors import RagError

if TYPE_CHECKING:
    from evals.early import Early
    from evals.replaying import OldAnswers
    from evals.runs import RunData

SETTINGS = pytest.StashKey[Settings]()
CACHE = pytest.StashKey[Cache | None]()
ENGINE = pytest.StashKey[Engine]()
UPCOMING = pytest.StashKey[Upcoming]()
BEGAN = pytest.StashKey[float]()
SPENDING = pytest.StashKey[Spending]()
PROGRESS = pytest.StashKey[Progress]()
QUESTIONS = pytest.StashKey[tuple[Question, ...]]()
PROBLEM = pytest.StashKey[str]()
EARLY = pytest.StashKey["Early | None"]()
OLD_ANSWERS = pytest.StashKey["OldAnswers | None"]()
DESCRIBED = pytest.StashKey[set[tuple[str, str]]]()


# The fixture that says which repeat of its question a test is.
REPEAT = "evals_repeat"
# What `--evals-refresh` makes anew: the kinds in the cache.
REFRESHED = {"answers": (ANSWER, WRITTEN), "scores": (SCORES,)}


class Evaluate(Protocol):
    """What the fixture `evaluate` gives."""

    def __call__(
        self, pipeline: Pipeline, question: Question, *, repeat: int | None = None
    ) -> PendingEvaluation:
        """Begin an evaluation; with another `repeat` it is made anew, never replayed from the cache.

        Without one it is the repeat that the test itself is.
        """


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
        settings = _settings(metafunc.config)
        _marked_thresholds(metafunc.definition)
        _marked_conditions(metafunc.definition)
        if _is_free("pipeline", metafunc):
            names = _known_pipelines(metafunc, settings.pipelines)
            metafunc.parametrize("pipeline", names, indirect=True, scope="session")
        if _is_free("question", metafunc):
            questions = _questions(metafunc.config)
            metafunc.parametrize("question", questions, ids=[question.id for question in questions])
        if settings.repeat > 1:
            repeats = range(settings.repeat)
            metafunc.fixturenames.append(REPEAT)
            metafunc.parametrize(REPEAT, repeats, indirect=True, ids=[f"repeat{n + 1}" for n in repeats])
    except UsageError as error:
        # Raised from here it would be a collection error with a traceback: wrong configuration is one
        # line and pytest's usage exit code, so `pytest_collection_modifyitems` says it.
        _report_problem(metafunc.config, str(error))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the questions of the shard; stop the session if the configuration is wrong."""
    problem = config.stash.get(PROBLEM, None) or _gate_problem(config, items)
    if problem is None:
        _keep_shard(config, items)
        _shuffle(config, items)
        return
    _report_problem(config, problem)
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
        _stop_for(request, error)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker when the session began."""
    node.workerinput["evals_began"] = node.config.stash[BEGAN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's word that the configuration is wrong."""
    problem = getattr(node, "workeroutput", {}).get("evals_problem")
    if problem:
        node.config.stash[PROBLEM] = problem


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
    sys.stdout.writelines(f"{line}\n" for line in _planned(config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a run would take, if that was asked, and what a worker found wrong with the configuration."""
    for line in _planned(config):
        terminalreporter.line(line)
    problem = config.stash.get(PROBLEM, None)
    if problem is not None:
        terminalreporter.line(f"ERROR: {problem}", red=True)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say what is about to be evaluated."""
    count = sum("evaluate" in getattr(item, "fixturenames", ()) for item in items)
    if not count:
        return None
    settings = _settings(config)
    config.stash[PROGRESS].expect(count)
    given = settings.thresholds
    metrics = [f"{name} >= {given[name]:g}" if name in given else name for name in settings.metrics]
    return f"evals: {count} evaluations, mode {settings.mode}, {', '.join(metrics)}"


@pytest.fixture(scope="session")
def evals_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this run."""
    return _settings(pytestconfig)


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
    # Not fixtures among the arguments: each costs every test some 40 microseconds.
    settings, engine = _settings(request.config), _engine(request.config)
    marked = _marked_thresholds(request.node)
    conditions = tuple(condition.text for condition in _marked_conditions(request.node))
    this = _repeat_of(request.node)

    def start(pipeline: Pipeline, question: Question, *, repeat: int | None = None) -> PendingEvaluation:
        thresholds = {**_defaults(judge), **settings.thresholds, **marked, **dict(question.thresholds)}
        name = _name_for(pipeline, request)
        repeat = this if repeat is None else repeat
        task = Task(pipeline, question, judge, settings.metrics, name, repeat, settings.judge_repeat)
        _hold_to_bounds(task, request, engine)
        early = _early(request.config, judge)
        if early and (verdict := early.verdict(name)):
            pytest.skip(f"the gate of {name} is decided: {verdict}")
        _describe(request.node, name, pipeline, judge)
        future = engine.submit(task)
        old = _old_answers(request.config)
        again = old.task(task) if old else None
        judged_again = engine.submit(again) if again else None
        if repeat == this:
            engine.work_ahead(_ahead(task, request, engine))

        def finish(evaluation: Evaluation) -> Evaluation:
            held = replace(
                evaluation,
                thresholds=thresholds,
                enforced=settings.mode == "strict",
                usd=_spending(request.config).count(task, evaluation),
                conditions=conditions,
                test=request.node.nodeid,
                keys=keys_of(task, evaluation.answer),
            )
            attach_evaluation(request.node, held)
            if early:
                early.add(held)
            if judged_again:
                attach_rejudged(request.node, replace(judged_again.result(), thresholds=thresholds))
            _tell_of_cache(request.node)
            return held

        def refuse(error: UsageError) -> NoReturn:
            _stop_for(request, error)

        return PendingEvaluation(future, finish, refuse)

    return start


def _old_answers(config: pytest.Config) -> OldAnswers | None:
    """Give the answers of the baseline that the judge of this run is to judge as well."""
    if OLD_ANSWERS not in config.stash:
        base = baseline_for(config) if _settings(config).rejudge else None
        config.stash[OLD_ANSWERS] = _loaded(base) if base else None
    return config.stash[OLD_ANSWERS]


def _loaded(base: RunData) -> OldAnswers:
    from evals.replaying import OldAnswers

    return OldAnswers(base)


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
        settings = _settings(config)
        remembering = Remembering(cache_for(config))
        config.stash[ENGINE] = engine = Engine(
            remembering,
            concurrency=settings.concurrency,
            seconds=settings.timeout,
            watcher=config.stash[PROGRESS],
        )
        config.add_cleanup(engine.close)
    return config.stash[ENGINE]


def _began(config: pytest.Config) -> float:
    """Give the time at which the session began; in a worker that of the controller, so that all agree."""
    began: float = getattr(config, "workerinput", {}).get("evals_began") or config.stash[BEGAN]
    return began


def cache_for(config: pytest.Config) -> Cache | None:
    """Give the cache; what is to be made anew counts as absent unless this very run made it."""
    if CACHE not in config.stash:
        settings, now = _settings(config), _began(config)
        since = {kind: now for part in settings.refresh for kind in REFRESHED[part]}
        cache = Cache(settings.home / CACHE_FILE, mebibytes=settings.cache_mebibytes, since=since)
        config.stash[CACHE] = cache if settings.cache else None
        config.add_cleanup(cache.close)
    return config.stash[CACHE]


def _settings(config: pytest.Config) -> Settings:
    if SETTINGS not in config.stash:
        settings = settings_from(config)
        if settings.labels:
            load_labels(settings.labels)  # they are used at the end: what is wrong with them is said now
        config.stash[SETTINGS] = settings
        if settings.baseline:
            baseline_for(config)  # so that what is wrong with it is said now
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


def _gate_problem(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say that the run is to decide but is held to nothing; None when all is well."""
    if not any(_question_of(item) for item in items):
        return None
    settings = _settings(config)
    if settings.stop_early and (problem := _early_problem(config, settings)):
        return problem
    if settings.mode != "gate" or settings.gate or settings.baseline or settings.update_baseline:
        return None
    if any(_marked_conditions(item) for item in items):
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


def _shuffle(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the questions in a random order for a run that is to stop early: one by topic would mislead it."""
    asked = [(item, question) for item in items if (question := _question_of(item)) is not None]
    if not asked or not _settings(config).stop_early:
        return
    from evals.early import shuffled

    order = shuffled((_lane_of(item), question.id) for item, question in asked)
    others = [item for item in items if _question_of(item) is None]
    items[:] = [*(asked[place][0] for place in order), *others]


def _lane_of(item: pytest.Item) -> str:
    return f"{item.nodeid.partition('[')[0]} {_param_of(item, 'pipeline')}"


def _early(config: pytest.Config, judge: Judge) -> Early | None:
    """Give what tells that the gate is decided; None in a run that goes to its end."""
    if EARLY not in config.stash:
        settings = _settings(config)
        made = _new_early(settings, baseline_for(config), judge) if settings.stop_early else None
        config.stash[EARLY] = made
    return config.stash[EARLY]


def _new_early(settings: Settings, base: RunData | None, judge: Judge) -> Early:
    from evals.early import Early, is_comparable

    return Early(settings.rules, base if base and is_comparable(base, judge.fingerprint) else None)


def _keep_shard(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of questions that another shard evaluates."""
    asked = [(item, question) for item in items if (question := _question_of(item)) is not None]
    if not asked or (shard := _settings(config).shard) is None:
        return
    others = {item for item, question in asked if not shard.holds(question.id)}
    if others:
        config.hook.pytest_deselected(items=[item for item in items if item in others])
        items[:] = [item for item in items if item not in others]


def _param_of(item: pytest.Item, name: str) -> Any:
    given = getattr(item, "callspec", None)
    return given.params.get(name) if given else None


def _repeat_of(item: pytest.Item) -> int:
    return int(_param_of(item, REPEAT) or 0)


def _question_of(item: pytest.Item) -> Question | None:
    question = _param_of(item, "question")
    return question if isinstance(question, Question) else None


def _planned(config: pytest.Config) -> list[str]:
    """Give the lines that `--evals-plan` is for."""
    if SPENDING not in config.stash or not _settings(config).plan:
        return []
    return [printable(line) for line in plan_lines(config.stash[SPENDING].plans.values())]


def _hold_to_bounds(task: Task, request: pytest.FixtureRequest, engine: Engine) -> None:
    """End the session before an evaluation that is only planned, or beyond what the run may take."""
    __tracebackhide__ = True
    settings, spending = _settings(request.config), _spending(request.config)
    if (settings.plan or spending.is_bounded) and task.name not in spending.plans:
        tasks = [
            replace(task, question=question, repeat=repeat)
            for question, repeat in _asks_for(task.name, request.session)
        ]
        try:
            spending.plan(tasks or [task], places=engine.places(task))
        except UsageError as error:
            _stop_for(request, error)
    if settings.plan:
        pytest.skip("only planned")
    if reason := spending.spent_up():
        request.session.shouldstop = reason
        pytest.skip(reason)


def _asks_for(pipeline: str, session: pytest.Session) -> Sequence[Ask]:
    """Give the questions that are put to a pipeline in this session, each repeat once."""
    asked = (
        (question, _repeat_of(item))
        for item in session.items
        if (question := _question_of(item)) and _param_of(item, "pipeline") == pipeline
    )
    return list({(question.id, repeat): (question, repeat) for question, repeat in asked}.values())


def _spending(config: pytest.Config) -> Spending:
    from rag.prices import load_prices

    if SPENDING not in config.stash:
        settings = _settings(config)
        config.stash[SPENDING] = Spending(
            Remembering(cache_for(config)),
            load_prices(settings.prices),
            max_minutes=settings.max_minutes,
            max_usd=settings.max_cost,
        )
    return config.stash[SPENDING]


def _ahead(task: Task, request: pytest.FixtureRequest, engine: Engine) -> Sequence[Task]:
    """Give the tasks of the tests that follow, as many as are worth beginning now."""
    places = engine.places(task)
    # Which tests follow in an xdist worker is the controller's to say, one test before.
    if places == 1 or hasattr(request.config, "workerinput"):
        return ()
    stash = request.config.stash
    if UPCOMING not in stash:
        stash[UPCOMING] = Upcoming(
            (
                item.nodeid,
                _lane_of(item),
                (question, _repeat_of(item)),
            )
            for item in request.session.items
            if (question := _question_of(item)) is not None
        )
    asks = stash[UPCOMING].behind(request.node.nodeid, (task.question, task.repeat), AHEAD * places)
    return [replace(task, question=question, repeat=repeat) for question, repeat in asks]


def _tell_of_cache(item: pytest.Item) -> None:
    """Put trouble with the cache on the report, once a process."""
    cache = cache_for(item.config)
    described = item.config.stash.setdefault(DESCRIBED, set())
    if cache is not None and cache.problem and ("cache", cache.problem) not in described:
        described.add(("cache", cache.problem))
        attach_about(item, {"type": "cache", "problem": cache.problem})


def _stop_for(request: pytest.FixtureRequest, error: Exception) -> NoReturn:
    """Stop the session for a wrong configuration: one line, not an error a question."""
    __tracebackhide__ = True
    _report_problem(request.config, str(error))
    request.session.shouldstop = "the configuration is wrong"
    pytest.skip("the configuration is wrong")


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
    marked.pop("gate", None)
    return checked_thresholds(marked, where=f"{item.nodeid}: ")


def _marked_conditions(item: pytest.Item) -> tuple[Condition, ...]:
    """Give what the test's marks hold the run to, the nearest mark's first."""
    texts: list[str] = []
    for mark in item.iter_markers("evals"):
        given = mark.kwargs.get("gate", ())
        texts += [given] if isinstance(given, str) else given
    return parse_conditions(texts)


def _describe(item: pytest.Item, name: str, pipeline: Pipeline, judge: Judge) -> None:
    """Put what a pipeline and the judge are made of on the report, once a process."""
    described = item.config.stash.setdefault(DESCRIBED, set())
    for kind, name_of_it, thing in (("pipeline", name, pipeline), ("judge", judge.name, judge)):
        if (name_of_it, thing.fingerprint) not in described:
            described.add((name_of_it, thing.fingerprint))
            event = {"type": kind, "name": name_of_it, "fingerprint": thing.fingerprint}
            told = {part: _told(thing, part) for part in ("settings", "identity")}
            attach_about(item, {**event, **told})


def _told(thing: Pipeline | Judge, part: str) -> dict[str, Any]:
    """Give what `thing` says of its settings or its identity; what JSON has no form for becomes text."""
    said = getattr(thing, part, None)
    return dict(json.loads(json.dumps(said, default=str))) if isinstance(said, Mapping) else {}
