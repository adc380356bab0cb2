"""Marks of citation in the text of an answer: which brackets and raised numbers are some, by rule.

A number between brackets may as well be a year, an index, an interval or a link. It is taken for a citation
by whether it is a passage's, and by what stands around it (docs/citations.md has the rules).
"""

# ruff: noqa: RUF001 - dashes, brackets and raised digits of every kind

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag_evals.evals.judges.citations.places import LEAST_YEAR, Documents, numbers_in, places_in
from rag_evals.evals.judges.citations.sources import Sources, place_of, read_sources
from rag_evals.rag.answer import Answer, Citation

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_AS_DIGITS = str.maketrans(_RAISED, "0123456789")
_MARK = re.compile(
    r"\[\^(?P<note>[^\[\]\s]{1,40})\]"
    r"|(?P<square>\[(?P<in_square>[^\[\]\n]{1,200})\])(?P<link>\((?P<to>[^()\s]{1,400})\))?"
    r"|【(?P<in_wide>[^【】\n]{1,200})】"
    r"|\((?P<in_round>[^()\[\]\n]{1,200})\)"
    r"|<sup>\s?\[?(?P<in_sup>[\d,; ]{1,40})\]?\s?</sup>"
    rf"|(?P<raised>[{_RAISED}]{{1,3}}(?:[,˒][{_RAISED}]{{1,3}}){{0,8}})"
    r"|(?<=[.!?。] )[Ss]ources?: (?P<said>[^\n()\[\]]{1,200})(?=\n|\Z)"
)
# Nothing in code or formulas is a citation. A dollar before a number that goes on is money.
_LITERAL = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:[^\n]*\n)*?(?: {0,3}(?P=fence)[`~]*[ \t]*$|[^\n]*\Z)"
    r"|(?P<ticks>`{1,2})(?!`)[^`\n]{1,400}(?P=ticks)(?!`)"
    r"|\$\$[^$]{1,400}\$\$|\\\[(?:(?!\\\]).){1,400}\\\]|\\\((?:(?!\\\)).){1,400}\\\)"
    r"|(?<![\w$\\])\$(?=[^\s$])[^$\n]{0,200}[^\s$]\$(?![\d$])",
    re.MULTILINE | re.DOTALL,
)
# Words before brackets with numbers that say what these are.
_OF_VALUES = re.compile(
    r"(?:\b(?:intervals?|ranges?|rang(?:es?|ing)|shapes?|dimensions?|vectors?|matri(?:x|ces)|arrays?|lists?|sets?"
    r"|tuples?|sequences?|sizes?|bounds|domain|scales?|between|clipped to|normali[sz]ed to|scaled to|equals?"
    r"|tensors?|coordinates?|points?|index|indices|slice|kernel|strides?)(?: of| from| is| are)?"
    r"|\b(?:values?|numbers?|integers?|reals?|scores?|weights?|probabilit(?:y|ies)|lies?|lying|falls?|x|y|z|is|are"
    r"|bounded|uniform(?:ly)?|distributed) (?:with)?in(?: the)?|[=∈∉⊂⊆≤≥≈])\s?\Z",
    re.IGNORECASE,
)
_OF_CODE = re.compile(
    r"(?:[=∈<>]|\b(?:index|indices|shape|slice|arrays?|tensors?|vectors?|arr|argv?|args|vec|df|idx|lst|buf|tmp|obj|ptr)"
    r"(?: of| is)?)\s?\Z",
    re.IGNORECASE,
)
# What an index is attached to: a name of code, a single letter; and what may be one, or a word of a clause.
_NAME = re.compile(
    r"(?:(?<!\w)[A-Za-z]|(?<!\w)\w*_\w*|\b(?:arr|argv?|args|vec|df|idx|lst|buf|tmp|obj|ptr|nums|self)|\])\Z",
    re.IGNORECASE,
)
_MAY_BE_NAME = re.compile(
    r"(?:[A-Za-z]\w*\d\w*|\b(?:arrays?|items?|data|rows?|cols?|values?|list|dict)|\w\.\w+)\Z", re.IGNORECASE
)
_GOES_ON = re.compile(r"\s?(?:[:+*/-]?=|[\^/]\w|\*\d)|\.[a-z_]|[A-Za-z0-9_]|->|::")
_CLOSES = re.compile(r"\s{0,2}(?:[.,;:!?)。，；、]|\n|\Z|[\[【])")
_IS_BEHIND = re.compile(r"[.!?。…][\"'”’)*_]{0,3}\s{0,2}\Z")
# What a raised number may stand behind: a word that is no unit, or a stop.
_RAISED_BEHIND = re.compile(r"(?:[^\W\d_]{3,}|[.,;:!?)\"”’»。])\Z")
_UNIT = re.compile(
    r"(?:\b|\d)(?:sec|min|rad|mol|inch|feet|yd|deg|log|sin|cos|tan|exp|det|dim|var)\Z", re.IGNORECASE
)
_AROUND = 48
# What stands for a mark that is the subject of a sentence, at most as long as a mark between brackets.
_SUBJECT = "One"
_GOES_ON_LOWER = re.compile(r"\s[a-z]")


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """An answer, and what it cites.

    Attributes:
        text: The answer with a blank for each character of a mark or of a list of sources: what stands in it
            stands where it stood. A mark that is the subject of a sentence is the word "One".
        citations: What it cites, in the order of the text.
    """

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark that is one, or may be: of a number beyond the passages the other marks decide."""

    start: int
    end: int
    places: tuple[Citation, ...]
    is_number: bool = False
    is_doubtful: bool = False


def read_citations(answer: Answer) -> CitedAnswer:
    """Read what `answer` cites: what its service tells, else the marks in its text, else its list of sources.

    Takes time linear in the length of the text, and never raises. Marks are blanked whoever tells what is
    cited: they are no part of what a sentence claims.
    """
    documents = Documents(answer.contexts)
    sources = read_sources(answer.text, documents)
    marks = _certain(list(_marks(answer.text, sources, documents, len(answer.contexts))))
    text = _blanked(answer.text, [*sources.lines, *((mark.start, mark.end) for mark in marks)])
    text = _with_subjects(text, answer.text, marks)
    if answer.citations:
        return CitedAnswer(text, answer.citations)
    said = tuple(
        replace(place, start=mark.start, end=mark.end, mark=answer.text[mark.start : mark.end])
        for mark in marks
        for place in mark.places
    )
    return CitedAnswer(text, said or tuple(sources.listed))


def _blanked(text: str, places: Sequence[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in sorted(places):
        start = done if not text[done:start].strip(" ,;") and done else max(start, done)
        parts += [text[done:start], " " * (end - start)]
        done = max(done, end)
    return "".join((*parts, text[done:]))


def _with_subjects(blanked: str, text: str, marks: Sequence[_Mark]) -> str:
    """Put a word where a mark begins a sentence as its subject: "[4] shows that" is one of its own."""
    parts, done = [], 0
    for mark in marks:
        before = text[max(0, mark.start - _AROUND) : mark.start]
        is_subject = _IS_BEHIND.search(before) or not before.rpartition("\n")[2].strip(" \t-*•>")
        if is_subject and mark.end - mark.start >= len(_SUBJECT) and _GOES_ON_LOWER.match(text, mark.end):
            parts += [blanked[done : mark.start], _SUBJECT]
            done = mark.start + len(_SUBJECT)
    return "".join((*parts, blanked[done:]))


def _certain(marks: Sequence[_Mark]) -> list[_Mark]:
    """Leave out numbers beyond the passages that nothing but the brackets says to be citations."""
    cites_by_number = any(mark.is_number and not mark.is_doubtful for mark in marks)
    return [mark for mark in marks if cites_by_number or not mark.is_doubtful]


def _marks(text: str, sources: Sources, documents: Documents, count: int) -> Iterator[_Mark]:
    hidden = [*((found.start(), found.end()) for found in _LITERAL.finditer(text)), *sources.lines]
    shown = _blanked(text, hidden)
    last: _Mark | None = None
    refused = -1  # where a bracket that is none ends
    for found in _MARK.finditer(shown):
        follows = last is not None and not shown[last.end : found.start()].strip(" ,;")
        mark = None if refused == found.start() else _mark(found, sources, documents, count, follows=follows)
        if mark is None:
            refused = found.end() if found["square"] else -1
            continue
        last = mark
        yield mark


def _mark(
    found: re.Match[str], sources: Sources, documents: Documents, count: int, *, follows: bool
) -> _Mark | None:
    """Return what a match of `_MARK` is as a mark; None where it is none."""
    place = found.start(), found.end()
    if found["note"]:
        noted = place_of(found["note"], sources.labels)
        # A note that names no source cites nothing, and is no part of its sentence either.
        is_note = f"^{found['note']}" in sources.labels
        return _Mark(*place, (noted,) if noted else ()) if noted or is_note else None
    if found["square"]:
        return _square(found, sources, documents, count, follows=follows)
    if found["in_wide"]:
        return _wide(found, sources, documents, count)
    if found["in_round"]:
        return _round(found, documents)
    if found["said"]:
        said = places_in(found["said"], documents)
        return _Mark(*place, said) if said else None
    return _raised(found, sources, count)


def _square(
    found: re.Match[str], sources: Sources, documents: Documents, count: int, *, follows: bool
) -> _Mark | None:
    inside, end = found["in_square"], found.end("square")
    if found["link"]:
        numbers = numbers_in(inside)
        if numbers and max(numbers) <= count:
            return _Mark(found.start(), found.end(), _by_numbers(numbers, sources), is_number=True)
        known = documents.contexts_of(found["to"])
        return _Mark(found.start(), found.end(), (Citation(document=found["to"]),)) if known else None
    numbers = numbers_in(inside)
    if numbers is None:
        places = places_in(inside, documents)
        return _Mark(found.start(), end, places) if places else None
    return _of_numbers(found.string, (found.start(), end), numbers, sources, count, follows=follows)


def _of_numbers(
    text: str,
    place: tuple[int, int],
    numbers: tuple[int, ...],
    sources: Sources,
    count: int,
    *,
    follows: bool,
) -> _Mark | None:
    """Tell whether numbers between square brackets are a citation, by themselves and by what is around."""
    before, after = text[max(0, place[0] - _AROUND) : place[0]], text[place[1] : place[1] + 8]
    if max(numbers) >= LEAST_YEAR or _GOES_ON.match(after):
        return None
    says_values = _OF_VALUES if len(numbers) > 1 else _OF_CODE
    if not follows and (says_values.search(before) or _is_index(before, after)):
        return None
    known = [number for number in numbers if number <= count or str(number) in sources.labels]
    closes = bool(_CLOSES.match(after) or _IS_BEHIND.search(before))
    return _Mark(
        *place, _by_numbers(numbers, sources), is_number=True, is_doubtful=not (known or closes or follows)
    )


def _is_index(before: str, after: str) -> bool:
    """Return whether brackets are those of an index, by what they are attached to."""
    if not (before[-1:].isalnum() or before[-1:] in ("_", "]")):
        return False
    return bool(_NAME.search(before) or (_MAY_BE_NAME.search(before) and not _CLOSES.match(after)))


def _by_numbers(numbers: Sequence[int], sources: Sources) -> tuple[Citation, ...]:
    """Return what numbers name: the entry of the list of sources, else the passage."""
    named = [sources.labels.get(str(number)) for number in numbers]
    places = [place for place in named if place]
    passages = tuple(number - 1 for number, place in zip(numbers, named, strict=True) if place is None)
    return (*((Citation(contexts=passages),) if passages else ()), *places)


def _wide(found: re.Match[str], sources: Sources, documents: Documents, count: int) -> _Mark | None:
    """Return a mark in lenticular brackets, of which a part may name the source: `【4:0†moe.pdf】`."""
    first, _, named = found["in_wide"].partition("†")
    places = places_in(named, documents) if named else ()
    if places and places[0].document:
        return _Mark(found.start(), found.end(), places)
    numbers = numbers_in(first)
    if numbers and max(numbers) < LEAST_YEAR:
        is_doubtful = min(numbers) > count and not named
        return _Mark(found.start(), found.end(), _by_numbers(numbers, sources), True, is_doubtful)
    places = places_in(first, documents)
    return _Mark(found.start(), found.end(), places) if places else None


def _round(found: re.Match[str], documents: Documents) -> _Mark | None:
    """Return a mark in round brackets: they hold much else, so it has to name what is there, or say so."""
    inside = found["in_round"]
    places = places_in(inside, documents)
    is_said = re.match(r"\s?(?:sources?|refs?|references?|quellen?)\b", inside, re.IGNORECASE)
    is_known = all(
        place.contexts or place.page is not None or documents.contexts_of(place.document or "")
        for place in places
    )
    return _Mark(found.start(), found.end(), places) if places and (is_said or is_known) else None


def _raised(found: re.Match[str], sources: Sources, count: int) -> _Mark | None:
    text, start = found.string, found.start()
    before = text[max(0, start - _AROUND) : start]
    written = found["in_sup"] or (found["raised"] or "").translate(_AS_DIGITS).replace("˒", ",")
    numbers = numbers_in(written)
    if not numbers or not _RAISED_BEHIND.search(before) or _UNIT.search(before):
        return None
    if len(numbers) == 1 and numbers[0] > count and written.isdecimal() and found["raised"]:
        # "¹²" behind a sentence that rests on the first two.
        numbers = tuple(dict.fromkeys(map(int, written)))
    if not all(0 < number <= count or str(number) in sources.labels for number in numbers):
        return None
    return _Mark(start, found.end(), _by_numbers(numbers, sources), is_number=True)
