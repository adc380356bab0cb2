"""Chunks merged into their parents where enough of their pieces were found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from rag_evals.rag.retrieval.chunks import Hit
from rag_evals.rag.retrieval.retrievers.protocol import Found, Retriever
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.tracing.conventions import RETRIEVED, documents
from rag_evals.rag.tracing.spans import span


def mean(scores: Sequence[float]) -> float:
    """Return the mean of scores."""
    return sum(scores) / len(scores)


class AutoMergingRetriever:
    """Puts parents in the place of chunks of which enough were found, by LlamaIndex's rule.

    A parent of whose pieces more than the ratio are there takes their place with the mean of their scores,
    and so on upwards. Of two chunks of the largest size that are neighbours in the ranking and between which
    one is missing in the document, that one is put between them.

    Args:
        candidates: What finds the chunks that are merged.
        chunks: The chunks of the index.
        ratio: The share of a parent's pieces that is to be exceeded.
        score: What a parent scores of the scores of its pieces. The mean, as LlamaIndex has it, serves where
            scores are near each other; of fused ranks the mean puts a parent behind any single piece that is
            first in one ranking, and the best serves.
    """

    def __init__(
        self,
        candidates: Retriever,
        chunks: ChunkTable,
        ratio: float,
        score: Callable[[Sequence[float]], float] = mean,
    ) -> None:
        self._candidates = candidates
        self._chunks = chunks
        self._ratio = ratio
        self._score = score

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Found:
        """Find the candidates and merge them."""
        found = self._candidates.retrieve(question, wordings).passages
        with span("merge") as step:
            merged = self._merged(found)
            step.set_from(_told, found, merged)
        return Found(found, merged)

    def _merged(self, found: Sequence[Hit]) -> tuple[Hit, ...]:
        before: list[Hit] = []
        hits = list(found)
        while hits != before:
            before = hits
            hits = self._with_parents(self._filled(hits))
        once: dict[str, Hit] = {}
        for hit in sorted(hits, key=lambda hit: hit.score, reverse=True):
            once.setdefault(hit.chunk.id, hit)
        return tuple(once.values())

    def _filled(self, hits: Sequence[Hit]) -> list[Hit]:
        """Put in the chunk of the largest size that is missing between two neighbours in the ranking."""
        filled = list(hits[:1])
        for one, other in pairwise(hits):
            is_whole = one.chunk.parent is None and other.chunk.document == one.chunk.document
            if is_whole and other.chunk.number - one.chunk.number == 2:
                between = self._chunks.siblings(one.chunk)[one.chunk.number + 1]
                filled.append(Hit(between, (one.score + other.score) / 2))
            filled.append(other)
        return filled

    def _with_parents(self, hits: Sequence[Hit]) -> list[Hit]:
        """Put parents in the place of their pieces where enough of these are there."""
        pieces: dict[str, list[Hit]] = {}
        for hit in hits:
            if hit.chunk.parent is not None:
                pieces.setdefault(hit.chunk.parent, []).append(hit)
        enough = {
            parent: of_it
            for parent, of_it in pieces.items()
            if len(of_it) / self._chunks.count_siblings(of_it[0].chunk) > self._ratio
        }
        merged = {hit.chunk.id for of_it in enough.values() for hit in of_it}
        parents = zip(self._chunks.get(list(enough)), enough.values(), strict=True)
        return [
            *(hit for hit in hits if hit.chunk.id not in merged),
            *(Hit(parent, self._score([hit.score for hit in of_it])) for parent, of_it in parents),
        ]


def _told(found: Sequence[Hit], merged: Sequence[Hit]) -> dict[str, Any]:
    return {
        "evals.passages_before": len(found),
        **documents(RETRIEVED, [hit.context for hit in merged]),
    }
