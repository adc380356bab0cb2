"""The words of a claim that nothing in the passages speaks for.

A word is one of them when the passages hardly make it likelier and it is still unlikely behind them. A name
that is copied from a passage becomes likely there; a word that any text would go on with was likely before.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from itertools import islice

from rag_evals.evals.judges.claims.words import stems

# Chosen on sentences with spans that people marked; what they are worth is in docs/decisions/0005.
LEAST_GAIN = 2.0
LEAST_LIKELIHOOD = -3.0
# More than these tell nothing that the claim itself does not.
MOST_WORDS = 6
_WORD = re.compile(r"[^\W_]+(?:['\u2019.,:/-][^\W_]+)*")


def unsupported_words(
    text: str,
    spans: Sequence[tuple[int, int]],
    alone: Sequence[float],
    behind: Sequence[float],
    *,
    start: int = 0,
) -> tuple[str, ...]:
    """Return the words of `text` that the passages do not raise, each once, in order.

    Args:
        text: What was read.
        spans: Where in it each token stands.
        alone: Log-likelihood of each token without the passages.
        behind: The same behind the passages.
        start: Where in `text` the claim begins.
    """
    if not len(spans) == len(alone) == len(behind):
        return ()

    def is_unsupported(word: re.Match[str]) -> bool:
        tokens = [n for n, (first, end) in enumerate(spans) if first < word.end() and end > word.start()]
        likely = sum(behind[n] for n in tokens)
        return likely < LEAST_LIKELIHOOD and likely - sum(alone[n] for n in tokens) < LEAST_GAIN

    return _first(word[0] for word in _content_words(text, start) if is_unsupported(word))


def missing_words(text: str, known: Container[str]) -> tuple[str, ...]:
    """Return the words of `text` that are not found among the stems of the passages, each once, in order.

    It is what can be said where a model does not tell likelihoods.
    """
    words = (word[0] for word in _content_words(text, 0))
    return _first(word for word in words if any(stem not in known for stem in stems(word)))


def _content_words(text: str, start: int) -> Iterator[re.Match[str]]:
    return (word for word in _WORD.finditer(text, start) if stems(word[0]))


def _first(words: Iterator[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys(words), MOST_WORDS))
