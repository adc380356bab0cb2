"""The candidates of a question: those of one search, or of several whose rankings are fused."""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.rag.retrieval.chunks import Chunk, Hit
from rag_evals.rag.retrieval.retrievers.protocol import Found, Search


def fuse(rankings: Sequence[tuple[Sequence[Hit], float]], constant: float) -> list[Hit]:
    """Fuse rankings by reciprocal rank: a chunk scores the sum of weight / (constant + rank), ranks from 1.

    Source: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009. Equal scores come in the order in which they were met first.

    Args:
        rankings: Each best first, with its weight.
        constant: How little the first ranks count above those behind them.
    """
    scores: dict[str, float] = {}
    chunks: dict[str, Chunk] = {}
    for ranking, weight in rankings:
        for rank, hit in enumerate(ranking, 1):
            id = hit.chunk.id
            chunks.setdefault(id, hit.chunk)
            scores[id] = scores.get(id, 0.0) + weight / (constant + rank)
    fused = [Hit(chunk, scores[id]) for id, chunk in chunks.items()]
    return sorted(fused, key=lambda hit: -hit.score)


class FusedRetriever:
    """Takes what one search or several find for a question and its other wordings.

    The ranking of one search for one wording is taken as it is, with its scores. Several are fused; the other
    wordings together count as much as the question.

    Args:
        searches: Each with its weight; one of weight 0 is never asked.
        constant: As `fuse` has it.
        depth: How many chunks of each ranking are fused, at least `top_k`.
        top_k: How many chunks are taken.
    """

    def __init__(
        self, searches: Sequence[tuple[Search, float]], *, constant: float, depth: int, top_k: int
    ) -> None:
        self._searches = [(search, weight) for search, weight in searches if weight]
        self._constant = constant
        self._depth = max(depth, top_k)
        self._top_k = top_k

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Found:
        """Find the chunks that the rankings together put first."""
        if len(self._searches) == 1 and not wordings:
            hits = self._searches[0][0].find(question, self._top_k)
        else:
            queries = [(question, 1.0), *((wording, 1 / len(wordings)) for wording in wordings)]
            rankings = [
                (search.find(query, self._depth), weight * share)
                for query, share in queries
                for search, weight in self._searches
            ]
            hits = fuse(rankings, self._constant)[: self._top_k]
        return Found(tuple(hits), tuple(hits))
