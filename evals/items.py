"""Pytest's tests as the plugin sees them: what each asks, and what its marks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from evals.asked import stale_of
from evals.conditions import Condition
from evals.questions import Question
from evals.recorder import attach_stale
from evals.session import settings_of
from evals.settings import checked_thresholds, parse_conditions
from evals.upcoming import Ask

# The fixture that says which repeat of its question a test is.
REPEAT = "evals_repeat"
# Is there on a test whose question is stale.
STALE = pytest.StashKey[bool]()


def param_of(item: pytest.Item, name: str) -> Any:
    """Give the parameter `name` of a test; None without."""
    given = getattr(item, "callspec", None)
    return given.params.get(name) if given else None


def repeat_of(item: pytest.Item) -> int:
    """Give which repeat of its question a test is, from 0."""
    return int(param_of(item, REPEAT) or 0)


def question_of(item: pytest.Item) -> Question | None:
    """Give the question that the plugin parametrized a test with; None without."""
    question = param_of(item, "question")
    return question if isinstance(question, Question) else None


def lane_of(item: pytest.Item) -> str:
    """Give the test function and the pipeline: tests that differ only in what they ask."""
    return f"{item.nodeid.partition('[')[0]} {param_of(item, 'pipeline')}"


def asks_for(pipeline: str, session: pytest.Session) -> Sequence[Ask]:
    """Give the questions that are put to a pipeline in this session, each repeat once."""
    asked = (
        (question, repeat_of(item))
        for item in session.items
        if (question := asked_by(item)) and param_of(item, "pipeline") == pipeline
    )
    return list({(question.id, repeat): (question, repeat) for question, repeat in asked}.values())


def keep_shard(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of questions that another shard evaluates."""
    asked = [(item, question) for item in items if (question := question_of(item)) is not None]
    if not asked or (shard := settings_of(config).shard) is None:
        return
    others = {item for item, question in asked if not shard.holds(question.id)}
    if others:
        config.hook.pytest_deselected(items=[item for item in items if item in others])
        items[:] = [item for item in items if item not in others]


def leave_out_stale(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip the tests of questions that do not belong to the documents any more."""
    asked = [(item, question) for item in items if (question := question_of(item)) is not None]
    reasons = stale_of(config) if asked else {}
    for item, question in asked:
        if reason := reasons.get(question.id):
            item.stash[STALE] = True
            item.add_marker(pytest.mark.skip(reason=f"stale: {reason}"))
            attach_stale(item, question.id)


def asked_by(item: pytest.Item) -> Question | None:
    """Give the question that a test puts to its pipeline; None without, or where it is stale."""
    return None if STALE in item.stash else question_of(item)


def shuffle(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the questions in a random order for a run that is to stop early: one by topic would mislead it."""
    asked = [(item, question) for item in items if (question := question_of(item)) is not None]
    if not asked or not settings_of(config).stop_early:
        return
    from evals.early import shuffled

    order = shuffled((lane_of(item), question.id) for item, question in asked)
    others = [item for item in items if question_of(item) is None]
    items[:] = [*(asked[place][0] for place in order), *others]


def marked_thresholds(item: pytest.Item) -> Mapping[str, float]:
    """Give the thresholds of the test's marks; the nearest mark that names a metric wins."""
    marked: dict[str, Any] = {}
    for mark in item.iter_markers("evals"):
        marked = {**mark.kwargs, **marked}
    marked.pop("gate", None)
    return checked_thresholds(marked, where=f"{item.nodeid}: ")


def marked_conditions(item: pytest.Item) -> tuple[Condition, ...]:
    """Give what the test's marks hold the run to, the nearest mark's first."""
    texts: list[str] = []
    for mark in item.iter_markers("evals"):
        given = mark.kwargs.get("gate", ())
        texts += [given] if isinstance(given, str) else given
    return parse_conditions(texts)
