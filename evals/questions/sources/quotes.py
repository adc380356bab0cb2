"""Where the words of a quote stand in a text that may have changed since they were taken from it.

A quote is looked for at its old place, then anywhere as it was written, then with other blanks, hyphens and
quotation marks; and apart from that, for what comes nearest to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# What is less like the quote than that is another passage: docs/question-sets.md has the measurement. With
# one word in five exchanged, one in ten left out or one in three added, 98 % of sentences are still found;
# what comes nearest to a sentence that was deleted is taken for it in 6 %.
LEAST_LIKENESS = 0.70
# Of stretches as long as the quote. Of the sentences that were found, the least like had 61; a higher bound
# makes the search for what is gone several times as fast.
_LEAST_ALIGNED = 55

How = Literal["same", "elsewhere", "reset", "changed"]


@dataclass(frozen=True, slots=True)
class QuotePlace:
    """Where the words of a quote stand now.

    Attributes:
        start: Offset of the first character.
        end: Offset behind the last one.
        how: `same` at the old place, `elsewhere` word for word, `reset` with other blanks, hyphens or
            quotation marks, `changed` when only something like it is there.
        likeness: 1.0 for the same words; else the share of characters in common order, from 0 to 1.
    """

    start: int
    end: int
    how: How
    likeness: float = 1.0


def find_quote(quote: str, text: str, start: int | None = None) -> QuotePlace | None:
    """Find the words of a quote in a text; where they stand more than once, nearest to their old place.

    That is the offset `start`; None when it is not known.
    """
    if start is not None and text.startswith(quote, start):
        return QuotePlace(start, start + len(quote), "same")
    if found := _nearest(_occurrences(quote, text), start):
        return QuotePlace(*found, "elsewhere")
    loose = [match.span() for match in _loosely(quote).finditer(text)]
    if found := _nearest(loose, start):
        return QuotePlace(*found, "reset")
    return None


def find_words(quote: str, text: str) -> QuotePlace | None:
    """Find the words that a model quotes: whatever their case and blanks, and what stands around them.

    Returns:
        The first place; None when they are not there, or the quote holds no word.
    """
    bare = quote.strip(_EDGES)
    if not bare:
        return None
    start = text.find(bare)
    if start >= 0:
        return QuotePlace(start, start + len(bare), "elsewhere")
    found = _however_set(bare).search(text)
    return QuotePlace(*found.span(), "reset") if found else None


def nearest_to(quote: str, text: str) -> QuotePlace | None:
    """Return the passage that is most like a quote; None when none is like enough to be its later form."""
    from rapidfuzz import fuzz

    aligned = fuzz.partial_ratio_alignment(quote, text, score_cutoff=_LEAST_ALIGNED)
    if aligned is None:
        return None
    place = _fitted(quote, text, aligned.dest_start, aligned.dest_end)
    return place if place.likeness >= LEAST_LIKENESS else None


def _fitted(quote: str, text: str, start: int, end: int) -> QuotePlace:
    """Move both ends of a passage from word to word to where it is most like the quote.

    The alignment gives as many characters as the quote has; words that were added are cut off by it.
    """
    from rapidfuzz import fuzz

    def likeness(start: int, end: int) -> float:
        return fuzz.ratio(quote, text[start:end]) / 100

    reach = len(quote) // 2 + 20
    # From `start` on, so that a word in which the passage begins is not cut at the search's own border.
    ends = [m.end() for m in _TOKEN.finditer(text, start, end + reach) if m.end() >= end - reach]
    end = max(ends, key=lambda e: (likeness(start, e), -e), default=end)
    starts = [m.start() for m in _TOKEN.finditer(text, max(0, start - reach), end)]
    start = max(starts, key=lambda s: (likeness(s, end), s), default=start)
    if quote[-1] in _SENTENCE_ENDS and text[end - 1] not in _SENTENCE_ENDS:
        rest = _REST.match(text, end, end + reach)
        end = rest.end() if rest else end
    return QuotePlace(start, end, "changed", likeness(start, end))


_TOKEN = re.compile(r"\S+")
_SENTENCE_ENDS = ".!?"
# What was added behind the last word that is alike, up to the end of the sentence.
_REST = re.compile(r"[^.!?\n]*[.!?](?=\s|$)")


def _occurrences(quote: str, text: str) -> list[tuple[int, int]]:
    found, start = [], text.find(quote)
    while start >= 0:
        found.append((start, start + len(quote)))
        start = text.find(quote, start + len(quote))
    return found


def _nearest(found: Sequence[tuple[int, int]], start: int | None) -> tuple[int, int] | None:
    """Return the span nearest to `start`, the first one without it."""
    return min(found, key=lambda span: abs(span[0] - (start or 0)), default=None)


# What another setting of the same words exchanges: hyphens and dashes, single and double quotation marks.
_ALIKE = (
    "-\u2010\u2011\u2012\u2013\u2014\u2212",
    "'`\u2018\u2019\u201b\u2032",
    '"\u201c\u201d\u201e\u2033\u00ab\u00bb',
)
# What a model puts around the words, or leaves away there.
_EDGES = " \t\n\"'.,;:!?\u2026"
# What may stand between two letters: blanks, soft hyphens, spaces of no width.
_BETWEEN = "\\s\u00ad\u200b"


def _loosely(quote: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join("".join(map(_one, word)) for word in quote.split()))


def _however_set(quote: str) -> re.Pattern[str]:
    letters = map(_one, re.sub(f"[{_BETWEEN}]", "", quote))
    return re.compile(f"[{_BETWEEN}]*".join(letters), re.IGNORECASE)


def _one(character: str) -> str:
    for alike in _ALIKE:
        if character in alike:
            return f"[{re.escape(alike)}]"
    return re.escape(character)
