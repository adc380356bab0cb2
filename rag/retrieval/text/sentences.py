"""Sentences of texts, split by rule, with their offsets.

Every pattern is possessive, or is bounded, where a hostile text could make it go back over itself.
"""

# ruff: noqa: RUF001 - quotes, dashes and stops of every kind end sentences

from __future__ import annotations

import re
from dataclasses import dataclass

from rag_evals.rag.retrieval.text.abbreviations import (
    COUNTED,
    OFTEN,
    WITHIN,
    belongs_to_country,
    is_country,
)
from rag_evals.rag.retrieval.text.blocks import Block, split_blocks

CLOSERS = "\"'”’»›)\\]}」』】）*_`"

# A run of stops with all that belongs to the sentence before: quotes, brackets, and citations, unless the
# citation is the subject of what follows ("[3] shows that").
_CITATION = (
    r"(?:\[(?=[^]\d]{0,40}\d)[^][]{1,80}\]|\([^()]{0,80}\b(?:19|20)\d\d[a-z]?\)|【[^】]{1,80}】"
    r"|\((?:[Ss]ources?: |see |[^()\s]{1,60}\.(?:pdf|md|html?|docx?)\b)[^()]{0,80}\))"
)
_WIDE = "。！？।॥"  # end a sentence wherever they stand
_STOP = re.compile(
    rf"([.!?…؟۔{_WIDE}]++|:-?\)(?=\s))[{CLOSERS}]*+(?:[ \u00a0\u202f]»)?"
    rf"(?:\s*+{_CITATION}(?![\w(]|\s++[a-z]))*+"
)
_AFTER = re.compile(r"\s++[\"'“‘«‹(\[{*_`¿¡]{0,9}+(\w*+)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
# "「…。」と言った": what was said goes on to who said it.
_QUOTED = re.compile(r"[」』”’\"]\s?(?:と|って|[他她它]?(?:说|問|问|道))")

_NUMBERING = re.compile(r"\s*+[*_]{0,3}(?:(?:Figure|Table|Step|Part|Phase|Stage) )?\d{1,2}(?:\.\d{1,3}){0,3}")
# A number that is the first of what follows ("the steps are: 1. Open"); an ordinal of a German date or name.
_COUNTS_ON = re.compile(r"(?<!\d)[:;,：；，]\s?[(\"'„«]?\d{1,2}\Z")
_ORDINAL = re.compile(
    r"\b(?:[Aa]m|[Ii]m|[Vv]om|[Zz]um|beim|[Dd]e[rmns]|[Dd]ie|[Dd]as|[Aa]b|[Ss]eit|\d{1,2}\.) \d{1,2}\Z"
)
_MONTH = re.compile(
    r"Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert|\d"
)
_TOKEN = re.compile(r"(?<![\w°])(?<!\w-)(?:[^\W\d_]|[\u0900-\u0963])+(?:\.(?:[^\W\d_]|-)+)*\Z|[§№]\Z")
_INITIALS = re.compile(r"[^\W\d_](?:\.-?[^\W\d_])+")
_COUNT = re.compile(r"\w*\d|[IVXLC]{1,}\b|[a-z]\b")
# He is also a name ("K. He et al."), and A an initial ("Q. A. Jiang").
_STARTER = re.compile(
    r"(?:The|Let|It|Its|This|That|These|Those|There|In|On|For|If|When|While|However|But|And|Each|Both|We|They|She"
    r"|Their|A(?!\.)|He(?!,|\s+(?:et|and|&)\s)|Der|Die|Das|Ein|Eine|Er|Sie|Es|Le|La|Les|Il|Elle|El|Los|Las|Lo|Un"
    r"|Una|Une|Los|I(?!\.)|Gli|В(?!\.)|Он|Она|Оно|Они|Это)\b"
)
# "sold in the U.K. Sales rose": what is spoken of there is the country, not something of it.
_FROM = re.compile(r"\b(?:in|from|of|to|for|by|with|at|across|outside|within|leaving) (?:the )?[\w.]+\Z")
# A name that begins in lower case ("iPads are not"); a sentence that follows without a blank ("used.Each").
_NAME = re.compile(r"[a-z]{1,2}[A-Z][a-z]")
_GLUED = re.compile(rf"(?<![.\w/@])[A-Za-z]{{2,20}}\.(?={_STARTER.pattern} [a-z])")


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
        if _ends(text, begin, end, stop):
            spans.append(stripped(text, begin, stop.end()))
            begin = stop.end()
    spans.append(stripped(text, begin, end))
    return [span for span in spans if span.text]


def _ends(text: str, begin: int, end: int, stop: re.Match[str]) -> bool:
    """Whether a run of stops ends the sentence that starts at `begin`, in a block that goes to `end`."""
    if stop[1][-1] in _WIDE:
        return not _QUOTED.match(text, stop.end(1), end)
    if stop[1][-1] == "…" and _UNSPACED.match(text, stop.end(), end):
        return True
    after = _AFTER.match(text, stop.end(), end)
    if after is None:
        return stop[0] == "." and bool(_GLUED.match(text, _word_before(text, begin, stop.start()), end))
    if after[1][:1].islower() and not _NAME.match(after[1]):
        return False
    if stop[1] != ".":
        return True
    # "**1. Router:** ...", "2.1. Experts", "Table 1. Sizes": the number belongs to what it numbers.
    if _NUMBERING.fullmatch(text, begin, stop.start()):
        return False
    before = text[max(begin, stop.start() - 12) : stop.start()]
    if before[-1:].isdigit():
        is_ordinal = _ORDINAL.search(before) and (_MONTH.match(after[1]) or not _STARTER.match(after[1]))
        return not (_COUNTS_ON.search(before) or is_ordinal)
    return not _abbreviates(text, stop.start(), after)


def _word_before(text: str, start: int, dot: int) -> int:
    at = dot
    while at > max(start, dot - 20) and text[at - 1].isalnum():
        at -= 1
    return at


def _abbreviates(text: str, dot: int, after: re.Match[str]) -> bool:
    """Whether the period at `dot` belongs to an abbreviation and does not end the sentence as well."""
    found = _TOKEN.search(text, max(0, dot - 12), dot)
    token = found[0] if found else ""
    if token in COUNTED and (_COUNT.match(after[1]) or after[1] in COUNTED):
        return True
    if token == "min" and found and text[max(0, found.start() - 2) : found.start()].strip().isdigit():
        return False  # minutes
    if token in WITHIN or (len(token) == len(after[1]) == 1 and text.startswith(".", after.end(1))):
        return True
    starts = bool(_STARTER.match(text, after.start(1)))
    if is_country(token):
        return not starts and (belongs_to_country(after[1]) or not _FROM.search(text, max(0, dot - 24), dot))
    is_initial = (len(token) == 1 and token.isupper()) or bool(_INITIALS.fullmatch(token))
    return (token in OFTEN or is_initial) and not starts


def stripped(text: str, start: int, end: int) -> TextSpan:
    """Return the span from `start` to `end` without the blanks around it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return TextSpan(piece.strip(), start, start + len(piece.strip()))
