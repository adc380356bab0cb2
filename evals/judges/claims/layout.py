"""Layout that claims nothing: lists of sources, labels, links; and the rows of a table as sentences."""

# ruff: noqa: RUF001 - colons and dashes of every kind

from __future__ import annotations

import re

from rag_evals.evals.judges.claims.small_talk import plain

_SOURCES = (
    r"(?:sources?|references?|citations?|bibliography|works cited|further reading|quellen?(?:angaben?)?"
    r"|références|fuentes|参考文献|参考资料|来源|出典|स्रोत|संदर्भ|المصادر|المراجع)(?: used| cited)?"
)
_SOURCES_TITLE = re.compile(_SOURCES)
_SOURCES_LINE = re.compile(rf"\W{{0,8}}{_SOURCES}\W{{0,4}}[:：]\W{{0,4}}", re.IGNORECASE)
_FOOTNOTE = re.compile(r"(?:\[\^?\d{1,3}\]|[¹²³⁴⁵⁶⁷⁸⁹⁰†‡]{1,3}):?\s")
# What names a place where something is written.
_PLACE = re.compile(
    r"\[[^][]{1,80}\]\([^()\s]{1,300}\)|\[\^?\d{1,3}\]|https?://\S{1,500}|www\.\S{1,500}|\barxiv:\S+|\bdoi:\S+"
    r"|[\w-]{1,80}\.(?:pdf|md|html?|docx?|txt|csv|tsv|pptx?|xlsx?|epub|json|xml)\b"
    r"|\b(?:pp?\.|pages?|sections?|chapters?|passages?|documents?|sources?|chunks?|seite|s\.) ?"
    r"\d+(?:[-–]\d+)?",
    re.IGNORECASE,
)
_LINKS = re.compile(rf"(?:\W*(?:{_PLACE.pattern}))+\W*", re.IGNORECASE)
_CONFIDENCE = re.compile(
    r"(?:confidence|certainty)(?: level| score)?: ?(?:(?:very )?(?:high|medium|moderate|low|certain)"
    r"|[\d.]{1,6} ?%?(?: ?(?:/|out of) ?\d{1,3})?)"
)
_YEAR = re.compile(r"\b(?:19|20)\d\d[a-z]?\b")
_CAPTION = re.compile(r"(?:table|figure|fig\.?) \d{1,3}[:.]?(?: [^\W\d_-]+){1,6}")
# Words beside a place that still only name it: the title of a paper, "for details, see".
_NAMES = 6
_NUMBERED = re.compile(
    r"(?:step|part|section|chapter|option|phase|question|answer|point|day|week|level|figure|table|q|a)"
    r" ?(?:\d{1,3}|[ivx]{1,4}|[a-d])"
)


def is_sources_title(text: str) -> bool:
    """Whether `text` announces a list of sources."""
    return bool(_SOURCES_TITLE.fullmatch(plain(text).strip(" :：#")))


def names_sources(text: str) -> bool:
    """Whether `text` only says where something is written: "Sources: [1] a.pdf", "[2] b.pdf", a link."""
    label = _SOURCES_LINE.match(text)
    if label:
        return all(_is_reference(line) for line in text[label.end() :].splitlines() if line.strip())
    if _LINKS.fullmatch(text):
        return True
    return bool(_FOOTNOTE.match(text)) and bool(_PLACE.search(text[2:])) and _is_reference(text)


def is_reference(text: str) -> bool:
    """Whether `text`, below a title of sources, is one of them."""
    return all(_is_reference(line) for line in text.splitlines() if line.strip())


def _is_reference(line: str) -> bool:
    words = re.findall(r"[^\W\d_]{2,}", _PLACE.sub(" ", line))
    named = sum(word[0].isupper() for word in words)
    if _PLACE.search(line):
        return len(words) <= _NAMES or 2 * named >= len(words)
    share = 2 if _YEAR.search(line) else 1.5
    return 0 < len(words) <= 2 * _NAMES and share * named >= len(words)


def is_label(text: str) -> bool:
    """Whether `text` is a label that claims nothing of the matter: "Confidence: high", "Table 1: Fees"."""
    said = plain(text)
    is_caption = text.lstrip("*_ ").startswith(("Table", "Figure", "Fig")) and not text.rstrip().endswith(".")
    return bool(_CONFIDENCE.fullmatch(said) or (is_caption and _CAPTION.fullmatch(said)))


def is_numbered(text: str) -> bool:
    """Whether `text` is the title of one of several: "Step 1"."""
    return bool(_NUMBERED.fullmatch(plain(text).strip(" :：#")))


def cells_of(row: str) -> list[str]:
    """Return the cells of a table's row, without the marks around them."""
    inner = row.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().strip("*_`") for cell in inner.split("|")]


def read_row(row: str, header: list[str]) -> str:
    """Return a table's row as it is read with its header: "Model: Mixtral; Experts: 8"."""
    cells = cells_of(row)
    if len(header) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    pairs = zip(header, cells, strict=True)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
