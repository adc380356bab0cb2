"""The nearest chunks by their vectors."""

from __future__ import annotations

from rag_evals.rag.retrieval.chunks import Hit
from rag_evals.rag.retrieval.embedder import AnyEmbedder, Vectors
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.protocol import Store

# So many pieces a chunk are looked at first; where they are of too few chunks, twice as many.
PIECES = 4


class VectorSearch:
    """Ranks chunks by how near their vectors are to that of the query.

    Args:
        chunks: The chunks of the index.
        store: Their vectors.
        embedder: What made them.
    """

    def __init__(self, chunks: ChunkTable, store: Store, embedder: AnyEmbedder) -> None:
        self._chunks = chunks
        self._store = store
        self._embedder = embedder

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` nearest chunks."""
        return self._nearest(self._embedder.embed([query])[0], most)

    def _nearest(self, vector: Vectors, most: int) -> list[Hit]:
        nearest = self._store.nearest(vector, most)
        chunks = self._chunks.get([id for id, _ in nearest])
        return [Hit(chunk, score) for chunk, (_, score) in zip(chunks, nearest, strict=True)]


class SentenceVectorSearch(VectorSearch):
    """Ranks chunks by how near the nearest of their pieces is: each piece has a vector of its own."""

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` chunks with the nearest pieces."""
        vector = self._embedder.embed([query])[0]
        asked = most * PIECES
        while True:
            pieces = self._nearest(vector, asked)
            # The first piece of a chunk is its nearest one.
            scores = {piece.chunk.parent or "": piece.score for piece in reversed(pieces)}
            if len(scores) >= most or len(pieces) < asked:
                break
            asked *= 2
        best = sorted(scores.items(), key=lambda each: -each[1])[:most]
        chunks = self._chunks.get([id for id, _ in best])
        return [Hit(chunk, score) for chunk, (_, score) in zip(chunks, best, strict=True)]
