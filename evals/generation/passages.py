"""Documents to passages that questions are written from, in an order that takes every part in turn.

What is heavy (a model, an embedder) comes behind this: a passage is a few offsets and its text, so that 2,000
pages are surveyed in a second or two once they are read.
"""

# ruff: noqa: RUF001 - quotes of every kind stand in documents

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeVar

from evals.claims import Span, split_sentences
from evals.errors import GenerationError, printable
from evals.generation.candidates import Passage
from evals.generation.language import is_english
from evals.generation.layout import Block, layout_of
from rag.documents import Corpus, Document

# Words. Long enough that a question has something to be about, short enough that its answer is found.
LONGEST = 220
USUAL = 170
SHORTEST = 30
# Share of a passage's sentences that an earlier passage has as well: from here on it is a copy.
COPIED = 0.6

T = TypeVar("T")

_END = re.compile(r"[.!?][\"'”’)\]*_]*\Z")
_BEGINNING = re.compile(r"[\"'“‘(*_]{0,3}[A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Survey:
    """What the documents hold to ask about.

    Attributes:
        passages: In the order of the documents.
        documents: How many documents were read.
        words: How many words they have.
        left_out: Words that are in no passage, by reason.
        copies: Pairs of a document's name and that of an earlier one with the same text.
    """

    passages: tuple[Passage, ...]
    documents: int
    words: int
    left_out: Counter[str] = field(default_factory=Counter)
    copies: tuple[tuple[str, str], ...] = ()

    @property
    def lines(self) -> list[str]:
        """What was left out and why, a line each."""
        lines = [f"{reason}: {words:,} words" for reason, words in self.left_out.most_common()]
        return [*lines, *(f"{printable(one)}: the same text as {printable(two)}" for one, two in self.copies)]


def survey(corpus: Corpus) -> Survey:
    """Find the passages of `corpus`; documents with the same text count once.

    Raises:
        GenerationError: There is no passage at all; says what the documents hold instead.
    """
    copies: list[tuple[str, str]] = []
    passages: list[Passage] = []
    left_out: Counter[str] = Counter()
    words, texts = 0, dict[int, str]()
    known: set[int] = set()
    for document in corpus.documents:
        words += len(document.text.split())
        first = texts.setdefault(hash(tuple(document.text.split())), document.name)
        if first != document.name:
            copies.append((document.name, first))
            continue
        found, missing = _passages(document, known)
        passages += found
        left_out += missing
    surveyed = Survey(tuple(passages), len(corpus.documents), words, left_out, tuple(copies))
    if not passages:
        raise GenerationError(_nothing(surveyed))
    return surveyed


def in_turn(passages: Sequence[Passage], seed: int) -> list[Passage]:
    """Give `passages` so that any number of the first ones is spread over documents and their sections.

    Documents come in turn, and within a document its sections, each in an order that `seed` decides.
    """
    chance = random.Random(seed)
    documents: dict[str, dict[str, list[Passage]]] = defaultdict(lambda: defaultdict(list))
    for passage in passages:
        documents[passage.document][passage.section].append(passage)
    return alternate(
        [
            alternate([shuffled(section, chance) for section in shuffled(sections.values(), chance)])
            for sections in shuffled(documents.values(), chance)
        ]
    )


def shuffled(items: Iterable[T], chance: random.Random) -> list[T]:
    """Give `items` in an order that `chance` decides."""
    mixed = list(items)
    chance.shuffle(mixed)
    return mixed


def alternate(lists: Sequence[Sequence[T]]) -> list[T]:
    """Give the first of each list, then the second of each, until all are empty."""
    return [item for row in zip_longest(*lists) for item in row if item is not None]


def _passages(document: Document, known: set[int]) -> tuple[list[Passage], Counter[str]]:
    """Cut one document; `known` holds the hashes of all sentences seen, and gets those of this document."""
    layout = layout_of(document)
    left_out = layout.left_out
    passages = []
    for block in layout.blocks:
        for sentences in _pieces(_whole_sentences(document, block)):
            passage = _passage(document, block, sentences)
            reason = _unfit(passage, sentences, known)
            if reason:
                left_out[reason] += len(passage.text.split())
            else:
                passages.append(passage)
    return passages, left_out


def _whole_sentences(document: Document, block: Block) -> list[Span]:
    """Give the sentences of `block` from the first that begins in it to the last that ends in it."""
    text = document.text[block.start : block.end]
    spans = list(split_sentences(text))
    while spans and not _BEGINNING.match(spans[0].text):
        del spans[0]
    while spans and not _END.search(spans[-1].text):
        del spans[-1]
    return [Span(span.text, span.start + block.start, span.end + block.start) for span in spans]


def _pieces(sentences: Sequence[Span]) -> Iterator[list[Span]]:
    """Cut sentences into runs of about equal length, none much longer than `LONGEST` words."""
    rest = sum(len(span.text.split()) for span in sentences)
    count = 1 if rest <= LONGEST else round(rest / USUAL)
    piece: list[Span] = []
    words = 0
    for span in sentences:
        piece.append(span)
        words += len(span.text.split())
        if count > 1 and words >= rest / count:
            yield piece
            rest, count, piece, words = rest - words, count - 1, [], 0
    if piece:
        yield piece


def _passage(document: Document, block: Block, sentences: Sequence[Span]) -> Passage:
    start, end = sentences[0].start, sentences[-1].end
    return Passage(
        document=document.name,
        sha256=document.sha256,
        page=document.page_at(start),
        start=start,
        end=end,
        text=document.text[start:end],
        section=block.section,
    )


def _unfit(passage: Passage, sentences: Sequence[Span], known: set[int]) -> str:
    """Say why a passage is none to ask about; "" when it is one, whose sentences are then known."""
    if len(passage.text.split()) < SHORTEST:
        return f"passages of fewer than {SHORTEST} words"
    if not is_english(passage.text):
        return "text that is not English"
    hashes = [hash(span.text) for span in sentences]
    copied = sum(each in known for each in hashes)
    known.update(hashes)
    return "text that stands elsewhere too" if copied >= COPIED * len(hashes) else ""


def _nothing(surveyed: Survey) -> str:
    count = f"{surveyed.documents} document{'s' * (surveyed.documents != 1)}"
    lines = [
        f"no passage to ask about in {count} of {surveyed.words:,} words",
        *(f"  {line}" for line in surveyed.lines),
        f"Questions are written from running English text, in passages of at least {SHORTEST} words: "
        "give documents that have some.",
    ]
    return "\n".join(lines)
