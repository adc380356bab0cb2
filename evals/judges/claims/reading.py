"""Claims of answers, split by rule: no model decides what an answer is held to."""

# ruff: noqa: RUF001 - colons and question marks of every kind introduce

from __future__ import annotations

import re
from dataclasses import dataclass

from rag_evals.evals.judges.claims.declines import NUMBER, declines, may_decline
from rag_evals.evals.judges.claims.sentences import CLOSERS, TextSpan, split_sentences, stripped
from rag_evals.evals.judges.claims.small_talk import pads, plain

_TITLE = re.compile(r"#\s+(?:\d{1,2}[.)]\s+)?\Z")
_ASKS = re.compile(r"(?:who|what|which|when|where|why|how)\b")
# What says that it introduces, or breaks off.
_POINTS = re.compile(
    r"\b(?:here|following|follows?|below)\b|\b(?:is|are|was|were|includes?|by|to|that|of|for|in|as)\Z"
)
_SHORT = 6  # more words than these are no title


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer that claims something.

    Attributes:
        span: The sentence, as it is shown.
        may_decline: Whether it has the words of declining, so that the model is asked what it does.
    """

    span: TextSpan
    may_decline: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """What the rules make of an answer.

    Attributes:
        claims: The sentences that claim something, in order.
        declines: Those that decline and can do nothing else.
    """

    claims: tuple[Claim, ...] = ()
    declines: tuple[TextSpan, ...] = ()


def split_claims(text: str) -> tuple[TextSpan, ...]:
    """Return the sentences of a text that claim something, or may."""
    return tuple(claim.span for claim in read_claims(text).claims)


def read_claims(text: str, question: str = "") -> Claims:
    """Tell what an answer claims from what it only says.

    Left out are padding, sentences that only decline, and, where other sentences follow that they introduce,
    titles, lead-ins and the question said again. An answer of nothing but padding is one claim, since its
    author chose to say just that.
    """
    if declines(text, question):
        return Claims(declines=(stripped(text, 0, len(text)),))
    sentences = [span for span in split_sentences(text) if _has_word(span.text) and not pads(span.text)]
    claims: list[Claim] = []
    declined: list[TextSpan] = []
    for span in sentences:
        if declines(span.text, question):
            declined.append(span)
        elif span is sentences[-1] or not _introduces(span, text, first=not claims):
            claims.append(Claim(span, may_decline=may_decline(span.text)))
    if not (claims or declined) and _has_word(text):
        claims = [Claim(stripped(text, 0, len(text)))]
    return Claims(tuple(claims), tuple(declined))


def _introduces(span: TextSpan, text: str, *, first: bool) -> bool:
    """Whether a sentence before others is a title, a lead-in or the question said again, and no more."""
    bare = span.text.rstrip(CLOSERS)
    said = plain(bare).rstrip(" ?:？：")
    short = len(said.split()) <= _SHORT
    if NUMBER.search(said):
        return False
    if _TITLE.search(text[max(0, span.start - 12) : span.start]) and not bare.endswith((".", "!")):
        return short
    if bare.endswith((":", "：")):
        return short or bool(_POINTS.search(said))
    return first and bare.endswith(("?", "？")) and bool(_ASKS.match(said))


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))
