"""Times, counts, attributes and thumbs, however a tool writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rag_evals.evals.answers.formats.traces.feedback import thumb_of
from rag_evals.evals.answers.formats.values import at, epoch_seconds, first, members, whole

NOON = 1772366400.0


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01 12:00:00.000000",
        "2026-03-01T13:00:00+01:00",
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 12),
        1772366400,
        1772366400.0,
        1772366400_000,
        1772366400_000_000,
        1772366400_000_000_000,
        "1772366400000000000",
    ],
)
def test_times(value):
    """Every unit and form gives the same second."""
    assert epoch_seconds(value) == NOON


@pytest.mark.parametrize(
    "value", [None, "", "noon", 0, -1, True, 10**400, float("nan"), float("inf"), "9" * 400, []]
)
def test_no_times(value):
    """What is no time is none."""
    assert epoch_seconds(value) is None


def test_counts():
    """Counts may be texts, as JSON has numbers of 64 bits."""
    assert [whole(value) for value in (3, "3", 3.0, 0)] == [3, 3, 3, 0]
    assert [whole(value) for value in (None, True, -1, 3.5, "x", float("nan"), 10**400, "9" * 30)] == [
        None
    ] * 8


def test_attributes_however_nested():
    """A path is found whichever of its dots are nesting."""
    for attributes in ({"a.b.c": 1}, {"a": {"b": {"c": 1}}}, {"a.b": {"c": 1}}, {"a": {"b.c": 1}}):
        assert at(attributes, "a.b.c") == 1
    assert at({"a": {"x": 1}, "a.b": {"c": 1}}, "a.b.c") == 1
    assert at({"a": [1]}, "a.b") is None
    assert first({"x": "", "y": 0}, "w", "x", "y") == 0


def test_members_of_lists():
    """A list, or keys with numbers in them, in the order of the numbers."""
    for attributes in (
        {"d": [{"c": 1}, {"c": 2}]},
        {"d.10.c": 2, "d.9.c": 1, "d.x.c": 3, "d.1": 4},
        {"d": {"10": {"c": 2}, "9": {"c": 1}, "x": 3}},
    ):
        assert members(attributes, "d") == [{"c": 1}, {"c": 2}]
    assert members({}, "d") == []


@pytest.mark.parametrize("name", ["user-feedback", "Thumbs", "user_score", "like", "thumb_rating"])
def test_thumbs(name):
    """Values of a score that is called a feedback."""
    assert [thumb_of(name, value) for value in (True, 1, 1.0, "up", "\N{THUMBS UP SIGN}", "Thumbs Up")] == [
        "up"
    ] * 6
    assert [thumb_of(name, value) for value in (False, 0, -1, "negative", "thumbs-down", "-1")] == [
        "down"
    ] * 6
    assert [thumb_of(name, value) for value in (0.5, 5, "perhaps", None, [], {})] == [None] * 6


@pytest.mark.parametrize("name", ["correctness", "rating", "likelihood", "unlikely", ""])
def test_scores_that_are_no_thumbs(name):
    """A 1 of an evaluator, or one star of five, is no thumb."""
    assert thumb_of(name, 1) is None
