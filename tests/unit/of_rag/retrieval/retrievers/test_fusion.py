"""Fusion by reciprocal rank, of searches and of wordings."""

from __future__ import annotations

import pytest
from rag_evals.rag.retrieval.chunks import Chunk, Hit
from rag_evals.rag.retrieval.retrievers.fusion import FusedRetriever, fuse


def hits(names: str) -> list[Hit]:
    return [Hit(Chunk(name, name, "a.txt", None, 0, 1), 1.0 - n / 10) for n, name in enumerate(names)]


def order(fused: list[Hit]) -> str:
    return "".join(hit.chunk.id for hit in fused)


class Listed:
    """A search with a ranking for each query; it keeps what it was asked."""

    def __init__(self, **rankings: str) -> None:
        self.rankings = rankings
        self.asked: list[tuple[str, int]] = []

    def find(self, query: str, most: int) -> list[Hit]:
        self.asked.append((query, most))
        return hits(self.rankings.get(query, ""))[:most]


def test_scores_of_fused_ranks():
    """A chunk scores what its ranks give, and nothing where it is in no ranking."""
    fused = fuse([(hits("ab"), 1.0), (hits("bc"), 2.0)], 10)
    assert [(hit.chunk.id, pytest.approx(hit.score)) for hit in fused] == [
        ("b", 1 / 12 + 2 / 11),
        ("c", 2 / 12),
        ("a", 1 / 11),
    ]


def test_equal_scores_keep_the_order_in_which_they_were_met():
    assert order(fuse([(hits("abc"), 1.0), (hits("cba"), 1.0)], 60)) == "acb"
    assert order(fuse([(hits("xy"), 1.0), (hits("ab"), 1.0)], 60)) == "xayb"


def test_nothing_to_fuse():
    assert fuse([], 60) == fuse([([], 1.0)], 60) == []


def test_one_ranking_is_taken_as_it_is():
    """One search for one wording keeps its scores, and is asked for no more than is taken."""
    search = Listed(q="abcd")
    found = FusedRetriever([(search, 0.4)], constant=60, depth=50, top_k=2).retrieve("q")
    assert found.candidates == found.passages == tuple(hits("ab"))
    assert search.asked == [("q", 2)]


def test_several_rankings_are_looked_at_deeper_than_is_taken():
    one, other = Listed(q="abcz"), Listed(q="xyz")
    found = FusedRetriever([(one, 1.0), (other, 1.0)], constant=60, depth=3, top_k=2).retrieve("q")
    assert order(list(found.passages)) == "ax"
    deeper = FusedRetriever([(one, 1.0), (other, 1.0)], constant=60, depth=1, top_k=4).retrieve("q")
    assert order(list(deeper.passages)) == "zaxb"
    assert one.asked == [("q", 3), ("q", 4)]


def test_a_search_of_no_weight_is_never_asked():
    one, other = Listed(q="ab"), Listed(q="xy")
    found = FusedRetriever([(one, 0.0), (other, 1.0)], constant=60, depth=3, top_k=2).retrieve("q")
    assert found.passages == tuple(hits("xy"))
    assert one.asked == []


def test_other_wordings_together_count_as_much_as_the_question():
    search = Listed(q="ab", r="bc", s="bd")
    retriever = FusedRetriever([(search, 1.0)], constant=10, depth=9, top_k=9)
    found = retriever.retrieve("q", ("r", "s"))
    assert [(hit.chunk.id, pytest.approx(hit.score)) for hit in found.passages] == [
        ("b", 1 / 12 + 1 / 11),
        ("a", 1 / 11),
        ("c", 0.5 / 12),
        ("d", 0.5 / 12),
    ]
