"""Claims of answers, read by rule: no model decides what an answer is held to."""

# ruff: noqa: RUF001 - colons and question marks of every kind introduce

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rag_evals.evals.judges.claims.declines import declines, may_decline
from rag_evals.evals.judges.claims.layout import (
    cells_of,
    is_label,
    is_numbered,
    is_reference,
    is_sources_title,
    names_sources,
    read_row,
)
from rag_evals.evals.judges.claims.small_talk import pads, plain
from rag_evals.evals.judges.claims.words import NUMBER
from rag_evals.rag.retrieval.text.blocks import Block, split_blocks
from rag_evals.rag.retrieval.text.sentences import CLOSERS, TextSpan, sentences_of, stripped

_ASKS = re.compile(r"(?:who|what|which|when|where|why|how)\b")
# What says that it introduces, or breaks off.
_POINTS = re.compile(
    r"\b(?:here|following|follows?|below)\b|\b(?:is|are|was|were|includes?|by|to|that|of|for|in|as)\Z"
)
_SHORT = 6  # more words than these are no title
# A lead-in or title of these words alone tells nothing of what it leads to.
_EMPTY = re.compile(
    r"(?:(?:here|below|is|are|was|were|the|an?|as|of|to|in|on|by|from|for|and|these|this|that|some|follow(?:s|ing)"
    r"|main|key|important|major|points?|steps?|details?|answers?|summary|overview|reasons?|differences|includes?"
    r"|information|conclusion|introduction|results?|list|facts?|findings?|based|according|provided|given"
    r"|documents?|passages?|contexts?|texts?|sources?|two|three|four|five|six|\d+)\b[\s,:.)]*)+"
)
_LONGEST_LEAD = 300  # characters
# What a lead-in says of itself: "Based on the passages, here are the benefits".
_OF_ITSELF = re.compile(
    r"(?:(?:based on|according to|from) (?:the |your )?(?:(?:given|provided|retrieved) )?"
    r"(?:passages?|documents?|contexts?|texts?|sources?|information)(?: provided)?,? )?(?:here (?:is|are) )?",
    re.IGNORECASE,
)
# An item of more words than these that ends with a stop says all by itself.
_FRAGMENT = 4

# What points back: to the sentence before, or to whatever that was about.
_JOINED = (
    r"(?:(?:However|Moreover|Furthermore|Additionally|In addition|Also|Then|And|But|So|Therefore|Thus|Finally"
    r"|Instead|As a result|For example|For instance|In contrast),? )?"
)
_TO_SENTENCE = re.compile(
    rf"[\"'*_(]{{0,3}}{_JOINED}(?i:this|that|these|those|such|dies(?:e[rsmn]?)?|cela|cette|ce|ces|ceci|esto|esta|estos"
    r"|estas|este|eso)\b(?! is (?:why|how) )|(?:这|那|此|これ|それ|この|その|यह|ये|इस|هذا|هذه|ذلك)"
)
_TO_SUBJECT = re.compile(
    rf"[\"'*_(]{{0,3}}{_JOINED}(?i:it|its|they|their|he|his|she|her|both|the (?:former|latter|same)"
    r"|er|sie|es|sein|ihre?|il|elle|ils|elles|él|ella|ellos|ellas)\b|(?:它|他|她|其|彼|彼女|वह|वे|उस|هو|هي|هم)"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer that claims something.

    Attributes:
        span: The sentence, as it is shown.
        lead: What it is read behind, if anything: the lead-in of a bullet, the sentence it points back to.
        read: How it is read itself, where that is not as it stands: a table's row with its header.
        may_decline: Whether it has the words of declining, so that the model is asked what it does.
    """

    span: TextSpan
    lead: str = ""
    read: str = ""
    may_decline: bool = False

    @property
    def said(self) -> str:
        """What is claimed, without what it is read behind."""
        return self.read or self.span.text

    @property
    def whole(self) -> str:
        """What is claimed, with what it is read behind."""
        return f"{self.lead} {self.said}" if self.lead else self.said


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

    Left out are small talk, layout, sentences that only decline, and, where other sentences follow that they
    introduce, titles, lead-ins and the question said again. An answer of nothing but padding is one claim,
    since its author chose to say just that.

    Args:
        text: The answer.
        question: What was asked, as far as it tells what declines.
    """
    if declines(text, question):
        return Claims(declines=(stripped(text, 0, len(text)),))
    said = list(_said(text))
    around = _Around()
    claims: list[Claim] = []
    declined: list[TextSpan] = []
    for n, (span, block) in enumerate(said):
        around.enter(block)
        if declines(span.text, question):
            declined.append(span)
        elif n + 1 < len(said) and _introduces(span, block, said[n + 1][1], first=not claims):
            around.introduce(span, block)
        else:
            claims.append(around.claim(span, block, text))
    if not (claims or declined) and _has_word(text):
        claims = [Claim(stripped(text, 0, len(text)))]
    return Claims(tuple(claims), tuple(declined))


def _said(text: str) -> Iterator[tuple[TextSpan, Block]]:
    """Yield the sentences of `text` that are neither layout nor small talk, each with its block."""
    in_sources = False
    for block in split_blocks(text):
        whole = text[block.start : block.end]
        if block.kind == "header" or names_sources(whole):
            continue
        if is_sources_title(whole):
            in_sources = True
            continue
        in_sources = in_sources and block.kind != "heading" and is_reference(whole)
        if in_sources:
            continue
        for span in sentences_of(text, block):
            if _has_word(span.text) and not (
                pads(span.text) or is_label(span.text) or names_sources(span.text)
            ):
                yield span, block


@dataclass(slots=True)
class _Around:
    """What stands around a sentence while the claims of an answer are read in order."""

    title: str = ""
    leads: list[tuple[int, str]] = field(default_factory=list)  # indent and text of what leads to items
    before: str = ""  # the claim before, in the same stretch
    subject: str = ""  # the last one that points back to none

    def enter(self, block: Block) -> None:
        """Go to a block: what was led to by something else is over."""
        if block.kind in ("text", "heading") and block.is_apart:
            self.leads = []
        if block.kind == "item":
            self.leads = [lead for lead in self.leads if lead[0] < block.indent]

    def introduce(self, span: TextSpan, block: Block) -> None:
        """Take a title, a label or a lead-in for what follows."""
        said = plain(span.text).rstrip(" ?:？：")
        told = "" if _EMPTY.fullmatch(said) or is_numbered(said) else _unmarked(span.text)
        if block.kind == "heading" and not span.text.rstrip(CLOSERS).endswith((":", "：")):
            self.title, self.leads, self.before, self.subject = told, [], "", ""
            return
        indent = block.indent if block.kind == "item" else -1
        self.leads = [lead for lead in self.leads if lead[0] < indent]
        if told:
            self.leads.append((indent, told))

    def claim(self, span: TextSpan, block: Block, text: str) -> Claim:
        """Return the claim of a sentence of `text`, with what it is read behind."""
        lead = ""
        if block.kind == "row" or (block.kind == "item" and not _is_complete(span.text)):
            lead = " ".join(told if told.endswith((":", "：")) else f"{told}:" for _, told in self.leads)
            lead = lead or (f"{self.title}:" if self.title else "")
        if not lead:
            lead = self._pointed_at(span.text)
        if block.kind == "text" and span.text.endswith((":", "：")):
            self.leads = [(-1, _unmarked(span.text))]
        header = cells_of(text[slice(*block.header)]) if block.header else []
        read = read_row(span.text, header) if header else ""
        self.before = span.text
        if not lead:
            self.subject = span.text
        may = may_decline(span.text)
        return Claim(span, lead if len(lead) <= _LONGEST_LEAD else "", read, may_decline=may)

    def _pointed_at(self, sentence: str) -> str:
        if _TO_SENTENCE.match(sentence):
            return self.before
        return self.subject if _TO_SUBJECT.match(sentence) else ""


def _introduces(span: TextSpan, block: Block, following: Block, *, first: bool) -> bool:
    """Whether a sentence before others is a title, a lead-in or the question said again, and no more."""
    bare = span.text.rstrip(CLOSERS)
    said = plain(bare).rstrip(" ?:？：")
    short = len(said.split()) <= _SHORT
    if block.kind == "heading" and is_numbered(said):
        return True
    if NUMBER.search(said):
        return False
    if block.kind == "heading" and not bare.endswith((".", "!")):
        return short or bool(_ASKS.match(said))
    if bare.endswith((":", "：")):
        return short or bool(_POINTS.search(said))
    if block.kind == "item" and following.kind == "item" and following.indent > block.indent:
        return short and not bare.endswith((".", "!"))
    return first and bare.endswith(("?", "？")) and bool(_ASKS.match(said))


def _is_complete(item: str) -> bool:
    return item.rstrip(CLOSERS).endswith((".", "!", "?")) and len(item.split()) > _FRAGMENT


def _unmarked(text: str) -> str:
    text = re.sub(r"^[*_`\s]*(?:\d{1,2}[.)]\s+)?|[*_`\s]+$", "", text).replace("**", "")
    return _OF_ITSELF.sub("", text, count=1)


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))
