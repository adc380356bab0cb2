"""Pytest's tests as the plugin sees them: what each asks, what its marks say, and which of them run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.lookahead import AskedQuestion
from rag_evals.evals.gate.condition import Condition, parse_conditions
from rag_evals.evals.gate.early_stop import shuffled_order
from rag_evals.evals.judges.metrics import checked_thresholds
from rag_evals.evals.plugin.recording.report_events import attach_stale
from rag_evals.evals.plugin.session.options import DEFAULT_PIPELINES
from rag_evals.evals.plugin.session.session import EvalsSession, session_of
from rag_evals.evals.plugin.session.settings import check_gate
from rag_evals.evals.plugin.terminal.pytest_internals import has_fixture
from rag_evals.evals.questions.question import Question

# The fixture that says which repeat of its question a test is.
REPEAT = "evals_repeat"
# The parameter of pytest-repeat that does.
_REPEAT_OF_ANOTHER = "__pytest_repeat_step_number"
# Is there on a test whose question is stale.
IS_STALE = pytest.StashKey[bool]()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrize `pipeline` and `question` of a test that evaluates.

    Pipelines vary slowest, so that each index and model is loaded once.
    """
    session = session_of(metafunc.config)
    try:
        session.begin()
        _check_judge(metafunc)
        marked_thresholds(metafunc.definition)
        marked_conditions(metafunc.definition)
        if _is_free("pipeline", metafunc):
            names = _known_pipelines(metafunc, session.settings.pipelines)
            metafunc.parametrize("pipeline", names, indirect=True, scope="session")
        if _is_free("question", metafunc):
            questions = session.questions.asked
            metafunc.parametrize("question", questions, ids=[question.id for question in questions])
        if session.settings.repeat > 1:
            repeats = range(session.settings.repeat)
            metafunc.fixturenames.append(REPEAT)
            metafunc.parametrize(REPEAT, repeats, indirect=True, ids=[f"repeat{n + 1}" for n in repeats])
    except UsageError as error:
        # Raised from here it would be a collection error with a traceback: wrong configuration is one
        # line and pytest's usage exit code, so `pytest_collection_modifyitems` says it.
        session.report(str(error))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the questions of the shard; stop the session if the configuration is wrong."""
    session = session_of(config)
    asked = [(item, question) for item in items if (question := question_of(item)) is not None]
    try:
        if session.problem is not None:
            raise UsageError(session.problem)
        if not asked:
            return
        marked = (condition for item in items for condition in marked_conditions(item))
        check_gate(session.settings, marked)
    except UsageError as error:
        items.clear()  # nothing will run, and nobody is to announce it
        # An exception in a worker would be printed as a crash: there the controller says it.
        if session.workers.is_worker:
            session.report(str(error))
            return
        session.problem = None  # pytest says it itself
        raise pytest.UsageError(str(error)) from None
    _keep_shard(config, session, items, asked)
    _leave_out_stale(session, items)
    if session.settings.rules.stop_early:
        _shuffle(items)


def param_of(item: pytest.Item, name: str) -> Any:
    """Return the parameter `name` of a test; None without."""
    given = getattr(item, "callspec", None)
    return given.params.get(name) if given else None


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


def evaluates(fixturenames: Collection[str]) -> bool:
    """Return whether a test uses our `evaluate`, which needs a judge, and not another of that name."""
    return "evaluate" in fixturenames and "judge" in fixturenames


def group_of(item: pytest.Item) -> str:
    """Return the test function and the pipeline: tests that differ only in what they ask."""
    return f"{item.nodeid.partition('[')[0]} {param_of(item, 'pipeline')}"


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
    return checked_thresholds(marked, where=f"{item.nodeid}: ")


def marked_conditions(item: pytest.Item) -> tuple[Condition, ...]:
    """Return what the test's marks hold the run to, the nearest mark's first."""
    texts: list[str] = []
    for mark in item.iter_markers("evals"):
        given = mark.kwargs.get("gate", ())
        texts += [given] if isinstance(given, str) else given
    return parse_conditions(texts)


def _check_judge(metafunc: pytest.Metafunc) -> None:
    """Say how to get a judge where there is none: pytest would only say that a fixture is not found."""
    if evaluates(metafunc.fixturenames) and not has_fixture(metafunc.definition, "judge"):
        raise UsageError(
            "there is no fixture 'judge': for the bundled one write "
            'pytest_plugins = ["rag_evals.fixtures.judges"] in the conftest.py of your top folder'
        )


def _is_free(name: str, metafunc: pytest.Metafunc) -> bool:
    """Return whether a test has the fixture `name` and does not parametrize it itself."""
    return name in metafunc.fixturenames and not any(
        name in _argument_names(mark) for mark in metafunc.definition.iter_markers("parametrize")
    )


def _argument_names(mark: pytest.Mark) -> Sequence[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


def _known_pipelines(metafunc: pytest.Metafunc, names: Sequence[str]) -> Sequence[str]:
    """Return `names` if there is a fixture for each: an unknown one would be an error a question."""
    for name in names:
        if not has_fixture(metafunc.definition, name):
            known = (*metafunc.config.getini("evals_pipelines"), *DEFAULT_PIPELINES)
            there = [other for other in known if has_fixture(metafunc.definition, other)]
            hint = get_close_matches(name, there, 1)
            tail = f"; did you mean {hint[0]!r}?" if hint else ""
            if name in DEFAULT_PIPELINES and not hint:
                tail = (
                    ". Name the fixture of your pipeline with --evals-pipelines NAME, or in the ini file as "
                    "evals_pipelines; the bundled pipelines are "
                    'pytest_plugins = ["rag_evals.fixtures.pipelines"] in the conftest.py of your top folder'
                )
            raise UsageError(f"unknown pipeline {name!r}: there is no fixture of that name{tail}")
    if not names:
        raise UsageError("no pipelines: give --evals-pipelines NAME, or set evals_pipelines in the ini file")
    return names


def _keep_shard(
    config: pytest.Config,
    session: EvalsSession,
    items: list[pytest.Item],
    asked: Sequence[tuple[pytest.Item, Question]],
) -> None:
    """Leave out the tests of questions that another shard evaluates."""
    shard = session.settings.shard
    others = {item for item, question in asked if not shard.holds(question.id)} if shard else set()
    if others:
        config.hook.pytest_deselected(items=[item for item in items if item in others])
        items[:] = [item for item in items if item not in others]


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
    order = shuffled_order((group_of(item), question.id) for item, question in asked)
    others = [item for item in items if question_of(item) is None]
    items[:] = [*(asked[place][0] for place in order), *others]
