"""The chunks that have the rare words of the question, by BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rag_evals.rag.retrieval.chunks import Chunk, Hit
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.text.terms import endless, function_words, language_for, words_of


class BM25:
    """Okapi BM25 over texts, as Lucene counts it.

    Function words count in the texts, so that a question of nothing else finds something; beside other words
    they do not count in a question: "I" and "can" are rare in a paper, and say nothing of what is asked.

    Args:
        texts: What is searched.
        k1: How much a term that is there again adds: 0 for nothing.
        b: How much a long text counts less: from 0, not at all, to 1, by its length.
        language: Whose endings and function words are left out, "none", or "auto" for that of most texts.

    Attributes:
        language: The language in use.
    """

    def __init__(self, texts: Sequence[str], *, k1: float, b: float, language: str = "auto") -> None:
        import bm25s

        self.language = language_for(texts) if language == "auto" else language
        self._function_words = function_words(self.language)
        self._numbers: dict[str, int] = {}
        # Numbered here, in the order of the texts: the library numbers terms by their hashes, which differ.
        numbered = [
            [
                self._numbers.setdefault(term, len(self._numbers))
                for term in endless(words_of(text), self.language)
            ]
            for text in texts
        ]
        self._scores: Any = None
        if self._numbers:
            self._scores = bm25s.BM25(k1=k1, b=b, backend="numpy")
            # What its `index` does besides is to keep the vocabulary, and to log at every level.
            self._scores.scores = self._scores.build_index_from_ids(
                list(self._numbers.values()), numbered, show_progress=False
            )

    def search(self, query: str, most: int) -> list[tuple[int, float]]:
        """Return the numbers and scores of the `most` best texts that share a term with `query`.

        Equal ones come in the order of the texts.
        """
        import numpy as np

        words = words_of(query)
        telling = [word for word in words if word not in self._function_words]
        terms = endless(telling or words, self.language)
        asked = [self._numbers[term] for term in terms if term in self._numbers]
        if not asked:
            return []
        scores = self._scores.get_scores_from_ids(asked)
        shared = np.flatnonzero(scores)
        best = shared[np.argsort(-scores[shared], kind="stable")[:most]]
        return [(int(number), float(scores[number])) for number in best]


def searched_chunks(chunks: ChunkTable, *, of_sentences: bool) -> list[Chunk]:
    """Return the chunks that are ranked: those that are searched, or whose sentences are."""
    searched = chunks.searched()
    if not of_sentences:
        return list(searched)
    return chunks.get(list(dict.fromkeys(chunk.parent for chunk in searched if chunk.parent)))


class BM25Search:
    """Ranks chunks by BM25; one that shares no word with the query is never found.

    Args:
        chunks: The chunks of the index.
        k1, b, language: As `BM25` has them.
        of_sentences: Whether what is searched are pieces of the chunks that are ranked.
    """

    def __init__(
        self, chunks: ChunkTable, *, k1: float, b: float, language: str, of_sentences: bool = False
    ) -> None:
        searched = searched_chunks(chunks, of_sentences=of_sentences)
        self._chunks = chunks
        self._ids = [chunk.id for chunk in searched]
        self._scores = BM25([chunk.text for chunk in searched], k1=k1, b=b, language=language)

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` chunks with the highest scores."""
        best = self._scores.search(query, most)
        chunks = self._chunks.get([self._ids[number] for number, _ in best])
        return [Hit(chunk, score) for chunk, (_, score) in zip(chunks, best, strict=True)]
