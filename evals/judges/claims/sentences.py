"""Sentences of texts, split by rule, with their offsets.

Every pattern is possessive, or is bounded, where a hostile text could make it go back over itself.
"""

# ruff: noqa: RUF001 - quotes, dashes and stops of every kind end sentences

from __future__ import annotations

import re
from dataclasses import dataclass

from rag_evals.evals.judges.claims.blocks import Block, split_blocks

CLOSERS = "\"'”’»›)\\]}」』】）*_`"

# A run of stops with all that belongs to the sentence before: quotes, brackets, and citations, unless the
# citation is the subject of what follows ("[3] shows that").
_CITATION = r"(?:\[(?=[^]\d]{0,40}\d)[^][]{1,80}\]|\([^()]{0,80}\b(?:19|20)\d\d[a-z]?\)|【[^】]{1,80}】)"
_STOP = re.compile(rf"([.!?…。！？]++)[{CLOSERS}]*+(?:\s*+{_CITATION}(?![\w(]|\s++[a-z]))*+")
_AFTER = re.compile(r"\s++[\"'“‘«‹(\[{*_`]{0,9}+(\w*+)")

_NUMBERING = re.compile(r"[*_]{0,3}(?:(?:Figure|Table) )?\d{1,2}(?:\.\d{1,3}){0,3}")
_TOKEN = re.compile(r"(?<!\w)(?<!\w-)[^\W\d_]+(?:\.[^\W\d_]+)*\Z")
_WITHIN = re.compile(r"Mrs?|Ms|Dr|Prof|St|vs|[Ee]\.g|[Ii]\.e|[Cc]f|[Aa]pprox|[Cc]a|[Rr]esp")
# These need their number behind them: "the answer is no. The router" ends.
_COUNTED = re.compile(r"[Ff]igs?|[Ee]qs?|[Ss]ec|[Tt]ab|[Nn]os?|[Vv]ol|pp?")
_COUNT = re.compile(r"\w*\d|[IVXLC]{2,}\b")
# These may end a sentence, and do where the next word can only begin one.
_OFTEN = re.compile(
    r"etc|al|Ph\.D|Inc|Ltd|Co|Corp|[JS]r|Jan|Feb|Mar|Apr|Ju[nl]|Aug|Sept?|Oct|Nov|Dec"
    r"|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]"
)
# He is also a name ("K. He et al."), and A an initial ("Q. A. Jiang").
_STARTER = re.compile(
    r"(?:The|Let|It|Its|This|That|These|Those|There|In|On|For|If|When|While|However|But|And|Each|Both|We|They|She"
    r"|Their|A(?!\.)|He(?!,|\s+(?:et|and|&)\s))\b"
)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of a text: `text == whole[start:end]`."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> tuple[TextSpan, ...]:
    """Return the sentences, headings, list items and table rows of `text`, in order and without overlap.

    Whitespace, list markers, heading marks, rules and code fences lie outside; all else is in a span. Takes
    time linear in the text's length.
    """
    return tuple(span for block in split_blocks(text) for span in sentences_of(text, block))


def sentences_of(text: str, block: Block) -> list[TextSpan]:
    """Return the sentences of one block of `text`."""
    start, end = block.start, block.end
    spans, begin = [], start
    for stop in _STOP.finditer(text, start, end):
        if _ends(text, start, end, stop):
            spans.append(stripped(text, begin, stop.end()))
            begin = stop.end()
    spans.append(stripped(text, begin, end))
    return [span for span in spans if span.text]


def _ends(text: str, start: int, end: int, stop: re.Match[str]) -> bool:
    """Whether a run of stops in the block from `start` to `end` ends a sentence."""
    if stop[1][-1] in "。！？":
        return True
    after = _AFTER.match(text, stop.end(), end)
    if after is None or after[1][:1].islower():
        return False
    if stop[1] != ".":
        return True
    # "**1. Router:** ...", "2.1. Experts", "Table 1. Sizes": the number belongs to what it numbers.
    return not (_NUMBERING.fullmatch(text, start, stop.start()) or _abbreviates(text, stop.start(), after))


def _abbreviates(text: str, dot: int, after: re.Match[str]) -> bool:
    """Whether the period at `dot` belongs to an abbreviation and does not end the sentence as well."""
    found = _TOKEN.search(text, max(0, dot - 12), dot)
    token = found[0] if found else ""
    if _COUNTED.fullmatch(token):
        return bool(_COUNT.match(after[1]))
    if _WITHIN.fullmatch(token):
        return True
    return bool(_OFTEN.fullmatch(token)) and not _STARTER.match(text, after.start(1))


def stripped(text: str, start: int, end: int) -> TextSpan:
    """Return the span from `start` to `end` without the blanks around it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return TextSpan(piece.strip(), start, start + len(piece.strip()))
