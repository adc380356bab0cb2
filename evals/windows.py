"""Windows: a context in overlapping stretches of as many tokens as a model reads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evals.claims import split_sentences
from rag.answer import Context

Count = Callable[[str], int]
Piece = tuple[int, int]


def windows_of(context: Context, room: int, count: Count) -> Iterator[Context]:
    """Cut a context into windows of at most `room` tokens, of whole sentences where they fit.

    Each shares its last sentence with the next one, unless that has no room for both it and a new one.

    Args:
        context: What is cut; where it has offsets, each window has its own.
        room: Tokens of a window.
        count: Counts the tokens of a text; it is called anew for each window.
    """
    text = context.text
    pieces = [
        piece for span in split_sentences(text) for piece in _fitting(text, span.start, span.end, room, count)
    ]
    sizes = [count(text[start:end]) for start, end in pieces]
    first = 0
    while first < len(pieces):
        last, size = first, sizes[first]
        while last + 1 < len(pieces) and size + sizes[last + 1] <= room:
            last += 1
            size += sizes[last]
        # What stands between two sentences, the marker of a list say, has tokens as well.
        while last > first and count(text[pieces[first][0] : pieces[last][1]]) > room:
            last -= 1
        yield context.part(pieces[first][0], pieces[last][1])
        if last + 1 == len(pieces):
            return
        shares = last > first and sizes[last] + sizes[last + 1] <= room
        first = last if shares else last + 1


def _fitting(text: str, start: int, end: int, room: int, count: Count) -> Iterator[Piece]:
    """Halve a sentence, between words where there are some, until each part has at most `room` tokens."""
    if end - start < 2 or count(text[start:end]) <= room:
        yield start, end
        return
    middle = (start + end) // 2
    spaces = (n for n in range(start + 1, end - 1) if text[n].isspace())
    space = min(spaces, key=lambda n: abs(n - middle), default=None)
    yield from _fitting(text, start, middle if space is None else space, room, count)
    yield from _fitting(text, middle if space is None else space + 1, end, room, count)
