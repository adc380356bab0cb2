"""The nearest chunks by their vectors."""

from __future__ import annotations

from rag_evals.rag.retrieval.chunks import Hit
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.retrievers.protocol import Found
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.protocol import Store


class VectorRetriever:
    """Takes the chunks whose vectors are nearest to that of the question.

    Args:
        chunks: The chunks of the index.
        store: Their vectors.
        embedder: What made them.
        top_k: How many are taken.
    """

    def __init__(self, chunks: ChunkTable, store: Store, embedder: Embedder, top_k: int) -> None:
        self._chunks = chunks
        self._store = store
        self._embedder = embedder
        self._top_k = top_k

    def retrieve(self, question: str) -> Found:
        """Find the nearest chunks."""
        nearest = self._store.nearest(self._embedder.embed([question])[0], self._top_k)
        chunks = self._chunks.get([id for id, _ in nearest])
        hits = tuple(Hit(chunk, score) for chunk, (_, score) in zip(chunks, nearest, strict=True))
        return Found(hits, hits)
