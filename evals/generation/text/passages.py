"""Passages of documents that questions are written from, in an order that takes every part in turn.

What is heavy (a model, an embedder) comes behind this: a passage is a few offsets and its text, so that 2,000
pages are surveyed in a second or two once they are read.
"""

# ruff: noqa: RUF001 - quotes of every kind stand in documents

from __future__ import annotations

import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeVar

from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.generation.candidate import Passage
from rag_evals.evals.generation.text.layout import Block, layout_of
from rag_evals.evals.generation.text.words import NOT_ENGLISH, is_english, is_of_other_script, words_in
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.retrieval.text.sentences import TextSpan, split_sentences

# Words. Long enough that a question has something to be about, short enough that its answer is found.
LONGEST = 220
USUAL = 170
SHORTEST = 30
# Of two windows, so that a sentence at the border is whole in one of them.
OVERLAP = 40
# Share of a passage's sentences that earlier passages have as well: from here on it is a copy.
COPIED = 0.6
# The same of its runs of words, and of its runs of names and numbers, and of earlier documents: a form with
# other facts in it is no copy. With one word in twenty exchanged 1 % of passages still count as new, with one
# in ten 7 %; passages of three papers on one subject share 3 % at most.
NEARLY_COPIED = 0.5
RUN = 5
RUN_OF_FACTS = 3
# One run in four is looked at, chosen by its hash, as 2,000 pages have a million.
ONE_IN = 4
COPIES = "text that stands elsewhere too"

T = TypeVar("T")

_FACT = re.compile(r"[A-Z0-9]")
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
        lines = [f"{reason}: {_words(count)}" for reason, count in self.left_out.most_common()]
        return [*lines, *(f"{printable(one)}: the same text as {printable(two)}" for one, two in self.copies)]


def all_passages(corpus: Corpus) -> list[str]:
    """Cut all of the text into passages, also what nobody asks about: references and thanks answer too."""
    texts = dict.fromkeys(document.text for document in corpus.documents)
    return [
        " ".join(words[start : start + USUAL])
        for words in map(str.split, texts)
        for start in range(0, max(1, len(words) - OVERLAP), USUAL - OVERLAP)
    ]


def survey(corpus: Corpus) -> Survey:
    """Find the passages of `corpus`; documents with the same text count once.

    Raises:
        GenerationError: There is no passage at all; says what the documents hold instead.
    """
    copies: list[tuple[str, str]] = []
    passages: list[Passage] = []
    left_out: Counter[str] = Counter()
    words, texts = 0, dict[int, str]()
    known = _Known()
    for document in corpus.documents:
        words += words_in(document.text)
        first = texts.setdefault(hash(tuple(document.text.split())), document.name)
        if first != document.name:
            copies.append((document.name, first))
            continue
        found, missing = _passages(document, known)
        passages += found
        left_out += missing
        known.close()
    surveyed = Survey(tuple(passages), len(corpus.documents), words, left_out, tuple(copies))
    if not passages:
        raise GenerationError(_nothing(surveyed))
    return surveyed


def in_turn(passages: Sequence[Passage], seed: int) -> list[Passage]:
    """Return `passages` so that any number of the first ones is spread over documents and their sections.

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
    """Return `items` in an order that `chance` decides."""
    mixed = list(items)
    chance.shuffle(mixed)
    return mixed


def alternate(lists: Sequence[Sequence[T]]) -> list[T]:
    """Return the first of each list, then the second of each, until all are empty."""
    return [item for row in zip_longest(*lists) for item in row if item is not None]


class _Known:
    """What passages so far say, to tell copies by: hashes of sentences, and of runs of words."""

    def __init__(self) -> None:
        self._sentences: set[int] = set()
        self._runs: set[int] = set()
        self._of_document: set[int] = set()

    def has(self, passage: Passage, sentences: Sequence[TextSpan]) -> bool:
        """Return whether a passage says what others said, and remember it."""
        hashes = [hash(span.text) for span in sentences]
        copied = sum(each in self._sentences for each in hashes)
        kinds = _runs(passage.text)
        is_near = all(len(runs & self._runs) >= NEARLY_COPIED * len(runs) for runs in kinds if runs)
        self._sentences.update(hashes)
        self._of_document.update(*kinds)
        return copied >= COPIED * len(hashes) or (is_near and any(kinds))

    def close(self) -> None:
        """End a document: a form that repeats within one, with other names and numbers, is no copy."""
        self._runs |= self._of_document
        self._of_document = set()


def _runs(text: str) -> tuple[set[int], set[int]]:
    """Return the hashes of runs of words, and those of runs of names and numbers: the facts of a form."""
    words = text.split()
    facts = [word for word in words if _FACT.search(word)]
    return {run for run in _hashes(words, RUN) if run % ONE_IN == 0}, set(_hashes(facts, RUN_OF_FACTS))


def _hashes(words: Sequence[str], length: int) -> Iterator[int]:
    return (zlib.crc32(" ".join(words[n : n + length]).encode()) for n in range(len(words) - length + 1))


def _passages(document: Document, known: _Known) -> tuple[list[Passage], Counter[str]]:
    """Cut one document; `known` gets what it says."""
    layout = layout_of(document)
    left_out = layout.left_out
    passages = []
    for block in layout.blocks:
        whole = _whole_sentences(document, block)
        left_out += _around(document.text[block.start : block.end], whole)
        for sentences in _pieces(whole):
            passage = _passage(document, block, sentences)
            reason = _unfit(passage, sentences, known)
            if reason:
                left_out[reason] += words_in(passage.text)
            else:
                passages.append(passage)
    return passages, left_out


def _around(text: str, sentences: Sequence[TextSpan]) -> Counter[str]:
    """Count the words of a block that are in none of its whole sentences."""
    words = words_in(text) - sum(words_in(span.text) for span in sentences)
    reason = NOT_ENGLISH if is_of_other_script(text) else "text without whole sentences"
    return Counter({reason: words} if words > 0 else {})


def _whole_sentences(document: Document, block: Block) -> list[TextSpan]:
    """Return the sentences of `block` from the first that begins in it to the last that ends in it."""
    text = document.text[block.start : block.end]
    spans = list(split_sentences(text))
    while spans and not _BEGINNING.match(spans[0].text):
        del spans[0]
    while spans and not _END.search(spans[-1].text):
        del spans[-1]
    return [TextSpan(span.text, span.start + block.start, span.end + block.start) for span in spans]


def _pieces(sentences: Sequence[TextSpan]) -> Iterator[list[TextSpan]]:
    """Cut sentences into runs of about equal length, none much longer than `LONGEST` words."""
    rest = sum(len(span.text.split()) for span in sentences)
    count = 1 if rest <= LONGEST else round(rest / USUAL)
    piece: list[TextSpan] = []
    words = 0
    for span in sentences:
        piece.append(span)
        words += len(span.text.split())
        if count > 1 and words >= rest / count:
            yield piece
            rest, count, piece, words = rest - words, count - 1, [], 0
    if piece:
        yield piece


def _passage(document: Document, block: Block, sentences: Sequence[TextSpan]) -> Passage:
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


def _unfit(passage: Passage, sentences: Sequence[TextSpan], known: _Known) -> str:
    """Return why a passage is none to ask about; "" when it is one, which is then known."""
    if len(passage.text.split()) < SHORTEST:
        return f"passages of fewer than {SHORTEST} words"
    if not is_english(passage.text):
        return NOT_ENGLISH
    return COPIES if known.has(passage, sentences) else ""


def _words(count: int) -> str:
    return f"{count:,} word{'' if count == 1 else 's'}"


def _nothing(surveyed: Survey) -> str:
    count = count_of(surveyed.documents, "document")
    lines = [
        f"no passage to ask about in {count} of {_words(surveyed.words)}",
        *(f"  {line}" for line in surveyed.lines),
        f"Questions are written from running English text, in passages of at least {SHORTEST} words: "
        "give documents that have some.",
    ]
    return "\n".join(lines)
