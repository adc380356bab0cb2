"""Proper names in a text, as far as their letters tell: "Mixtral 8x7B", "ColBERT", "Natural Questions"."""

from __future__ import annotations

import re

from evals.claims import split_sentences

_RUN = re.compile(r"\b[A-Z][\w-]*(?:[ ][A-Z\d][\w.-]*)*|\b[a-z]+[A-Z]\w*")
_SURE = re.compile(r"[A-Z\d]")


def names_in(text: str) -> tuple[str, ...]:
    """Give the names in `text`, each once, in order.

    A capital letter at the beginning of a sentence makes none: there it takes another one, or a digit.
    """
    found = [name for span in split_sentences(text) for name in _names(span.text)]
    return tuple(dict.fromkeys(found))


def _names(sentence: str) -> list[str]:
    names = []
    for match in _RUN.finditer(sentence):
        words = match[0].split()
        if match.start() == 0 and not _SURE.search(words[0][1:]):
            words = words[1:]
        if words and not words[0].isdigit():
            names.append(" ".join(words).rstrip(".,"))
    return names
