"""The nearest chunks by their vectors."""

from __future__ import annotations

from rag_evals.rag.retrieval.chunks import Hit
from rag_evals.rag.retrieval.embedder import AnyEmbedder
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.protocol import Store

# So many pieces for each chunk are looked at first; where they are of too few chunks, twice as many.
PIECES = 3


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
        return self._chunks.hits(self._store.nearest(self._embedder.embed([query])[0], most))


class SentenceVectorSearch(VectorSearch):
    """Ranks chunks by how near the nearest of their pieces is: each piece has a vector of its own."""

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` chunks with the nearest pieces."""
        vector = self._embedder.embed([query])[0]
        asked = most * PIECES
        while True:
            pieces = self._store.nearest(vector, asked)
            scores: dict[str, float] = {}
            for parent, (_, score) in zip(
                self._chunks.parents([id for id, _ in pieces]), pieces, strict=True
            ):
                scores.setdefault(parent, score)  # that of the nearest piece comes first
            if len(scores) >= most or len(pieces) < asked:
                return self._chunks.hits(list(scores.items())[:most])
            asked *= 2
