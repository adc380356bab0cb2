"""Sentences are found, and the sentences around each are the passage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_evals.rag.documents.document import Document
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.chunks import Hit, chunk_of
from rag_evals.rag.retrieval.retrievers.protocol import Found, Retriever
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.tracing.conventions import RETRIEVED, documents
from rag_evals.rag.tracing.spans import span

# A passage is joined of so many windows at most: one without end would not fit the budget of the model.
MOST_JOINED = 3


@dataclass(frozen=True, slots=True)
class Window:
    """Sentences of a document by their numbers, `last` among them, with the best score of those found."""

    document: str
    first: int
    last: int
    score: float


def windows_of(hits: Iterable[Hit], window: int, ends: Mapping[str, int]) -> list[Window]:
    """Return the windows around sentences, best first, so that no sentence is in two of them.

    Windows that overlap are joined and keep the better place, up to MOST_JOINED times the length of one;
    beyond that the worse one has what is left beside the better. A sentence that is in a window already
    makes none.

    Args:
        hits: The sentences that were found, best first.
        window: How many sentences on either side belong to one.
        ends: The number of the last sentence of each document.
    """
    joined: list[Window] = []
    for hit in hits:
        at, document = hit.chunk.number, hit.chunk.document
        new = Window(document, max(0, at - window), min(ends[document], at + window), hit.score)
        beside = [w for w in joined if w.document == document and w.first <= new.last and new.first <= w.last]
        if any(w.first <= at <= w.last for w in beside):
            continue
        first = min([new.first, *(w.first for w in beside)])
        last = max([new.last, *(w.last for w in beside)])
        if beside and last - first < MOST_JOINED * (2 * window + 1):
            joined[joined.index(beside[0])] = replace(beside[0], first=first, last=last)
            joined = [w for w in joined if w not in beside[1:]]
            continue
        for w in beside:
            new = replace(new, first=w.last + 1) if w.last < at else replace(new, last=w.first - 1)
        joined.append(new)
    return joined


class SentenceWindowRetriever:
    """Takes the sentences around those that were found.

    Args:
        candidates: What finds the sentences.
        chunks: The sentences of the index.
        documents: The documents by their names.
        window: How many sentences on either side belong to the passage.
    """

    def __init__(
        self, candidates: Retriever, chunks: ChunkTable, documents: Mapping[str, Document], window: int
    ) -> None:
        self._candidates = candidates
        self._chunks = chunks
        self._documents = documents
        self._window = window
        self._places: dict[str, list[tuple[int, int]]] = {}

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Found:
        """Find sentences and take the windows around them."""
        found = self._candidates.retrieve(question, wordings).passages
        with span("window") as step:
            for hit in found:
                if hit.chunk.document not in self._places:
                    siblings = self._chunks.siblings(hit.chunk)
                    self._places[hit.chunk.document] = [(chunk.start, chunk.end) for chunk in siblings]
            ends = {name: len(places) - 1 for name, places in self._places.items()}
            passages = tuple(map(self._passage, windows_of(found, self._window, ends)))
            step.set_from(lambda: documents(RETRIEVED, [hit.context for hit in passages]))
        return Found(found, passages)

    def _passage(self, window: Window) -> Hit:
        places = self._places[window.document]
        start, end = places[window.first][0], places[window.last][1]
        id = digest([window.document, "window", start, end])
        return Hit(chunk_of(self._documents[window.document], start, end, id=id), window.score)
