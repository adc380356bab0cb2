"""Windows: what of the contexts a trained judge reads at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag_evals.rag.answer import Context
from rag_evals.rag.retrieval.entailment import Form
from rag_evals.rag.retrieval.text.sentences import split_sentences

Count = Callable[[str], int]
Piece = tuple[int, int]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Window:
    """What is read at once: its text as the judge reads it, and the pieces of contexts that are in it."""

    text: str
    parts: tuple[Context, ...]

    def closest(self, claim: str) -> Context:
        """Return the piece that has most words of `claim`, of equal ones the first."""
        words = _words(claim)
        return max(self.parts, key=lambda part: len(words & _words(part.text)))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def windows_for(
    form: Form, premises: Sequence[Context], question: str, room: int, count: Count
) -> list[Window]:
    """Cut and join contexts into windows as the judge's form has it.

    Args:
        form: Says whether passages are read together, and how long its makers let a premise be.
        premises: The contexts.
        question: What was asked.
        room: Tokens that are left to passages.
        count: Counts the tokens of a text; it is called anew for each window.
    """
    if not form.joins:
        return [Window(part.text, (part,)) for one in premises for part in context_windows(one, room, count)]
    around = count(form.premise([], question))
    most = min(room, form.window_tokens or room)

    def size(*texts: str) -> int:
        # Words count as the tokens that they may take: both bounds are one.
        words = sum(len(text.split()) for text in texts)
        by_words = math.ceil(words * most / form.window_words) if form.window_words else 0
        return max(count(form.premise(texts, question)) - around, by_words)

    groups: list[list[Context]] = []
    for part in (part for one in premises for part in context_windows(one, most, size)):
        if groups and size(*(each.text for each in groups[-1]), part.text) <= most:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [Window(form.premise([part.text for part in group], question), (*group,)) for group in groups]


def context_windows(context: Context, room: int, count: Count) -> Iterator[Context]:
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
