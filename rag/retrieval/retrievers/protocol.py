"""Search and Retriever: what ranks the chunks of an index, and what makes passages of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_evals.rag.retrieval.chunks import Hit


@dataclass(frozen=True, slots=True)
class Found:
    """What a retriever found.

    Attributes:
        candidates: The chunks that it found, best first, before any were merged.
        passages: What it makes of them, best first.
    """

    candidates: tuple[Hit, ...]
    passages: tuple[Hit, ...]


class Search(Protocol):
    """Ranks the chunks of an index for one text."""

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` best chunks for `query`, best first."""


class Retriever(Protocol):
    """Finds the passages for a question."""

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Found:
        """Find the passages for `question`, and for other wordings of it."""
