"""Sentences of texts and claims of answers, split by rule: no model decides what an answer is held to.

Every pattern is possessive, or is bounded, where a hostile text could make it go back over itself.
"""

# ruff: noqa: RUF001 - quotes, dashes and stops of every kind end sentences

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CLOSERS = "\"'”’»›)\\]}」』】）*_`"

# What a line begins with that sets it apart from the line before. "12." is a marker and "2024." is not: it
# is the end of a wrapped sentence.
_MARKER = r"(?:(?:[-*•–◦▪‣](?!\S)|(?:\(?(?:\d{1,2}|[A-Za-z])\)|\d{1,2}\.)(?=\s++\S))\s*+)"
_MARKS = re.compile(
    rf"""\s*+(?: \Z | ([-*_=])(?:\s*\1){{2,}}\s*\Z | (?:`{{3,}}|~{{3,}})[\w+-]*\s*\Z
               | (?P<alone>\#{{1,6}}\s++|(?=\|)){_MARKER}*+ | {_MARKER}++ )""",
    re.VERBOSE,
)

# A run of stops with all that belongs to the sentence before: quotes, brackets, and citations, unless the
# citation is the subject of what follows ("[3] shows that").
_CITATION = r"(?:\[(?=[^]\d]{0,40}\d)[^][]{1,80}\]|\([^()]{0,80}\b(?:19|20)\d\d[a-z]?\)|【[^】]{1,80}】)"
_STOP = re.compile(rf"([.!?…。！？]++)[{_CLOSERS}]*+(?:\s*+{_CITATION}(?![\w(]|\s++[a-z]))*+")
_AFTER = re.compile(r"\s++[\"'“‘«‹(\[{*_`]{0,9}+(\w*+)")

_NUMBERING = re.compile(r"[*_]{0,3}(?:(?:Figure|Table) )?\d{1,2}(?:\.\d{1,3}){0,3}")
_TOKEN = re.compile(r"(?<!\w)(?<!\w-)[^\W\d_]+(?:\.[^\W\d_]+)*\Z")
_WITHIN = re.compile(r"Mrs?|Ms|Dr|Prof|St|vs|[Ee]\.g|[Ii]\.e|[Cc]f|[Aa]pprox|[Cc]a|[Rr]esp")
# These need their number behind them: "the answer is no. The router" ends.
_COUNTED = re.compile(r"[Ff]igs?|[Ee]qs?|[Ss]ec|[Tt]ab|[Nn]os?|[Vv]ol|pp?")
_COUNT = re.compile(r"\w*\d|[IVXLC]{2,}\b")
# These may end a sentence, and do where the next word can only begin one.
_OFTEN = re.compile(
    r"etc|al|Ph\.D|Inc|Ltd|Co|Corp|[JS]r|Jan|Feb|Mar|Apr|Ju[nl]|Aug|Sept?|Oct|Nov|Dec"
    r"|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]"
)
# He is also a name ("K. He et al."), and A an initial ("Q. A. Jiang").
_STARTER = re.compile(
    r"(?:The|Let|It|Its|This|That|These|Those|There|In|On|For|If|When|While|However|But|And|Each|Both|We|They|She"
    r"|Their|A(?!\.)|He(?!,|\s+(?:et|and|&)\s))\b"
)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of a text: `text == whole[start:end]`."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> tuple[TextSpan, ...]:
    """Return the sentences, headings, list items and table rows of `text`, in order and without overlap.

    Whitespace, list markers, heading marks, rules and code fences lie outside; all else is in a span. Takes
    time linear in the text's length.
    """
    spans = []
    for start, end in _blocks(text):
        begin = start
        for stop in _STOP.finditer(text, start, end):
            if _ends(text, start, end, stop):
                spans.append(_stripped(text, begin, stop.end()))
                begin = stop.end()
        spans.append(_stripped(text, begin, end))
    return tuple(span for span in spans if span.text)


def split_claims(text: str) -> tuple[TextSpan, ...]:
    """Return the sentences of an answer that claim something.

    Left out are padding, sentences that only decline, and, where other sentences follow that they introduce,
    titles, lead-ins and the question said again. An answer of nothing but padding is one claim, since its
    author chose to say just that.
    """
    if declines(text):
        return ()
    sentences = [span for span in split_sentences(text) if _has_word(span.text) and not _pads(span.text)]
    claims: list[TextSpan] = []
    declined = False
    for span in sentences:
        if declines(span.text):
            declined = True
        elif span is sentences[-1] or not _introduces(span, text, first=not claims):
            claims.append(span)
    if claims or declined or not _has_word(text):
        return tuple(claims)
    return (_stripped(text, 0, len(text)),)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the stretches that no sentence leaves, their marks left out."""
    start = end = 0
    for line in text.splitlines(keepends=True):
        if marks := _MARKS.match(line):
            if start < end:
                yield start, end
            start = end + marks.end()
        end += len(line)
        if marks and marks["alone"] is not None:
            yield start, end
            start = end
    yield start, end


def _ends(text: str, start: int, end: int, stop: re.Match[str]) -> bool:
    """Whether a run of stops in the block from `start` to `end` ends a sentence."""
    if stop[1][-1] in "。！？":
        return True
    after = _AFTER.match(text, stop.end(), end)
    if after is None or after[1][:1].islower():
        return False
    if stop[1] != ".":
        return True
    # "**1. Router:** ...", "2.1. Experts", "Table 1. Sizes": the number belongs to what it numbers.
    return not (_NUMBERING.fullmatch(text, start, stop.start()) or _abbreviates(text, stop.start(), after))


def _abbreviates(text: str, dot: int, after: re.Match[str]) -> bool:
    """Whether the period at `dot` belongs to an abbreviation and does not end the sentence as well."""
    found = _TOKEN.search(text, max(0, dot - 12), dot)
    token = found[0] if found else ""
    if _COUNTED.fullmatch(token):
        return bool(_COUNT.match(after[1]))
    if _WITHIN.fullmatch(token):
        return True
    return bool(_OFTEN.fullmatch(token)) and not _STARTER.match(text, after.start(1))


def _stripped(text: str, start: int, end: int) -> TextSpan:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return TextSpan(piece.strip(), start, start + len(piece.strip()))


# --- what a sentence does ---

_TITLE = re.compile(r"#\s+(?:\d{1,2}[.)]\s+)?\Z")
# Offers are made of these words alone, but for what they are about: a clause of its own does not fit in.
_OFFER = (
    r"(?: (?:if|you(?:'d|r)?|i|me|us|it|this|that|there|is|are|do|does|not|can|could|have|need|want|would"
    r"|like|any|some|more|further|other|additional|follow-up|specific|questions?|details?|information|help|to"
    r"|a|the|for|with|ask|know|reach|out|explain|assist|clarify|clarification|anything|something|else|unclear"
    r"|or|elaborate|expand|provide)\b)*(?: (?:about|on|of) (?:the |this |these )?[a-z-]+)?"
)
_PADDING = re.compile(
    r"sure(?: thing)?|certainly|of course|absolutely|(?:great|good|excellent) question|thank you|thanks"
    r"|(?:i )?hope (?:this|that) helps|(?:i am )?happy to help"
    r"|(?:does|did) (?:this|that) (?:help|make sense|answer (?:your|the) question)"
    r"|here (?:is|are) (?:[a-z]+ ){0,3}(?:answer|summary|overview|points|details|steps|reasons|differences)"
    rf"|(?:(?:please )?(?:let me know|feel free|do not hesitate)|would you like|is there anything){_OFFER}"
)
# Not the number of a list's item ("1. Router"), nor part of a name ("8x7B").
_NUMBER = re.compile(
    r"(?<![\w.,-])\d[\d.,]*+(?<!\.)[kmbt]?(?!\w)|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|(?:thous|dozen|[mb]illion)\w*"
    r"|half|twice|both)\b"
)
_ASKS = re.compile(r"(?:who|what|which|when|where|why|how)\b")
# What says that it introduces, or breaks off.
_POINTS = re.compile(
    r"\b(?:here|following|follows?|below)\b|\b(?:is|are|was|were|includes?|by|to|that|of|for|in|as)\Z"
)
_SHORT = 6  # more words than these are no title

# The phrases of declining, in the spelling of `_plain`. Their subject is the sources, the first person, or
# nobody: "the router does not use attention" claims something about the world.
_SOURCES = (
    r"(?:(?:any|all) of )?(?:(?:the|these|those|this|your|any|provided|given|retrieved|available|above|source"
    r"|context|text) )*(?:documents?|passages?|contexts?|texts?|articles?|papers?|sources?|information"
    r"|excerpts?)(?: (?:(?:that )?(?:i have|you (?:have )?provided)|provided|given|above|alone))?"
)
_LEAD = (
    r"(?:unfortunately|(?:i am )?(?:very |so )?sorry|i apologi[sz]e|however|therefore"
    rf"|(?:based on|according to|from|in) {_SOURCES})"
)
_NOUN = (
    r"(?:(?:the|an?|any|enough|sufficient|specific|explicit|direct|relevant|detailed|clear|further|more|or"
    r"|and) )*(?:information|mentions?|answers?|details?|data|references?)"
)
_SAY = (
    r"(?:say|mention|state|specify|discuss|describe|tell|answer|cover|address|explain|indicate|reveal|define"
    rf"|list|provide|give|know|find|determine|confirm|infer|(?:contain|include|have|offer) {_NOUN})"
)
_LY = r"(?:(?!only|mere|simp|sole)\w+ly )?"
_SAID = rf"{_LY}(?:mentioned|stated|specified|provided|given)"
_FOUND = rf"(?:{_SAID}|{_LY}(?:found|discussed|described|included|available|covered|clear|made))"
# How a phrase goes on: without a comma or another word behind which something else may be said.
_REST = (
    r"(?: which)?(?: (?!(?:which|whose|since|whereas|while|although|though|except|yet|than|only)\b"
    rf"|so\b(?! far\b|\Z)|that\b(?! (?:from|in|based|{_SAY}s)\b|(?: [a-z-]+)?\Z)"
    rf"|and\b(?! (?!(?:\w+s|are|were|have|had|use|used) |.*(?:{_NUMBER.pattern}))"
    r"[a-z-]+(?: [a-z-]+)?(?: of [a-z-]+)?\Z))"
    r"(?>between(?: [\w-]+){1,3}? and\b|[^\s,;:?!()–—]+|\([\w-]+\)))*"
)
_ABOUT = (
    r"(?: (?:about|on|of|regarding|concerning|to (?:answer|determine|the question)|which|how|whether"
    rf"|that {_SAY}s)\b{_REST})?"
)
_WH = rf"(?: (?:how|what|which|who|when|where|why|whether|if)\b{_REST})?"
_BE = r"(?:is|are|was|were)"
_IT = r"(?:it|this|that|(?:the|this|that|your) (?:exact |specific )?(?:question|answer|information|number))"
# What is not in the sources, as a phrase: it states no number, and has no clause behind a comma.
_TOPIC = (
    rf"(?!.*(?:{_NUMBER.pattern}|\bfact\b))[^\s,;:()–—]+"
    rf"(?: (?!which\b|that {_BE}\b)[^\s,;:()–—]+){{0,30}}?"
)
_DECLINE = re.compile(
    rf"(?:{_LEAD},? )*(?:(?:(?:{_SOURCES}|i|we|they|it) )?(?:(?:do|does|did|can|could) not"
    rf"|(?:am|are) (?:unable|not able) to)(?: (?:seem|appear) to)? {_LY}{_SAY}{_REST}"
    rf"|(?:i am|we are) not (?:sure|certain){_ABOUT}{_WH}|(?:none|neither) of {_SOURCES} {_SAY}s?{_REST}"
    rf"|(?:{_SOURCES}|i|we) (?:(?:contain|provide|give|make|include|offer|has|have)s? no (?:idea|{_NOUN})"
    rf"|says? nothing){_REST}"
    rf"|(?:{_IT} {_BE} )?not {_SAID}{_WH}|{_IT} {_BE} not in {_SOURCES}"
    rf"|(?:{_TOPIC} {_BE} )?not {_FOUND} (?:anywhere )?(?:in|by|within|from) {_SOURCES}{_WH}"
    rf"|{_IT} can not be (?:answered|determined|found){_REST}"
    rf"|(?:there {_BE} no|(?:there {_BE} )?(?:not enough|insufficient)) {_NOUN}(?: {_SAID})?"
    rf"(?: in {_SOURCES})?{_ABOUT}"
    rf"|no {_NOUN}{_REST} in {_SOURCES}|no {_NOUN}(?: (?:about|on|of){_REST})? {_BE} {_FOUND})"
    rf"(?:, (?:based on|according to|from|given) {_SOURCES})?"
)
# A pronoun, or none, stands for the sources only behind a clause that names them.
_PRONOUN = re.compile(r"(?:(?:they|it) )?(?:do|does|did|can|could|am|are) (?:not|unable) ")
_EXCUSE = re.compile(
    rf"{_LEAD}|(?!.*(?:{_NUMBER.pattern}))(?:please (?:provide|share|rephrase|consult|refer|ask)"
    rf"|(?:(?:while|although|though) )?(?:{_SOURCES}|they)(?: only)? (?:discuss|describe|cover|focus on)"
    rf"(?:e?s)?)\b{_REST}"
)
# Where a sentence may go on to answer: each clause has to decline for itself.
_TURN = re.compile(
    r"[;:] | [–—-] |,? (?:but|however|because)\b,? |, (?:so|as|yet|although|though|while|whereas) "
    r"|(?:,(?: and)?|,? and) (?=(?:it|its|they|their|this|there|i|we|the answer)\b)"
)
_LONGEST = 600  # no stock phrase has more characters


def declines(text: str) -> bool:
    """Whether `text` as a whole is a stock phrase of declining: up to three sentences that say no more."""
    if len(text) > _LONGEST:
        return False
    sentences = [_plain(span.text) for span in split_sentences(text) if not _pads(span.text)]
    clauses = [clause for plain in sentences for clause in _TURN.split(plain) if clause]
    if len(sentences) > 3 or not clauses or _PRONOUN.match(clauses[0]):
        return False
    declining = [bool(_DECLINE.fullmatch(clause)) for clause in clauses]
    excused = (declined or _EXCUSE.fullmatch(c) for declined, c in zip(declining, clauses, strict=True))
    return any(declining) and all(excused)


def _pads(sentence: str) -> bool:
    return bool(_PADDING.fullmatch(_plain(sentence).rstrip(" ?:")))


def _introduces(span: TextSpan, text: str, *, first: bool) -> bool:
    """Whether a sentence before others is a title, a lead-in or the question said again, and no more."""
    bare = span.text.rstrip(_CLOSERS)
    plain = _plain(bare).rstrip(" ?:？：")
    short = len(plain.split()) <= _SHORT
    if _NUMBER.search(plain):
        return False
    if _TITLE.search(text[max(0, span.start - 12) : span.start]) and not bare.endswith((".", "!")):
        return short
    if bare.endswith((":", "：")):
        return short or bool(_POINTS.search(plain))
    return first and bare.endswith(("?", "？")) and bool(_ASKS.match(plain))


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))


def _plain(sentence: str) -> str:
    """Return a sentence as the patterns spell it: lower case, no marks or contractions, no final stop."""
    text = re.sub(r"[*_\"“”`]|\[\d+\]", "", sentence.lower().replace("’", "'"))
    text = re.sub(r"\bcan't\b|\bcannot\b", "can not", text).replace("n't", " not").replace("i'm ", "i am ")
    return " ".join(text.split()).rstrip(" .!…")
