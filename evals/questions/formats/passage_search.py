"""Documents in which passages are looked up, word for word whatever the white space."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from rag_evals.evals.questions.question import Source
from rag_evals.rag.answer import Context
from rag_evals.rag.documents.document import Document

# A text as short as a name stands in many places: it is told from a passage by standing in one place only.
_SHORT = 24
_BREAK = "\n"


@dataclass(frozen=True, slots=True)
class _Dense:
    """A document's text without its white space, and where each run of characters came from."""

    document: Document
    text: str
    starts: tuple[int, ...]
    origins: tuple[int, ...]

    def origin(self, offset: int) -> int:
        """Return the place in the document of a character of `text`."""
        run = bisect_right(self.starts, offset) - 1
        return self.origins[run] + offset - self.starts[run]


class PassageSearch:
    """Documents by name, with their texts joined so that one search goes through all of them."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._books = [_dense(document) for document in documents]
        self._by_name = {book.document.name: number for number, book in enumerate(self._books)}
        self._whole = "".join(f"{book.text}{_BREAK}" for book in self._books)
        self._starts: list[int] = []
        reached = 0
        for book in self._books:
            self._starts.append(reached)
            reached += len(book.text) + len(_BREAK)

    @property
    def first(self) -> str:
        """The name of the first document; "" where there is none."""
        return next(iter(self._by_name), "")

    def has(self, name: str) -> bool:
        """Return whether there is a document of that very name."""
        return name in self._by_name

    def sha256_of(self, name: str) -> str:
        """Return the hash of a document's file."""
        return self._books[self._by_name[name]].document.sha256

    def find(self, context: Context) -> Source | None:
        """Find a passage, in the document that it names if it stands there; None when it stands nowhere.

        Of several places the first is given, documents in the order in which they came. A text of a few words
        has to stand in one place only.
        """
        dense = "".join(context.text.split())
        if not dense:
            return None
        named = self._named(context.document)
        if named is not None:
            start = self._starts[named]
            found = self._place(dense, start, start + len(self._books[named].text))
            if found is not None:
                return found
        return self._place(dense, 0, len(self._whole))

    def _place(self, dense: str, start: int, end: int) -> Source | None:
        at = self._whole.find(dense, start, end)
        if at < 0 or (len(dense) < _SHORT and self._whole.find(dense, at + 1, end) >= 0):
            return None
        number = bisect_right(self._starts, at) - 1
        book, offset = self._books[number], at - self._starts[number]
        first, last = book.origin(offset), book.origin(offset + len(dense) - 1) + 1
        document = book.document
        return Source(document.name, document.page_at(first), first, last, document.text[first:last])

    def _named(self, name: str) -> int | None:
        """Return the document of that name, or the only one whose file is called so."""
        if name in self._by_name:
            return self._by_name[name]
        file = file_name(name)
        alike = [number for known, number in self._by_name.items() if file and file_name(known) == file]
        return alike[0] if len(alike) == 1 else None


def file_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return re.split(r"[/\\]", path)[-1]


def _dense(document: Document) -> _Dense:
    starts, origins, pieces, reached = [], [], [], 0
    for run in re.finditer(r"\S+", document.text):
        starts.append(reached)
        origins.append(run.start())
        pieces.append(run.group())
        reached += len(run.group())
    return _Dense(document, "".join(pieces), tuple(starts), tuple(origins))
