"""Retriever: what finds the chunks for a question."""

from __future__ import annotations

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


class Retriever(Protocol):
    """Finds the chunks for a question."""

    def retrieve(self, question: str) -> Found:
        """Find the chunks for `question`."""
