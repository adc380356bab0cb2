"""Documents, the corpus they make, and remarks on what of them was not read."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from rag_evals.rag.errors import without_commands

PAGE_BREAK = "\n\n"
# So many of a kind are shown and kept with a run; `rag-evals docs` shows all.
MOST_REMARKS = 10
RemarkKind = Literal[
    "no text",
    "damaged",
    "unreadable letters",
    "not read",
    "cut",
    "copy",
    "passed over",
    "not embedded",
    "not found",
]
# The kind of a remark on what is beyond a bound: a reading with one of these is made anew the next time.
CUT: Final = "cut"


@dataclass(frozen=True, slots=True)
class Document:
    """One file's text.

    Attributes:
        name: Path relative to the folder that was read, with forward slashes; for a single file its name.
        text: The whole cleaned text, pages joined by a blank line.
        page_starts: Offset in `text` at which each page begins; empty when the format has no pages.
        sha256: Hash of the file's bytes, in hexadecimal.
    """

    name: str
    text: str
    page_starts: tuple[int, ...]
    sha256: str

    def page_at(self, offset: int) -> int | None:
        """Return the page (from 1) that holds the character at `offset`, None in a format without pages."""
        return bisect_right(self.page_starts, offset) or None

    def pages_at(self, start: int, end: int) -> tuple[int | None, int | None]:
        """Return the page on which a piece begins, and that on which it ends where that is another one."""
        page, last = self.page_at(start), self.page_at(max(start, end - 1))
        return page, last if last != page else None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something of a document that was not read, or will not be found.

    Attributes:
        kind: What kind of loss it is.
        detail: The loss and its cause in a few printable words, with the remedy where there is one.
        pages: The pages (from 1) it is about; empty for the whole document, or in a format without pages.
        document: The document's name; "" for the whole corpus.
    """

    kind: RemarkKind
    detail: str
    pages: tuple[int, ...] = ()
    document: str = ""

    def __str__(self) -> str:
        pages = f"page{'s' * (len(self.pages) > 1)} {page_ranges(self.pages)}" if self.pages else ""
        return ": ".join(filter(None, (printable(self.document), pages, self.detail)))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that gave no text, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a file or folder held.

    Attributes:
        documents: The documents, sorted by name.
        unreadable: The files that gave no text, sorted by name.
        remarks: What was not read of the documents, and which files were passed over.
    """

    documents: tuple[Document, ...]
    unreadable: tuple[Unreadable, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash over the documents' names and content hashes: the same files give the same value anywhere."""
        contents = sorted((document.name, document.sha256) for document in self.documents)
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    @property
    def remarked(self) -> list[str]:
        """What was not read and what is remarked, a line each, with the first of many of a kind."""
        return remark_lines(self.unreadable, self.remarks, MOST_REMARKS)


def remark_lines(
    unreadable: Sequence[Unreadable], remarks: Sequence[Remark], most: int | None = None
) -> list[str]:
    """Return a line for each file that gave no text and for each remark, in printable words.

    With `most`, where a kind has more than that, the first ones stand for the rest and a line counts it.
    """
    left_out = [f"left out {printable(one.name)}: {printable(one.reason)}" for one in unreadable]
    groups = [left_out]
    for _, found in groupby(sorted(remarks, key=lambda remark: remark.kind), key=lambda remark: remark.kind):
        groups.append([str(remark) for remark in found])
    lines = []
    for group in groups:
        shown = group[:most]
        lines += shown
        if len(group) > len(shown):
            lines.append(f"{len(group) - len(shown):,} more like that: `rag-evals docs` shows all")
    return lines


def page_ranges(pages: Sequence[int]) -> str:
    """Return numbers as people write them: `2-4, 7`."""
    parts = []
    for _, run in groupby(enumerate(sorted(pages)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        parts.append(f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ", ".join(parts)


class Refusal(Exception):
    """Says why one file gives no text; never leaves this package."""


def printable(text: str) -> str:
    """Return `text` fit to be shown: a blank for each sign that cannot be, no commands to a CI runner."""
    return without_commands("".join(sign if sign.isprintable() else " " for sign in text))


_LINE_END = re.compile(r"\r\n?|\f|\v|\x85|\u2028|\u2029")
# Lone surrogates cannot be encoded; a soft hyphen is shown only where a line ends.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\ud800-\udfff]")


def cleaned(text: str) -> str:
    """Return `text` with plain line ends and without control characters and soft hyphens."""
    return _CONTROL.sub("", _LINE_END.sub("\n", text))


def error_line(error: Exception, limit: int = 120) -> str:
    """Return an error's text on one printable line: it may quote bytes of a hostile file."""
    return " ".join(printable(str(error)).split())[:limit] or type(error).__name__
