"""Places that citations name: passages by number, documents by name, pages."""

# ruff: noqa: RUF001 - dashes of every kind part numbers

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from rag_evals.rag.answer import Citation, Context

# A longer span than this is no range of passages.
MOST_IN_RANGE = 50
# From here on a number is a year, a count, a size: nobody retrieves so many passages.
LEAST_YEAR = 1000
# Shorter than this a name without its ending is a word like others.
LEAST_STEM = 3

_DASH = r"\s?[-–—]\s?"
_ENDINGS = "pdf|md|html?|docx?|txt|csv|tsv|pptx?|xlsx?|epub|json|xml|rst|tex|log|eml|yaml|yml"
_NUMBER = rf"#?\d{{1,4}}(?:{_DASH}#?\d{{1,4}})?"
_AND = r"\s{0,3}(?:[,;&+/]\s{0,3}(?:and\s{1,3})?|and\s{1,3}|und\s{1,3}|et\s{1,3}|y\s{1,3})"
_NUMBERS = re.compile(rf"\s{{0,3}}{_NUMBER}(?:{_AND}{_NUMBER}){{0,60}}\s{{0,3}}")
_ONE = re.compile(rf"#?(\d{{1,4}})(?:{_DASH}#?(\d{{1,4}}))?")
_LABEL = re.compile(
    r"\s{0,3}(?:(?:see|see also|cf\.?|from|in|per|e\.g\.)\s{1,3})?"
    r"(?:(?:sources?|references?|refs?\.?|citations?|quellen?|fuentes?|出典|来源)\s{0,3}[:：]\s{0,3})?",
    re.IGNORECASE,
)
_OF_PASSAGES = re.compile(
    r"(?:passages?|documents?|docs?|sources?|contexts?|chunks?|excerpts?|refs?\.?|quellen?)\s{0,3}"
    rf"(#?\d{{1,4}}(?:{_DASH}\d{{1,4}})?(?:{_AND}#?\d{{1,4}}(?:{_DASH}\d{{1,4}})?(?!\.\w)){{0,30}})(?![\w.]*\w)",
    re.IGNORECASE,
)
_FILE = re.compile(rf"(?:https?://)?[^\s,;:()\[\]\"'<>]{{1,120}}\.(?:{_ENDINGS})(?![\w.]*\w)", re.IGNORECASE)
_PAGE = re.compile(
    rf"(?:#page=|:|(?:pp?\.?|pgs?\.?|pages?|seiten?|s\.|página|pagina)\s{{0,3}})(\d{{1,5}})(?:{_DASH}(\d{{1,5}}))?(?!\w)",
    re.IGNORECASE,
)
_SECTION = re.compile(
    r"(?:§+\s{0,3}|(?:sections?|sec\.|chapters?|ch\.|lines?|paragraphs?)\s{1,3})[\w.-]{1,12}", re.IGNORECASE
)
_BETWEEN = re.compile(rf"{_AND}|\s{{1,3}}|(?=[#:])")


class Documents:
    """The documents of an answer's passages, by every name that a citation may give them.

    A document is named in full, by its last part (`guides/moe.pdf` is `moe.pdf`), or by that without its
    ending, whatever the case.

    Args:
        contexts: The passages.
    """

    def __init__(self, contexts: Sequence[Context]) -> None:
        self._contexts: dict[str, list[int]] = {}
        self._documents: dict[str, set[str]] = {}
        for n, context in enumerate(contexts):
            named = [(name, span.document) for span in context.places for name in _names(span.document)]
            for name in dict.fromkeys(name for name, _ in named):
                self._contexts.setdefault(name, []).append(n)
            for name, document in named:
                self._documents.setdefault(name, set()).add(document)
        # The longest first: "moe.pdf" is not "moe" and something behind it.
        names = sorted(self._contexts, key=len, reverse=True)
        self._pattern = (
            re.compile(rf"(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE) if names else None
        )

    def contexts_of(self, name: str) -> Sequence[int]:
        """Return which passages are of the document called `name`."""
        return self._contexts.get(_plain(name), ())

    def names_of(self, name: str) -> Collection[str]:
        """Return the documents that are called `name`, in full."""
        return self._documents.get(_plain(name), ())

    def match(self, text: str, at: int) -> re.Match[str] | None:
        """Return the name that stands in `text` at `at`: a known one, or what looks like that of a file."""
        known = self._pattern.match(text, at) if self._pattern else None
        file = _FILE.match(text, at)
        return file if file and (known is None or file.end() > known.end()) else known

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first known name in `text`, or the first file."""
        known = self._pattern.search(text) if self._pattern else None
        return known or _FILE.search(text)


def _plain(name: str) -> str:
    return " ".join(unquote(name).split()).lower().removesuffix("/")


def _names(document: str) -> list[str]:
    whole = _plain(document)
    last = PurePosixPath(whole.replace("\\", "/")).name
    stem = last.rpartition(".")[0] if _FILE.fullmatch(last.replace(" ", "_")) else ""
    return [name for name in (whole, last, stem if len(stem) >= LEAST_STEM else "") if len(name) > 1]


def numbers_in(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a list such as "1, 3-5"; None of anything else, with a 0, or too long a span."""
    if not _NUMBERS.fullmatch(text):
        return None
    found: dict[int, None] = {}
    for one in _ONE.finditer(text):
        first, last = int(one[1]), int(one[2] or one[1])
        if first < 1 or not first <= last <= first + MOST_IN_RANGE:
            return None
        found.update(dict.fromkeys(range(first, last + 1)))
    return tuple(found)


def places_in(text: str, documents: Documents) -> tuple[Citation, ...]:
    """Return the places that `text` names, as it stands between brackets; none where it says anything else.

    Args:
        text: Such as "moe.pdf, p. 3; intro.md", "Source: Passage 2", "pages 3-4".
        documents: Which documents there are.
    """
    label = _LABEL.match(text)
    at, end = label.end() if label else 0, len(text.rstrip(" ."))
    found: list[Citation] = []
    while at < end:
        piece = _place_at(text, at, documents, found[-1] if found else None)
        if piece is None:
            return ()
        at, place, is_more = piece
        if place:
            found = [*found[:-1], place] if is_more else [*found, place]
        between = _BETWEEN.match(text, at)
        if at < end and between is None:
            return ()
        at = between.end() if between else at
    return tuple(found)


def _place_at(
    text: str, at: int, documents: Documents, before: Citation | None
) -> tuple[int, Citation | None, bool] | None:
    """Return where the place at `at` ends, the place, and whether it says more of the one before it."""
    if passages := _OF_PASSAGES.match(text, at):
        numbers = numbers_in(passages[1])
        return (passages.end(), _of_numbers(numbers), False) if numbers else None
    if name := documents.match(text, at):
        return name.end(), Citation(document=name[0].strip()), False
    if page := _PAGE.match(text, at):
        is_more = before is not None and before.document is not None and before.page is None
        whole = before if is_more and before else Citation()
        if page[0].startswith((":", "#")) and not is_more:
            return None
        return page.end(), _on_page(whole, page), is_more
    if before and (section := _SECTION.match(text, at)):
        return section.end(), None, False
    return None


def _of_numbers(numbers: Sequence[int]) -> Citation:
    return Citation(contexts=tuple(number - 1 for number in numbers))


def _on_page(place: Citation, page: re.Match[str]) -> Citation:
    first, last = int(page[1]), int(page[2] or page[1])
    return replace(place, page=first, page_end=last if last > first else None)


def place_within(text: str, documents: Documents) -> Citation | None:
    """Return the first place that `text`, which may say more, names; None where it names none."""
    if name := documents.search(text):
        page = _PAGE.search(text, name.end())
        place = Citation(document=name[0].strip())
        return _on_page(place, page) if page else place
    if passages := _OF_PASSAGES.search(text):
        numbers = numbers_in(passages[1])
        return _of_numbers(numbers) if numbers else None
    return None
