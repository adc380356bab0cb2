"""Repetition: where a text begins to repeat itself, as that of a model that decodes greedily may for ever.

Careful on purpose: what is said twice stays, and so do lists, tables and rows of numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

# How often the same must be said, and how long it must be: tokens in a row, or words of a sentence.
TIMES = 3
BLOCK = 12
WORDS = 6

# Up to a stop with a space or nothing behind it, or to the end of a line.
_SENTENCE = re.compile(r"[^\n]*?(?:[.!?]+(?=\s|\Z)|\n)")
_STOP = re.compile(r"[.!?\n]\s*\Z")
_LETTER = re.compile(r"[^\W\d_]")


def repeated_from(pieces: Sequence[str]) -> int | None:
    """Return where the repetition begins that a text, given as the texts of its tokens, ends with.

    That is the piece that the second of the equal runs or sentences begins with; None while there is none.
    """
    start = _block_from(pieces)
    return _sentence_from(pieces) if start is None else start


def _block_from(pieces: Sequence[str]) -> int | None:
    """Return where the second block begins, if the last pieces are `TIMES` equal blocks with words."""
    count = len(pieces)
    for size in range(BLOCK, count // TIMES + 1):
        if pieces[-1] != pieces[-1 - size]:
            continue  # which spares most of the comparing
        # Blocks are equal where each piece is the same as the one a block before it.
        second = count - (TIMES - 1) * size
        is_loop = pieces[second:] == pieces[second - size : count - size]
        if is_loop and any(map(_LETTER.search, pieces[second:])):
            # A loop begins anywhere in it: where it can be cut behind a sentence, it is.
            stops = (end for end in range(second, second + size) if _STOP.search(pieces[end - 1]))
            return next(stops, second)
    return None


def _sentence_from(pieces: Sequence[str]) -> int | None:
    """Return where the sentences begin that were all said before, if the last was said `TIMES` times."""
    if not pieces or not _STOP.search(pieces[-1]):
        return None
    text = "".join(pieces)
    found = list(_SENTENCE.finditer(text))
    if not found or text[found[-1].end() :].strip():
        return None
    # Numbers and bullets of a list are no sentences.
    said = [(match.end(), " ".join(match[0].split())) for match in found if _LETTER.search(match[0])]
    sentences = [sentence for _, sentence in said]
    last = sentences[-1] if sentences else ""
    if len(last.split()) < WORDS or sentences.count(last) < TIMES:
        return None
    first = len(said)
    while sentences[first - 1] in sentences[: first - 1]:
        first -= 1
    end = said[first - 1][0]
    return bisect_right(list(accumulate(map(len, pieces))), end)
