"""Documents, and the corpus they make."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from dataclasses import dataclass

PAGE_BREAK = "\n\n"


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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that gave no text, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a file or folder held: the documents, and the files that gave none; both sorted by name."""

    documents: tuple[Document, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash over the documents' names and content hashes: the same files give the same value anywhere."""
        contents = sorted((document.name, document.sha256) for document in self.documents)
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


class Refusal(Exception):
    """Says why one file gives no text; never leaves this module."""


def printable(text: str) -> str:
    """Return `text` with a blank for each character that cannot be shown."""
    return "".join(character if character.isprintable() else " " for character in text)


_LINE_END = re.compile(r"\r\n?|\f|\v|\x85|\u2028|\u2029")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # lone surrogates cannot be encoded


def cleaned(text: str) -> str:
    """Return `text` with plain line ends and without control characters."""
    return _CONTROL.sub("", _LINE_END.sub("\n", text))


def error_line(error: Exception, limit: int = 120) -> str:
    """Return an error's text on one printable line: it may quote bytes of a hostile file."""
    return " ".join(printable(str(error)).split())[:limit] or type(error).__name__
