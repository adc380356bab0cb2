"""Is a text English? The prompts and the rules on questions are, and small models mix languages up."""

from __future__ import annotations

import re

# English text has about 0.4 of these; German, French, Spanish or Italian text 0.02 to 0.1.
LEAST = 0.2

_WORD = re.compile(r"[^\W\d_]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the of and to a in is that for it as was with be by on not he his but at are this have from or "
        "had an they which you were their one all we can been has there when more if no would who will "
        "its do does than these into two may other some such each only also between where how most so "
        "because while both what about any then them over use used uses using after before",
    )
)


def english_share(text: str) -> float:
    """Give the share of the words of `text` that are among the most common English ones; 0 without words."""
    words = _WORD.findall(text.lower())
    return sum(word in _COMMON for word in words) / len(words) if words else 0.0


def is_english(text: str) -> bool:
    """Tell whether `text` is written in English."""
    return english_share(text) >= LEAST
