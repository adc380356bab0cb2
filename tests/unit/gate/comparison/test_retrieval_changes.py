"""Passages gained, lost and moved."""

from __future__ import annotations

import pytest
from rag_evals.evals.gate.comparison.compare import retrieval_change
from rag_evals.rag.answer import Context


def at(start: int, text="x", document="a.md") -> Context:
    return Context(text, document, start=start, end=start + 10)


def told(text: str) -> Context:
    return Context(text, "a.md")


A, B, C, D = (at(n, str(n)) for n in (0, 10, 20, 30))


@pytest.mark.parametrize(
    ("before", "after", "gained", "lost", "moved"),
    [
        ([], [], (), (), 0),
        ([A, B], [A, B], (), (), 0),
        ([A, B], [A, C], (C,), (B,), 0),
        ([], [A], (A,), (), 0),
        ([A], [], (), (A,), 0),
        ([A, B], [B, A], (), (), 1),
        ([A, B, C, D], [D, A, B, C], (), (), 1),
        ([A, B, C, D], [D, C, B, A], (), (), 3),
        ([A, B, C], [D, C, A], (D,), (B,), 1),
        # The document changed before the passage: its words are at another place.
        ([A], [at(5, "0")], (), (), 0),
        # The same place is the same passage, however its text was cleaned.
        ([A], [at(0, "0 ")], (), (), 0),
        ([A], [at(0, "0", "b.md")], (at(0, "0", "b.md"),), (A,), 0),
        # Without places the text decides; one that is there twice counts twice.
        ([told("x"), told("x")], [told("x")], (), (told("x"),), 0),
        ([told("x"), told("y")], [told("y"), told("z")], (told("z"),), (told("x"),), 0),
        ([told("0")], [A], (), (), 0),
    ],
)
def test_changes(before, after, gained, lost, moved):
    change = retrieval_change(before, after)
    assert (change.gained, change.lost, change.moved) == (gained, lost, moved)
    assert bool(change) is bool(gained or lost or moved)
