"""Where the words that a model quotes stand: found in the text, never taken from its word."""

# ruff: noqa: RUF001 - quotes and dashes of every kind stand in documents

from __future__ import annotations

_SAME = str.maketrans(
    dict.fromkeys("‘’‛′`", "'") | dict.fromkeys("“”„″«»", '"') | dict.fromkeys("‐‑‒–—−", "-")
)
_EDGES = " \t\n\"'.,;:!?…"


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Find `quote` in `text`: letter by letter, else whatever its case, blanks, quotation marks and dashes.

    Returns:
        Start and end in `text` of the first place; None when it is not there, or holds no word.
    """
    bare = quote.strip(_EDGES)
    if not bare:
        return None
    start = text.find(bare)
    if start >= 0:
        return start, start + len(bare)
    wanted, _ = _normalized(bare)
    given, places = _normalized(text)
    found = given.find(wanted)
    if found < 0 or not wanted:
        return None
    return places[found], places[found + len(wanted) - 1] + 1


def _normalized(text: str) -> tuple[str, list[int]]:
    """Give `text` without blanks and soft hyphens, in lower case, and where each character of that stands."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text.translate(_SAME)):
        if character.isspace() or character in "\u00ad\u200b":
            continue
        for lowered in character.lower():
            characters.append(lowered)
            places.append(place)
    return "".join(characters), places
