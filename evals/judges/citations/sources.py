"""The sources that an answer lists: footnotes and what stands below "Sources:", by their labels."""

# ruff: noqa: RUF001 - colons of every kind introduce

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rag_evals.evals.judges.citations.places import Documents, numbers_in, place_within, places_in
from rag_evals.evals.judges.claims.layout import is_reference, is_sources_title, names_sources
from rag_evals.rag.answer import Citation

_FOOTNOTE = re.compile(r"[ \t]{0,3}\[\^([^\]\[\s]{1,40})\]:[ \t]*(.*)")
_ENTRY = re.compile(r"[ \t]{0,8}(?:[-*•][ \t]+)?(?:\[(\d{1,3})\]([:.]?)|(\d{1,3})[.)])[ \t]+(\S.*)")
_BULLET = re.compile(r"[ \t]{0,8}[-*•][ \t]+")
_SAID = re.compile(
    r"\W{0,8}(?:sources?|references?|citations?|quellen?|fuentes?|参考文献|来源|出典)(?: used| cited)?"
    r"\W{0,4}?[:：][\s*_]{0,4}",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\[(\d{1,3})\]")


@dataclass(slots=True)
class Sources:
    """What an answer lists as its sources.

    Attributes:
        labels: The place that each label names; None where it is a note that names none.
        listed: The places in the order of the list.
        lines: Start and end of each line of the list, which claims nothing.
    """

    labels: dict[str, Citation | None] = field(default_factory=dict)
    listed: list[Citation] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)

    def add(self, label: str, text: str, documents: Documents) -> None:
        """Add an entry; the first with a label counts."""
        place = place_within(text, documents)
        # "[1] Jiang et al.: Mixtral of Experts" names none of the documents: the number may be a passage's.
        if label.isdecimal() and place is None:
            place = Citation(contexts=(int(label) - 1,)) if int(label) else None
        if place:
            self.listed.append(place)
        self.labels.setdefault(label, place)


def read_sources(text: str, documents: Documents) -> Sources:
    """Read the list of sources of an answer, and its footnotes, wherever they stand."""
    found = Sources()
    in_list = False
    for start, line in _lines(text):
        is_of_list, in_list = _read_line(line, found, documents, in_list=in_list)
        if is_of_list:
            found.lines.append((start, start + len(line)))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


def _read_line(line: str, found: Sources, documents: Documents, *, in_list: bool) -> tuple[bool, bool]:
    """Return whether a line is of the list, and whether what follows may be."""
    if footnote := _FOOTNOTE.match(line):
        place = place_within(footnote[2], documents)
        found.labels.setdefault(f"^{footnote[1]}", place)
        return True, in_list
    if not line.strip():
        return False, in_list
    if is_sources_title(line):
        return True, True
    entry = _ENTRY.match(line)
    # "[1]: https://…" defines a label wherever it stands.
    is_entry = entry and (entry[2] == ":" or _names_one(line, entry, documents))
    if entry and (in_list or is_entry):
        found.add(entry[1] or entry[3], entry[4], documents)
        return True, in_list
    if names_sources(line) and (said := _SAID.match(line)):
        _read_said(line[said.end() :], found, documents)
        return True, True
    if in_list and is_reference(line):
        found.listed += places_in(_BULLET.sub("", line, count=1), documents)
        return True, True
    return False, False


def _names_one(line: str, entry: re.Match[str], documents: Documents) -> bool:
    """Return whether a line outside of a list is an entry of one: it names a document, and says no more."""
    return bool(entry[1] and names_sources(line) and place_within(entry[4], documents))


def _read_said(text: str, found: Sources, documents: Documents) -> None:
    """Read what stands behind "Sources:" on its line."""
    places = places_in(text, documents)
    if places:
        found.listed += places
        return
    if not _NUMBERED.search(text) and (place := place_within(text, documents)):
        found.listed.append(place)
    parts = _NUMBERED.split(text)
    named = list(zip(parts[1::2], parts[2::2], strict=True))
    for label, said in named:
        if any(map(str.isalnum, said)):
            found.add(label, said, documents)
        else:
            found.listed += [Citation(contexts=(number - 1,)) for number in numbers_in(label) or ()]


def place_of(label: str, labels: Mapping[str, Citation | None]) -> Citation | None:
    """Return the place that a footnote's label names; without an entry the passage of that number."""
    if f"^{label}" in labels or label in labels:
        return labels.get(f"^{label}", labels.get(label))
    numbers = numbers_in(label)
    return Citation(contexts=(numbers[0] - 1,)) if numbers and len(numbers) == 1 else None
