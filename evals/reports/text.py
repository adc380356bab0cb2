"""Lines no wider than a terminal: text wrapped, cut and aligned by the columns that it takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.verdict import Verdict

# Columns of a terminal that does not tell its width.
UNBOUNDED = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a report.

    Attributes:
        text: The line.
        verdict: The verdict that it tells, by which it is coloured; None for another line.
    """

    text: str
    verdict: Verdict | None = None


def display_width(text: str) -> int:
    """Return the columns that `text` takes in a terminal; where terminals differ, the larger number.

    East Asian wide characters take two, combining ones none.
    """
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def one_line(text: str) -> str:
    """Return `text`, which may quote a document or a model, as one line fit for a terminal."""
    return printable(" ".join(text.split()))


def cut(text: str, columns: int) -> str:
    """Return as much of `text` as goes into `columns`, with an ellipsis where something is left out."""
    if display_width(text) <= columns:
        return text
    return f"{_head(text, columns - 1)}…" if columns > 0 else ""


def padded(text: str, columns: int) -> str:
    """Return `text` with blanks behind it, so that it takes `columns`."""
    return text + " " * (columns - display_width(text))


def wrapped(text: str, columns: int, *, first: str = "", rest: str = "") -> list[str]:
    """Break `text` between words, and within words that are longer than a line.

    Args:
        text: One line.
        columns: Most columns of a line.
        first: What the first line begins with.
        rest: What the others begin with.
    """
    room = max(8, columns - max(display_width(first), display_width(rest)))
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if display_width(joined) <= room:
            line = joined
            continue
        lines += [line] if line else []
        start = 0
        # No more of the word is looked at than a line may hold: a word may be very long.
        while len(piece := _head(word[start:], room)) < len(word) - start:
            lines.append(piece)
            start += len(piece)
        line = piece
    lines += [line] if line or not lines else []
    return [f"{rest if n else first}{line}".rstrip() for n, line in enumerate(lines)]


def table(rows: Sequence[Sequence[str]], columns: int, *, left: int) -> list[str]:
    """Return the lines of `table_rows`, one row after the other."""
    return [line for lines in table_rows(rows, columns, left=left) for line in lines]


def table_rows(rows: Sequence[Sequence[str]], columns: int, *, left: int) -> list[list[str]]:
    """Align `rows`, the first being the header; where there is no room, a row becomes a paragraph.

    Args:
        rows: Cells of one line each, every row as long as the first.
        columns: Most columns of a line.
        left: How many of the first cells are text: aligned to the left, and cut where that is enough.

    Returns:
        The lines of each row; the header has none where rows are paragraphs.
    """
    widths = widths_of(rows)
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        longest = max(range(left), key=lambda n: widths[n])
        if widths[longest] <= max(12, display_width(rows[0][longest])):
            return [[], *(_paragraph(rows[0], row, columns, left) for row in rows[1:])]
        widths[longest] -= 1
    fitting = [[cut(cell, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return [[line] for line in aligned(fitting, left=left)]


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return a line a row: cells padded to the widest of their column, the first `left` to the left."""
    widths = widths_of(rows)
    return [_line(row, widths, left) for row in rows]


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns that the widest cell of each place takes."""
    return [max(map(display_width, cells)) for cells in zip(*rows, strict=True)]


def _line(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = [
        padded(cell, width) if n < left else " " * (width - display_width(cell)) + cell
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _paragraph(header: Sequence[str], row: Sequence[str], columns: int, left: int) -> list[str]:
    said = [f"{name} {cell}" for name, cell in zip(header[left:], row[left:], strict=True) if cell]
    return [
        *wrapped(" ".join(row[:left]), columns),
        *wrapped(", ".join(said), columns, first="  ", rest="  "),
    ]


def _head(text: str, columns: int) -> str:
    """Return the longest beginning of `text` that goes into `columns`."""
    taken = 0
    for n, character in enumerate(text):
        taken += _columns(character)
        if taken > columns:
            return text[:n]
    return text


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


# What would hide or turn around the text beside it: control characters, but for line ends and tabs, and
# embeddings, overrides and isolates of direction.
_TRICKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def visible_text(text: object) -> str:
    """Return text without characters that hide what stands beside them or turn it around."""
    return _TRICKS.sub(_REPLACEMENT, str(text))
