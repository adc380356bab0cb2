"""Figures of characters, held against sets of characters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rag_evals.evals.questions.question import Source
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.rag.answer import Context, Span

from rag_evals import Question

NAMES = ["retrieval.recall", "retrieval.precision", "retrieval.iou"]
places = st.lists(
    st.tuples(st.sampled_from("tu"), st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=6
)


def characters(found) -> set[tuple[str, int]]:
    return {(name, at) for name, start, size in found for at in range(start, start + size)}


def values(sources, passages) -> list[float | None]:
    question = Question("q", "?", sources=tuple(sources))
    return [score.value for score in retrieval_scores(question, {"contexts": passages}, NAMES)]


@settings(max_examples=300, deadline=None)
@given(sources=places, passages=places)
def test_figures_are_those_of_sets_of_characters(sources, passages):
    """However sources and passages overlap, each character counts once."""
    gold, shown = characters(sources), characters(passages)
    both = len(gold & shown)
    assert values(
        [Source(name, start=start, end=start + size) for name, start, size in sources],
        [Span(name, start=start, end=start + size) for name, start, size in passages],
    ) == [both / len(gold), both / len(shown), both / len(gold | shown)]


def test_nothing_found_is_0():
    """Without passages every figure is 0, and none is left out."""
    assert values([Source("t", start=0, end=10)], []) == [0.0, 0.0, 0.0]


def test_of_alternatives_the_one_that_is_covered_best_counts():
    """The others are not missed."""
    sources = [Source("t", start=s, end=s + 100, any_of="x") for s in (0, 200, 400)]
    assert values(sources, [Span("t", start=200, end=300)]) == [1.0, 1.0, 1.0]
    assert values(sources, [Span("t", start=50, end=100), Span("t", start=400, end=480)])[0] == 0.8


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (["u", "t"], [1.0, 1.0, 1.0]),  # the copy stands where the source does
        (["t", "u"], [1.0, 1.0, 1.0]),
        (["v", "w"], [0.0, 0.0, 0.0]),  # in no place: its characters count once
    ],
)
def test_copies(documents, expected):
    """A passage stands where a source is, in any of its places."""
    first, second = documents
    passage = Context("...", first, start=0, end=100, copies=(Span(second, start=0, end=100), Span("x")))
    assert values([Source("t", start=0, end=100)], [passage]) == expected
    both = [Source("t", start=0, end=100), Source("u", start=0, end=100)]
    if expected[0]:
        assert values(both, [passage]) == [1.0, 1.0, 1.0]
