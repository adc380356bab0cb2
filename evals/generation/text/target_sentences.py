"""The sentences of a passage that a question can be about, and the kinds of question that each is good for.

A small model that may choose its sentence takes the first one again and again, and one that holds no number
for a question about a number. So the sentence is chosen by rule, and the model writes about it.
"""

# ruff: noqa: RUF001 - quotes and dashes of every kind stand in documents

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from rag_evals.evals.generation.candidate import Passage
from rag_evals.evals.generation.text.words import LEAST_OF_SENTENCE, english_share, names_in
from rag_evals.rag.retrieval.text.sentences import TextSpan, split_sentences

PageAt = Callable[[int], int | None]

FEWEST_WORDS, MOST_WORDS = 8, 60

_CITATION = re.compile(r"\[[\d,\s–-]+\]|\([^()]*\b(?:19|20)\d\d[a-z]?\)")
# What such a sentence says is said of another one, of a picture, or of the document itself.
_DANGLING = re.compile(
    r"(?:this|that|these|those|they|it|he|she|such|here|both|in particular|for example|for instance|in fact"
    r"|as such|similarly|however|therefore|moreover|conversely|note|see|let|taking|then|there (?:is|are))\b",
    re.IGNORECASE,
)
_POINTING = re.compile(
    r"\b(?:figures?|tables?|sections?|appendix|equations?|eq\.|this (?:paper|section|work|primer|chapter"
    r"|report|article|document|study)|(?:part|chapter|volume) (?:one|two|three|four|five|\d+)"
    r"|above|below|following|aforementioned|as follows|(?:in|by|from) \[)\b"
    r"|:\s*\Z|https?://",
    re.IGNORECASE,
)
_WE = re.compile(r"\b(?:we|our|us|its|their)\b", re.IGNORECASE)
# A word as a word: it belongs to an example of what a text says of other words.
_QUOTED = re.compile(r"[“\"][\w-]+[.,]?[”\"]")
_FORMULA = re.compile(r"[=≈∑∈∞·{}∝≤≥]|\b\w\(\w+\)")
_NUMBER = re.compile(
    r"(?<![\w.-])(?:\$|€|£)?\d[\d,]*(?:\.\d+)?(?:\s?%|\s?[BMkKT]\b|\s?(?:°\s?)?[A-Za-z]{3,}|(?=\s*(?:[,;.]|and|to)))"
)
_ITEM = r"[^\W\d][\w’'/-]+(?: [\w’'/-]+){0,2}"
_LIST = re.compile(rf"{_ITEM}(?:, {_ITEM}){{1,8}},? (?:and|or) {_ITEM}")
_DEFINITION = re.compile(
    r"(?:The |An? )?[\w’'/ -]{3,60}(?:, (?:or|also) [^,]{2,60},)?"
    r" (?:(?:is|are) (?:an?|the|called|defined|known)|means|refers? to|denotes?)\b"
)
_GLOSSARY = re.compile(r"[A-Z][\w/-]+(?: [\w/-]+){0,3}: (?:an?|the) [a-z]")


@dataclass(frozen=True, slots=True)
class TargetSentence:
    """A sentence to ask about.

    Attributes:
        passage: Where it stands.
        page: Page on which it begins; None for formats without pages.
        start: Offset of its first character in the document's text.
        end: Offset behind its last character.
        text: The sentence.
        kinds: The kinds of question that are written from one sentence and that this one is good for.
        is_doubtful: Whether it speaks of "we", and the question may not know who that is, or of a word in
            quotes, and may be an example.
    """

    passage: Passage
    page: int | None
    start: int
    end: int
    text: str
    kinds: frozenset[str]
    is_doubtful: bool = False


def targets_of(passage: Passage, page_at: PageAt | None = None) -> tuple[TargetSentence, ...]:
    """Return the sentences of `passage` that say something by themselves, in order.

    `page_at` gives the page at an offset in the document; without it all is on the passage's page.
    """
    spans = split_sentences(passage.text)
    return tuple(_target(passage, span, page_at) for span in spans if _is_telling(span))


def _target(passage: Passage, span: TextSpan, page_at: PageAt | None) -> TargetSentence:
    start = span.start + passage.start
    return TargetSentence(
        passage=passage,
        page=page_at(start) if page_at else passage.page,
        start=start,
        end=span.end + passage.start,
        text=span.text,
        kinds=_kinds(span.text),
        is_doubtful=bool(_WE.search(span.text) or _QUOTED.search(span.text)),
    )


def have_own_names(one: TargetSentence, other: TargetSentence) -> bool:
    """Return whether each of two sentences names what the other does not, so that they can be compared."""
    ours, theirs = set(names_in(one.text)), set(names_in(other.text))
    return bool(ours - theirs) and bool(theirs - ours)


def falsified(sentence: str, chance: random.Random) -> tuple[str, str] | None:
    """Return `sentence` with one of its numbers replaced by a wrong one, and that one; None without numbers.

    Numbers in names ("Llama 2"), in citations and in lists of numbers ("10, 20 or 30") stay as they are:
    who asks about a list takes all of it for granted.
    """
    cited = [match.span() for match in _CITATION.finditer(sentence)]
    spots = [
        match.span(1)
        for match in _COUNT.finditer(sentence)
        if not _is_of_a_name(sentence, match.start(1))
        and not any(start <= match.start(1) < end for start, end in cited)
        and not _is_listed(sentence, *match.span(1))
    ]
    if not spots:
        return None
    start, end = chance.choice(spots)
    wrong = _wrong(sentence[start:end], chance, is_share=bool(re.match(r"\s?(?:%|percent)", sentence[end:])))
    return f"{sentence[:start]}{wrong}{sentence[end:]}", wrong


_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNT = re.compile(
    rf"(?<![\w.,-])(\d{{1,3}}(?:,\d{{3}})+|\d+(?:\.\d+)?|{'|'.join(_WORDS)})(?=%|[BMk]?\b)(?![.,]?\d|-\w)"
)


def _is_listed(sentence: str, start: int, end: int) -> bool:
    """Return whether the number at `start` stands beside another one in a list."""
    return bool(re.search(r"\d%?(?:,| or| and|, or|, and) \Z", sentence[:start])) or bool(
        re.match(r"%?(?:,| or| and|, or|, and) \d", sentence[end:])
    )


def _wrong(number: str, chance: random.Random, *, is_share: bool) -> str:
    """Return another number in the same form, far enough away to be no rounding; a share stays below 100."""
    if number in _WORDS:
        return chance.choice([word for word in _WORDS if word != number])
    value = float(number.replace(",", ""))
    factor = 0.5 if is_share and value >= 30 else chance.choice((0.5, 1.5, 2.0, 3.0))
    if number.isdigit() and 1900 <= value <= 2100:
        return str(int(value) - chance.choice((3, 5, 8, 12)))
    if "." in number:
        places = len(number.partition(".")[2])
        other = f"{value * factor:.{places}f}"
        return other if float(other) != value else f"{value * 4:.{places}f}"
    whole = max(1, round(value * factor))
    whole = whole if whole != value else whole + 1
    return f"{whole:,}" if "," in number else str(whole)


def _is_telling(span: TextSpan) -> bool:
    """Return whether a sentence can be understood, and asked about, without the one before it."""
    words = span.text.split()
    return (
        FEWEST_WORDS <= len(words) <= MOST_WORDS
        and span.text[-1] in '.!;)"”’'
        and not _DANGLING.match(span.text)
        and not _POINTING.search(span.text)
        and len(_FORMULA.findall(span.text)) < 2
        and english_share(span.text) >= LEAST_OF_SENTENCE
    )


def _kinds(sentence: str) -> frozenset[str]:
    bare = _CITATION.sub("", sentence)
    found = {"fact"}
    is_match = re.search(r"\bvs\b", bare)  # a small model takes one of the two for the difference
    if not is_match and any(not _is_of_a_name(bare, found.start()) for found in _NUMBER.finditer(bare)):
        found.add("number")
    if _LIST.search(bare):
        found.add("list")
    if _DEFINITION.match(bare) or _GLOSSARY.match(bare):
        found.add("definition")
    return frozenset(found)


def _is_of_a_name(sentence: str, start: int) -> bool:
    """Return whether the number at `start` belongs to a name: "Llama 2", "Llama 2 70B", "Table 3"."""
    before = sentence[:start].split()
    return len(before) > 1 and (before[-1][0].isupper() or before[-1].isdigit())
