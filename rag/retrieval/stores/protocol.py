"""Store: what keeps the vectors of an index and finds the nearest of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_evals.rag.retrieval.chunks import Chunk
from rag_evals.rag.retrieval.embedder import Vectors


@dataclass(frozen=True, slots=True)
class Entry:
    """The searched chunks of one document with their vectors, a row each.

    Attributes:
        document: Name of the document.
        digest: SHA-256 over the document and over which of its chunks are searched.
        chunks: The chunks.
        vectors: Their unit vectors.
    """

    document: str
    digest: str
    chunks: Sequence[Chunk]
    vectors: Vectors


class Store(Protocol):
    """Keeps vectors by the ids of their chunks, document by document."""

    def documents(self) -> Mapping[str, str]:
        """Return the digest of each document that is kept whole, by its name."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Add documents that are not kept yet."""

    def remove(self, documents: Collection[str]) -> None:
        """Remove what is kept of documents, by their names."""

    def nearest(
        self, vector: Vectors, k: int, documents: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the `k` nearest chunks with their cosine, best first; equal ones by their ids.

        Args:
            vector: What they are to be near to.
            k: How many are wanted.
            documents: Those in which to search; None for all.
        """
