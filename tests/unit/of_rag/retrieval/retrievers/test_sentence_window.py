"""Windows around sentences: joined where they overlap, and no sentence in two of them."""

from __future__ import annotations

import random

from rag_evals.rag.retrieval.chunks import Chunk, Hit
from rag_evals.rag.retrieval.retrievers.sentence_window import MOST_JOINED, windows_of


def windows(found: list[tuple[str, int]], window: int, **sizes: int) -> list[tuple[str, int, int]]:
    hits = [
        Hit(Chunk(f"{name}{number}", "", name, None, 0, 0, number=number), 1 / rank)
        for rank, (name, number) in enumerate(found, 1)
    ]
    ends = {name: size - 1 for name, size in sizes.items()}
    made = windows_of(hits, window, ends)
    assert [one.score for one in made] == sorted((one.score for one in made), reverse=True)
    return [(one.document, one.first, one.last) for one in made]


def test_a_window_ends_with_its_document():
    assert windows([("a", 0), ("b", 3)], 2, a=9, b=4) == [("a", 0, 2), ("b", 1, 3)]


def test_a_window_of_nothing_around():
    assert windows([("a", 4), ("a", 5)], 0, a=9) == [("a", 4, 4), ("a", 5, 5)]


def test_windows_that_overlap_are_joined():
    """The passage has the place of the better one; what stands in another document does not matter."""
    found = [("a", 4), ("b", 5), ("a", 7)]
    assert windows(found, 2, a=20, b=20) == [("a", 2, 9), ("b", 3, 7)]


def test_windows_side_by_side_are_two():
    assert windows([("a", 2), ("a", 7)], 2, a=20) == [("a", 0, 4), ("a", 5, 9)]


def test_a_sentence_in_a_window_makes_none():
    assert windows([("a", 4), ("a", 5), ("a", 4)], 2, a=20) == [("a", 2, 6)]


def test_a_window_that_joins_two():
    assert windows([("a", 2), ("a", 8), ("a", 5)], 1, a=20) == [("a", 1, 3), ("a", 7, 9), ("a", 4, 6)]
    assert windows([("a", 3), ("a", 7), ("a", 5)], 1, a=20) == [("a", 2, 8)]


def test_joining_ends_at_a_bound():
    """Beyond it a window keeps what is left beside the better ones."""
    found = [("a", number) for number in (10, 13, 16, 19, 22)]
    assert windows(found, 2, a=40) == [("a", 8, 21), ("a", 22, 24)]
    assert MOST_JOINED * 5 >= 21 - 8 + 1


def test_no_sentence_is_in_two_windows():
    """Whatever is found, in whatever order: what was found is covered, once, by windows of bounded length."""
    chance = random.Random(0)
    for _ in range(500):
        size, window = chance.randint(1, 40), chance.randint(0, 4)
        found = [("a", chance.randrange(size)) for _ in range(chance.randint(0, 15))]
        made = windows(found, window, a=size)
        covered = [number for _, first, last in made for number in range(first, last + 1)]
        assert len(covered) == len(set(covered))
        assert {number for _, number in found} <= set(covered)
        assert all(0 <= first <= last < size for _, first, last in made)
        assert all(last - first < MOST_JOINED * (2 * window + 1) for _, first, last in made)
