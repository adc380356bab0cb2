"""The words of a claim that the passages do not have."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import islice

from rag_evals.evals.judges.claims.words import stems

# Chosen on sentences with spans that people marked; what they are worth is in docs/decisions/0005.
LEAST_GAIN = 2.0
LEAST_LIKELIHOOD = -3.0
# More than these tell nothing that the claim itself does not.
MOST_WORDS = 6
_WORD = re.compile(r"[^\W_]+(?:['\u2019.,:/-][^\W_]+)*")


def missing_words(text: str, known: Container[str]) -> tuple[str, ...]:
    """Return the words of `text` that are not found among the stems of the passages, each once, in order.

    How much likelier the passages make a word to the model tells no better which words people mark: of the
    words named so 0.80 were within people's marks on sources that were left out, of those that are not found
    0.85, of content words at random 0.83 (docs/decisions/0005).
    """
    words = (word[0] for word in _content_words(text))
    return _first(word for word in words if any(stem not in known for stem in stems(word)))


def _content_words(text: str) -> Iterator[re.Match[str]]:
    return (word for word in _WORD.finditer(text) if stems(word[0]))


def _first(words: Iterator[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys(words), MOST_WORDS))
