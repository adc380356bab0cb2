"""The layout of documents: which lines are text to ask about, and under which heading they stand.

Rules, as a reader of a PDF gets no more than lines: what repeats on many pages is a page header, what lies
behind the heading "References" is a list of references, rows of numbers are tables. What is left out is
counted in words, so that a document that gives nothing can say why.
"""

# ruff: noqa: RUF001 - dashes and quotes of every kind stand in documents

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rag_evals.evals.generation.text.words import NOT_ENGLISH, is_of_other_script, words_in
from rag_evals.rag.documents.document import Document

# On so many pages a line is a page header or footer.
REPEATED = 3
# Characters. A longer line is no header, and no heading.
SHORT = 90

_SKIPPED = re.compile(
    r"references|bibliography|works cited|literature(?: cited)?|(?:table of )?contents|index"
    r"|list of (?:figures|tables|abbreviations)|acknowledge?ments?|authors?(?: contributions?)?"
    r"|funding|conflicts? of interest|competing interests|copyright",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:\d{1,2}|[A-Z])(?:\.\d{1,2}){0,4}\.? +(?=[A-Z])[^.!?;]{2,80}")
_MARKDOWN = re.compile(r"#{1,6}\s+(.+?)\s*#*")
_OPENING = re.compile(r"(?:abstract|summary|introduction|conclusions?|appendix\b.*)", re.IGNORECASE)
_NUMBERING = re.compile(r"(?:\d{1,2}|[A-Z])(?:\.\d{1,2})*\.? +")
_CAPTION = re.compile(r"[*_]{0,2}(?:figure|fig\.|table|listing|algorithm)\s+\d+\s*[.:]", re.IGNORECASE)
_REFERENCE = re.compile(r"\s*+(?:\[\d{1,3}\]|\d{1,3}\.|[-*•])?+\s*+[A-Z].*(?:\b(?:19|20)\d\d\b|arXiv)")
_CITED = re.compile(r"arXiv[: ]|\bet al\.,? |\bIn Proceedings\b|\bpp?\. ?\d|\bdoi\b|pages \d|^\s*\[\d{1,3}\]")
_BY_NAME = re.compile(r"[A-Z][\w’'-]+, [A-Z]\.[-,& ].*\b(?:19|20)\d\d\b")
_DOTS = re.compile(r"(?:\.\s?){4,}\s*\d+\s*\Z")
_ADDRESS = re.compile(r"\S@\S|\A\W*+\d{0,2}+\s*+https?://\S++\W*+\Z")
_WORD = re.compile(r"[^\W\d_]{2,}")
_END = re.compile(r"[.!?:;,][\"'”’)\]*_]*\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other and are all text to ask about.

    Attributes:
        start: Offset of the first character in the document's text.
        end: Offset behind the last character.
        section: The heading it stands under; "" for none.
    """

    start: int
    end: int
    section: str


@dataclass(slots=True)
class Layout:
    """What a document holds.

    Attributes:
        blocks: Text to ask about, in order.
        left_out: Words left out, by reason.
    """

    blocks: list[Block] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text, and whether an empty line or the document's border stands before and behind it."""

    text: str
    start: int
    end: int
    opens: bool
    closes: bool


def layout_of(document: Document) -> Layout:
    """Read the layout of `document`; takes time linear in its length."""
    found = Layout()
    repeated = _repeated(document)
    section, is_skipped, is_open = "", False, False
    for line in _lines(document.text):
        heading = _heading(line, repeated)
        if heading is not None and (not is_skipped or _is_strong(line)):
            section, is_skipped, is_open = heading, bool(_SKIPPED.fullmatch(heading)), False
            continue
        reason = section.casefold() if is_skipped else _reason(line, repeated)
        if reason:
            found.left_out[reason] += words_in(line.text)
            is_open = False
        elif is_open:
            last = found.blocks[-1]
            found.blocks[-1] = Block(last.start, line.end, last.section)
        else:
            found.blocks.append(Block(line.start, line.end, section))
            is_open = True
    return found


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines of `text` that are not empty."""
    start, is_behind_empty = 0, True
    for line in text.split("\n"):
        end = start + len(line)
        if line.strip():
            is_last = text[end : end + 2] in ("\n\n", "\n", "")
            yield _Line(line.strip(), start, end, is_behind_empty, is_last)
        is_behind_empty = not line.strip()
        start = end + 1


def _repeated(document: Document) -> frozenset[str]:
    """Return the short lines, numbers apart, that stand on many pages: page headers and footers."""
    starts = document.page_starts
    if len(starts) < REPEATED:
        return frozenset()
    counts: Counter[str] = Counter()
    for start, end in zip(starts, [*starts[1:], len(document.text)], strict=True):
        lines = [line.strip() for line in document.text[start:end].split("\n")]
        counts.update({_numberless(line) for line in lines if 0 < len(line) <= SHORT})
    return frozenset(line for line, pages in counts.items() if pages >= REPEATED)


def _numberless(line: str) -> str:
    return re.sub(r"\d+", "#", line).casefold()


def _heading(line: _Line, repeated: frozenset[str]) -> str | None:
    """Return the title that a line is; None where it is none."""
    text = line.text
    if marked := _MARKDOWN.fullmatch(text):
        return _plain(marked[1])
    if len(text) > SHORT or _numberless(text) in repeated or _CAPTION.match(text):
        return None
    title = _plain(text)
    if _SKIPPED.fullmatch(title) or _OPENING.fullmatch(title):
        return title
    if _NUMBERED.fullmatch(text) and line.opens and _is_worded(title):
        return title
    return title if line.opens and line.closes and _is_title(text.strip("*_ ")) else None


def _plain(title: str) -> str:
    return _NUMBERING.sub("", title.strip("*_ "), count=1).strip(" .:*_")


def _is_title(text: str) -> bool:
    """Return whether a line that stands alone looks like a title: short, no sentence, no formula."""
    words = text.split()
    letters = sum(character.isalpha() or character == " " for character in text)
    return (
        0 < len(words) <= 10
        and text[0].isupper()
        and not _END.search(text)
        and letters >= 0.85 * len(text)
        and len(_WORD.findall(text)) > 0
    )


def _is_worded(title: str) -> bool:
    """Return whether a numbered line is a title and no row of a table."""
    words = title.split()
    return (
        len(words) <= 12 and bool(_WORD.match(words[0])) and sum(map(str.isdigit, title)) < 0.4 * len(title)
    )


def _is_strong(line: _Line) -> bool:
    """Return whether a heading ends a part that is skipped: a title alone may be one of a reference."""
    text = line.text
    is_known = bool(_OPENING.fullmatch(_plain(text)) or _SKIPPED.fullmatch(_plain(text)))
    return bool(_MARKDOWN.fullmatch(text) or _NUMBERED.fullmatch(text)) or is_known


def _reason(line: _Line, repeated: frozenset[str]) -> str:
    """Return why a line is no text to ask about; "" when it is."""
    text = line.text
    if _numberless(text) in repeated:
        return "page headers"
    if text.startswith("<!--") or text.startswith("```"):
        return "markup"
    if text.startswith("|") or _is_row(text):
        return "tables and rows of numbers"
    if _DOTS.search(text[-80:]):
        return "contents"
    if _CAPTION.match(text):
        return "captions"
    if _ADDRESS.search(text) and len(text.split()) < 60:
        return "addresses"
    if _BY_NAME.match(text) or (len(_CITED.findall(text)) >= 2 and _REFERENCE.match(text)):
        return "references"
    if _is_names(text):
        return "authors"
    if is_of_other_script(text):
        return NOT_ENGLISH
    return "" if _is_prose(line) else "fragments"


def _is_row(text: str) -> bool:
    words = text.split()
    numbers = sum(any(map(str.isdigit, word)) for word in words)
    return numbers > 0.4 * len(words) and not (len(words) > 12 and _END.search(text))


def _is_names(text: str) -> bool:
    """Return whether a line is a list of names: most words have a capital, many a comma."""
    words = text.split()
    capitals = sum(word[0].isupper() for word in words)
    return len(words) >= 8 and capitals > 0.7 * len(words) and text.count(",") >= 0.25 * len(words)


def _is_prose(line: _Line) -> bool:
    """Return whether a line is written in sentences, or is the middle of some."""
    text = line.text
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if letters < 0.7 * len(text):
        return False
    words = len(_WORD.findall(text))
    if words >= 12:
        return True
    # Short lines: an item of a list, or a line of a hard-wrapped paragraph.
    return words >= 4 and (bool(_END.search(text)) or not (line.opens and line.closes))
