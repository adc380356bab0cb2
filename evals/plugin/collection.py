"""Pytest's tests as the plugin sees them: what each asks, what its marks say, and which of them run."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any

import pytest
from rag_evals.evals.answers.replay import LOGGED
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import count_of
from rag_evals.evals.engine.order.lookahead import AskedQuestion
from rag_evals.evals.gate.condition import Condition, parse_conditions
from rag_evals.evals.gate.early_stop import shuffled_order
from rag_evals.evals.judges.metrics import checked_thresholds
from rag_evals.evals.plugin.our_tests import (
    PIPELINES,
    evaluates,
    evaluates_retrieval,
    group_of,
    is_evaluation,
    is_free,
    param_of,
)
from rag_evals.evals.plugin.recording.report_events import attach_stale
from rag_evals.evals.plugin.session.options import DEFAULT_PIPELINES, in_file
from rag_evals.evals.plugin.session.session import EvalsSession, session_of
from rag_evals.evals.plugin.session.settings import check_gate
from rag_evals.evals.plugin.terminal.pytest_internals import fixture_module, has_keyword
from rag_evals.evals.questions.conversation import unit_of
from rag_evals.evals.questions.question import Question
from rag_evals.rag.config import load_services
from rag_evals.rag.errors import ConfigError

# The fixture that says which repeat of its question a test is.
REPEAT = "evals_repeat"
# The parameter of pytest-repeat that does.
_REPEAT_OF_ANOTHER = "__pytest_repeat_step_number"
# Is there on a test whose question is stale.
IS_STALE = pytest.StashKey[bool]()
# Is there where no question has a source.
NO_SOURCES = pytest.StashKey[bool]()
_NO_SOURCES = "retrieval is scored by the sources of questions (docs/questions.md), and no question has one"
_NOT_PLACED = (
    "retrieval is scored where contexts have document, start and end, or sources have a quote "
    "(docs/answers.md)"
)
# What is wrong with test functions, by node id: it is said if any of their tests is to run.
PROBLEMS = pytest.StashKey[dict[str, str]]()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrize `pipeline` and `question` of a test that evaluates.

    Pipelines vary slowest, so that each index and model is loaded once.
    """
    item = metafunc.definition
    if inspect.iscoroutinefunction(metafunc.function) and not _is_run_by_another(item):
        pytest.mark.asyncio(metafunc.function)
    try:
        _parametrize(metafunc, session_of(metafunc.config))
    except (UsageError, ConfigError) as error:
        # Raised from here it would be a collection error with a traceback, also where no test of it runs.
        metafunc.config.stash.setdefault(PROBLEMS, {})[item.nodeid] = str(error)


def _is_run_by_another(item: pytest.Item) -> bool:
    """Return whether an async test is marked already; one that evaluates needs no mark, and no mode."""
    marks = ("asyncio", "anyio", "trio")
    is_marked = any(item.get_closest_marker(name) is not None for name in marks)
    return is_marked or not item.config.pluginmanager.has_plugin("asyncio")


def _parametrize(metafunc: pytest.Metafunc, session: EvalsSession) -> None:
    item = metafunc.definition
    session.criteria.see(item)
    settings = session.settings
    marked_thresholds(item)
    marked_conditions(item)
    if _is_free("pipeline", metafunc):
        names = _known_pipelines(item, session)
        metafunc.parametrize("pipeline", names, indirect=True, scope="session")
    elif "pipeline" in metafunc.fixturenames:
        _say_own_pipeline(item, session)
    if _is_free("question", metafunc):
        # Where only the id of a question could be the keyword that is asked for, nothing is fetched.
        questions: Sequence[Question] = (
            session.questions.asked if has_keyword(item) else session.questions.at_hand
        )
        if evaluates_retrieval(item):
            questions = _with_sources(questions, item, session)
        metafunc.parametrize("question", questions, ids=[question.id for question in questions])
    if settings.repeat > 1:
        repeats = range(settings.repeat)
        metafunc.fixturenames.append(REPEAT)
        metafunc.parametrize(REPEAT, repeats, indirect=True, ids=[f"repeat{n + 1}" for n in repeats])


def _with_sources(
    questions: Sequence[Question], item: pytest.Item, session: EvalsSession
) -> Sequence[Question]:
    """Return the questions that say where their answer stands; where none does, that is said once."""
    found = [question for question in questions if question.answerable and question.sources]
    if questions and not found and session.is_first("no sources"):
        item.config.stash[NO_SOURCES] = True
        session.screen.say(f"{item.nodeid} is left out: {_NO_SOURCES}")
    if not (session.settings.answers and session.questions.log):
        return found
    placed = [question for question in found if session.questions.log.finds(question)]
    if lost := len(found) - len(placed):
        session.screen.say(f"{item.nodeid}: {count_of(lost, 'logged answer')} left out: {_NOT_PLACED}")
    return placed


def _say_own_pipeline(item: pytest.Item, session: EvalsSession) -> None:
    """Say once that a test does not take the pipelines that the command line asks for."""
    if item.config.getoption("evals_pipelines") and session.is_first("own pipeline"):
        which = "which says itself what `pipeline` is"
        session.screen.say(f"--evals-pipelines is not for {item.nodeid}, {which}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Prepare the tests that are left when all others have had their say; tell what is wrong with them."""
    _put_retrieval_first(items)  # what others make of the order counts
    yield
    session = session_of(config)
    ours = [item for item in items if is_evaluation(item)]
    if not ours:
        return  # whatever is wrong with the configuration
    try:
        _check(config, session, ours)
    except UsageError as error:
        _refuse(session, str(error), items, ours)
        return
    _keep_part(config, session, items)
    _keep_shard(config, session, items)
    _leave_out_stale(session, items)
    if session.settings.rules.stop_early:
        _shuffle(items)


def _put_retrieval_first(items: list[pytest.Item]) -> None:
    """Let evaluations of retrieval, which take seconds, change places with those of answers before them."""
    places = [place for place, item in enumerate(items) if evaluates(item)]
    ours = sorted((items[place] for place in places), key=lambda item: not evaluates_retrieval(item))
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _check(config: pytest.Config, session: EvalsSession, ours: Sequence[pytest.Item]) -> None:
    """Check what the tests that are to run need.

    Raises:
        UsageError: Something is wrong with the configuration.
    """
    problems = config.stash.get(PROBLEMS, {})
    for item in ours:
        if problem := problems.get(item.nodeid.partition("[")[0]):
            raise UsageError(problem)
    if config.stash.get(NO_SOURCES, False) and all(map(evaluates_retrieval, ours)):
        raise UsageError(f"there is nothing to evaluate: {_NO_SOURCES}")
    session.begin()
    if any(question_of(item) for item in ours):
        check_gate(session.settings, (condition for item in ours for condition in marked_conditions(item)))


def _refuse(
    session: EvalsSession, problem: str, items: list[pytest.Item], ours: Sequence[pytest.Item]
) -> None:
    """End what evaluates: the session where it does nothing else, its evaluations where it does.

    Raises:
        pytest.UsageError: There are no other tests; not in a worker, where it would be printed as a crash.
    """
    if session.is_only_collected or len(ours) < len(items):
        session.report(problem)
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="the configuration is wrong"))
        return
    items.clear()  # nothing will run, and nobody is to announce it
    if session.workers.is_worker:
        session.report(problem)
        return
    raise pytest.UsageError(problem) from None


def repeat_of(item: pytest.Item) -> int:
    """Return which repeat of its question a test is, from 0."""
    return int(param_of(item, REPEAT) or param_of(item, _REPEAT_OF_ANOTHER) or 0)


def question_of(item: pytest.Item) -> Question | None:
    """Return the question that the plugin parametrized a test with; None without."""
    question = param_of(item, "question")
    return question if isinstance(question, Question) else None


def asked_by(item: pytest.Item) -> Question | None:
    """Return the question that a test puts to its pipeline; None without, or where it is stale."""
    return None if IS_STALE in item.stash else question_of(item)


def asks_for(pipeline: str, items: Sequence[pytest.Item]) -> Sequence[AskedQuestion]:
    """Return the questions that `items` put to a pipeline, each repeat once."""
    asked = (
        (question, repeat_of(item))
        for item in items
        if (question := asked_by(item)) and param_of(item, "pipeline") == pipeline
    )
    return list({(question.id, repeat): (question, repeat) for question, repeat in asked}.values())


def marked_thresholds(item: pytest.Item) -> Mapping[str, float]:
    """Return the thresholds of the test's marks; the nearest mark that names a metric wins."""
    marked: dict[str, Any] = {}
    for mark in item.iter_markers("evals"):
        marked = {**mark.kwargs, **marked}
    marked.pop("gate", None)
    if not marked:
        return marked
    known = session_of(item.config).settings.known
    return checked_thresholds(marked, where=f"{item.nodeid}: ", known=known)


def marked_conditions(item: pytest.Item) -> tuple[Condition, ...]:
    """Return what the test's marks hold the run to, the nearest mark's first."""
    texts: list[str] = []
    for mark in item.iter_markers("evals"):
        given = mark.kwargs.get("gate", ())
        texts += [given] if isinstance(given, str) else given
    if not texts:
        return ()
    return parse_conditions(texts, session_of(item.config).settings.known)


def _is_free(name: str, metafunc: pytest.Metafunc) -> bool:
    """Return whether a test asks for `name`, and neither it nor the project says what that is."""
    item = metafunc.definition
    is_its_own = any(name in _argument_names(mark) for mark in item.iter_markers("parametrize"))
    return name in metafunc.fixturenames and not is_its_own and is_free(item, name)


def _argument_names(mark: pytest.Mark) -> Sequence[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


def _known_pipelines(item: pytest.Item, session: EvalsSession) -> Sequence[str]:
    """Return the pipelines of the run if there is a fixture for each: else each question would be an error.

    Raises:
        UsageError: There is none, or one without a fixture, or the bundled ones have no documents.
        ConfigError: The file of pipelines is wrong.
    """
    if session.settings.answers:
        return (LOGGED,)
    names = session.settings.pipelines
    if not names:
        raise UsageError("no pipelines: give --evals-pipelines NAME, or set evals_pipelines in the ini file")
    for name in names:
        module = fixture_module(item, name)
        if module is None:
            services = load_services(session.settings.config)  # which may be wrong
            known = (*services, *in_file("pipelines", item.config), *DEFAULT_PIPELINES)
            hint = get_close_matches(name, [other for other in known if fixture_module(item, other)], 1)
            tail = f"; did you mean {hint[0]!r}?" if hint else ""
            raise UsageError(f"unknown pipeline {name!r}: there is no fixture of that name{tail}")
        if module == PIPELINES and session.settings.docs is None:
            raise UsageError(
                f"{item.nodeid} asks the pipeline {name!r}, which is bundled and answers from documents: "
                "name a fixture of your own with --evals-pipelines NAME, or evals_pipelines in the ini "
                "file; or give the bundled one documents with --evals-docs PATH"
            )
    return names


def _keep_part(config: pytest.Config, session: EvalsSession, items: list[pytest.Item]) -> None:
    """Leave out what evaluates something else than what the run is for."""
    part = session.settings.only
    _leave_out(
        config,
        items,
        {
            item
            for item in items
            if part and evaluates(item) and evaluates_retrieval(item) != (part == "retrieval")
        },
    )


def _leave_out(config: pytest.Config, items: list[pytest.Item], others: Set[pytest.Item]) -> None:
    """Take tests out of those that are to run, and tell pytest."""
    if others:
        config.hook.pytest_deselected(items=[item for item in items if item in others])
        items[:] = [item for item in items if item not in others]


def _keep_shard(config: pytest.Config, session: EvalsSession, items: list[pytest.Item]) -> None:
    """Leave out the tests of questions that another shard evaluates."""
    shard = session.settings.shard
    others = {
        item
        for item in items
        if shard and (question := question_of(item)) and not shard.holds(unit_of(question))
    }
    _leave_out(config, items, others)
    if others:
        session.is_empty_shard = not items
        session.workers.tell("evals_empty_shard", session.is_empty_shard)


def _leave_out_stale(session: EvalsSession, items: Sequence[pytest.Item]) -> None:
    """Skip the tests of questions that do not belong to the documents any more."""
    for item in items:
        if (question := question_of(item)) and (reason := session.questions.stale.get(question.id)):
            item.stash[IS_STALE] = True
            item.add_marker(pytest.mark.skip(reason=f"stale: {reason}"))
            attach_stale(item, question.id)


def _shuffle(items: list[pytest.Item]) -> None:
    """Put the questions in a random order for a run that is to stop early: one by topic would mislead it."""
    asked = [(item, question) for item in items if (question := question_of(item)) is not None]
    order = shuffled_order((group_of(item), unit_of(question)) for item, question in asked)
    others = [item for item in items if question_of(item) is None]
    items[:] = [*(asked[place][0] for place in order), *others]
