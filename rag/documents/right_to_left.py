"""Arabic and Hebrew lines of a PDF in reading order, where the file has them as they look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

# A piece of text that was drawn at one place: its text, in the order in which it is read, x and y in points.
Piece = tuple[str, float, float]

_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_BLANK_BEFORE_END = re.compile(r"\s+(?=[.,:;!?)\]}%\u060c\u061b\u061f\u06d4])")


def is_right_to_left(text: str) -> bool:
    """Return whether there are letters in it that are written from right to left."""
    return bool(_RIGHT_TO_LEFT.search(text))


def in_reading_order(pieces: Sequence[Piece]) -> str:
    """Return the text of a page, pieces of its right-to-left lines turned around where they go rightwards.

    Some programs draw such a line piece by piece from its left end, others as it is read. Numbers and Latin
    words go from left to right within it.
    """
    return "\n".join(
        _turned(line) if _is_mostly_right_to_left(line) and _goes_rightwards(line) else _joined(line)
        for line in _lines(pieces)
    )


def _lines(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    line: list[Piece] = []
    for text, x, y in pieces:
        first, *others = text.split("\n")
        line.append((first, x, y))
        for other in others:
            yield line
            line = [(other, x, y)]
    yield line


def _joined(line: Sequence[Piece]) -> str:
    return "".join(text for text, _, _ in line)


def _is_mostly_right_to_left(line: Sequence[Piece]) -> bool:
    letters = "".join(filter(str.isalpha, _joined(line)))
    return len(_RIGHT_TO_LEFT.findall(letters)) * 2 > len(letters)


def _goes_rightwards(line: Sequence[Piece]) -> bool:
    words = [piece for piece in line if piece[0].strip()]
    steps = [after[1] - before[1] for before, after in pairwise(words)]
    return sum(step > 0 for step in steps) > len(steps) / 2


def _turned(line: Sequence[Piece]) -> str:
    runs: list[str] = []
    for text, _, _ in line:
        if not _is_latin(text) or not runs:
            runs.append(text)
        elif _is_latin(runs[-1]):
            runs[-1] += text
        elif len(runs) > 1 and not runs[-1].strip() and _is_latin(runs[-2]):
            runs[-2:] = [runs[-2] + runs[-1] + text]
        else:
            runs.append(text)
    return _BLANK_BEFORE_END.sub("", "".join(reversed(runs)))


def _is_latin(text: str) -> bool:
    return any(map(str.isalnum, text)) and not is_right_to_left(text)
