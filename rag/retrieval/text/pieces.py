"""Sentences as they are searched: not so short that they say nothing by themselves."""

from __future__ import annotations

from rag_evals.rag.retrieval.text.sentences import split_sentences
from rag_evals.rag.retrieval.text.terms import words_of

# Counts up when the same text gives other pieces than before.
VERSION = 1
# Words. A heading, a page's number, "See below." are shorter.
SHORTEST = 6


def sentence_pieces(text: str) -> list[tuple[int, int]]:
    """Return the offsets of the sentences of `text`, in order; between them is nothing but white space.

    One of fewer than SHORTEST words is of the sentence behind it, the last one of the sentence before.
    """
    pieces: list[tuple[int, int]] = []
    begin, behind = None, 0
    for sentence in split_sentences(text):
        # What no sentence has, such as the mark of a list's item, is of the sentence behind it.
        begin = _behind_blanks(text, behind) if begin is None else begin
        behind = sentence.end
        if len(words_of(text[begin:behind])) >= SHORTEST:
            pieces.append((begin, behind))
            begin = None
    end = len(text.rstrip())
    if end > behind or begin is not None:
        first = pieces.pop()[0] if pieces else _behind_blanks(text, 0)
        pieces += [(first, end)] if first < end else []
    return pieces


def _behind_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
