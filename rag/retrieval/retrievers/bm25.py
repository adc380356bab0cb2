"""The chunks that have the rare words of the question, by BM25."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rag_evals.rag.errors import say
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.chunks import Chunk, Hit
from rag_evals.rag.retrieval.retrievers.array_file import DAMAGES, read_arrays, write_arrays
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.text.terms import VERSION, endless, function_words, language_for, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The table of fewer chunks is made in less than half a second, and not kept.
LEAST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class BM25Settings:
    """What shapes the scores.

    Attributes:
        k1: How much a term that is there again adds: 0 for nothing.
        b: How much a long text counts less: from 0, not at all, to 1, by its length.
        language: Whose endings and function words are left out, "none", or "auto" for that of most texts.
    """

    k1: float = 1.5
    b: float = 0.75
    language: str = "auto"


class BM25:
    """Okapi BM25 over texts, as Lucene counts it.

    Function words count in the texts, so that a question of nothing else finds something; beside other words
    they do not count in a question: "I" and "can" are rare in a paper, and say nothing of what is asked.

    Attributes:
        language: The language in use.
    """

    def __init__(
        self,
        language: str,
        terms: Sequence[str],
        scores: NDArray[np.float32],
        texts: NDArray[np.int32],
        starts: NDArray[np.int64],
    ) -> None:
        """Take a table: of each term the texts that have it, and what it scores in each of them.

        Args:
            language: Whose endings were left out.
            terms: All of them.
            scores: What a term scores in a text, term by term.
            texts: The number of that text.
            starts: Where each term begins in these two, and behind the last one where they end.
        """
        self.language = language
        self._terms = {term: number for number, term in enumerate(terms)}
        self._scores, self._texts, self._starts = scores, texts, starts
        self._function_words = function_words(language)
        self._count = int(texts.max(initial=-1)) + 1

    @classmethod
    def of(cls, texts: Sequence[str], settings: BM25Settings) -> BM25:
        """Make the table of texts."""
        import bm25s
        import numpy as np

        language = language_for(texts) if settings.language == "auto" else settings.language
        numbers: dict[str, int] = {}
        # Numbered here, in the order of the texts: the library numbers terms by their hashes, which differ.
        numbered = [
            [numbers.setdefault(term, len(numbers)) for term in endless(words_of(text), language)]
            for text in texts
        ]
        if not numbers:
            return cls(language, (), np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
        # What the library's `index` does besides is to keep the vocabulary, and to log at every level.
        table = bm25s.BM25(k1=settings.k1, b=settings.b, backend="numpy").build_index_from_ids(
            list(numbers.values()), numbered, show_progress=False
        )
        return cls(language, list(numbers), table["data"], table["indices"], table["indptr"])

    def search(self, query: str, most: int) -> list[tuple[int, float]]:
        """Return the numbers and scores of the `most` best texts that share a term with `query`.

        Equal ones come in the order of the texts.
        """
        import numpy as np

        words = words_of(query)
        telling = [word for word in words if word not in self._function_words]
        total = np.zeros(self._count, dtype=np.float32)
        for term in endless(telling or words, self.language):
            if (number := self._terms.get(term)) is not None:
                part = slice(self._starts[number], self._starts[number + 1])
                total[self._texts[part]] += self._scores[part]
        shared = np.flatnonzero(total)
        best = shared[np.argsort(-total[shared], kind="stable")[:most]]
        return [(int(number), float(total[number])) for number in best]

    def save(self, file: Path, ids: Sequence[str]) -> None:
        """Write the table, with the ids of the texts."""
        write_arrays(
            file,
            {"language": [self.language], "terms": list(self._terms), "ids": ids},
            {"scores": self._scores, "texts": self._texts, "starts": self._starts},
        )

    @classmethod
    def load(cls, file: Path) -> tuple[BM25, list[str]]:
        """Read a table and the ids of its texts.

        Raises:
            OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile: It is not there, or damaged.
        """
        words, arrays = read_arrays(file, ("language", "terms", "ids"), ("scores", "texts", "starts"))
        (language,) = words["language"]
        return cls(language, words["terms"], **arrays), words["ids"]


class BM25Search:
    """Ranks chunks by BM25; one that shares no word with the query is never found.

    Args:
        chunks: The chunks of the index.
        settings: What shapes the scores.
        of_sentences: Whether what is searched are pieces of the chunks that are ranked.
        kept: The table of many chunks lies beside this path; None for one that is not kept.
    """

    def __init__(
        self,
        chunks: ChunkTable,
        settings: BM25Settings,
        *,
        of_sentences: bool = False,
        kept: Path | None = None,
    ) -> None:
        self._chunks = chunks
        file = kept and kept.with_name(f"{kept.name}-{_key(settings)}.bm25")
        opened = _opened(file) if file and file.exists() else None
        self._scores, self._ids = opened or _made(searched_chunks(chunks, of_sentences), settings, file)

    def find(self, query: str, most: int) -> list[Hit]:
        """Return the `most` chunks with the highest scores."""
        best = self._scores.search(query, most)
        return self._chunks.hits([(self._ids[number], score) for number, score in best])


def searched_chunks(chunks: ChunkTable, of_sentences: bool) -> list[Chunk]:
    """Return the chunks that are ranked: those that are searched, or whose sentences are."""
    searched = chunks.searched()
    if not of_sentences:
        return list(searched)
    return chunks.get(list(dict.fromkeys(chunk.parent for chunk in searched if chunk.parent)))


def bm25_identity() -> dict[str, object]:
    """Return what shapes the scores beside settings and texts."""
    return {"terms": VERSION, **{name: version(name) for name in ("bm25s", "PyStemmer")}}


def _key(settings: BM25Settings) -> str:
    return digest([settings.k1, settings.b, settings.language, bm25_identity()])[:8]


def _opened(file: Path) -> tuple[BM25, list[str]] | None:
    try:
        return BM25.load(file)
    except DAMAGES as error:
        say(f"{file} is damaged ({type(error).__name__}: {error}): it is made anew")
    return None


def _made(chunks: Sequence[Chunk], settings: BM25Settings, file: Path | None) -> tuple[BM25, list[str]]:
    made, ids = BM25.of([chunk.text for chunk in chunks], settings), [chunk.id for chunk in chunks]
    if file and len(chunks) >= LEAST_KEPT:
        try:
            made.save(file, ids)
        except OSError as error:
            say(f"{file} was not written ({error.strerror or error}): it is made anew the next time")
    return made, ids
