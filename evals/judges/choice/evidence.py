"""The sentences of the contexts: which are closest to a claim, and what plain look-up says of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, zip_longest

from rag_evals.evals.judges.claims.layout import cells_of, read_row
from rag_evals.evals.judges.claims.words import stems, wording
from rag_evals.rag.answer import Context
from rag_evals.rag.retrieval.embedder import Embedder, Vectors
from rag_evals.rag.retrieval.text.blocks import split_blocks
from rag_evals.rag.retrieval.text.sentences import sentences_of

# A claim is read next to this many of its closest sentences.
SENTENCES = 4
# Characters; a table or a text without full stops is cut into pieces of at most this length.
LONGEST_SENTENCE = 600

# Share of the stems of two sentences that both have: from here on they are nearly the same.
NEAR_COPY = 0.8

_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w-]+")


class Evidence:
    """The sentences of an answer's contexts.

    Closeness is the cosine of the embeddings where there is an embedder, else shared words, weighted by how
    rare they are among the sentences. Ties go to the sentence that stands first.

    Args:
        contexts: What the answer was written from.
        embedder: Gives the vectors; None for shared words.

    Attributes:
        sentences: The sentences in the order of the contexts, each with its place.
    """

    def __init__(self, contexts: Sequence[Context], embedder: Embedder | None = None) -> None:
        pieces = [piece for context in contexts for piece in _sentences(context)]
        self.sentences = tuple(sentence for sentence, _ in pieces)
        self._texts = [text for _, text in pieces]
        self._embedder = embedder

    def closest(self, claim: str, question: str = "", count: int = SENTENCES) -> tuple[Context, ...]:
        """Return the `count` sentences closest to `claim`, closest first, and what is nearly the same.

        Closest to the claim alone and behind its question count half each: "Two of them." is found by what
        was asked. A copy of one that is closer is passed over: four copies of one sentence are no more
        evidence than one, and would crowd out what contradicts it. So would rows of a list that differ in a
        month, or versions of a document that differ in a dose, but the claim may rest on any of these: one
        counts, and at most `count` of them in all are given beside.
        """
        if not self.sentences:
            return ()
        closeness = self._cosines if self._embedder else self._shared_words
        pairs = zip(closeness(claim), closeness(f"{question} {claim}"), strict=True)
        scores = [alone + behind for alone, behind in pairs]
        groups = self._groups(sorted(range(len(scores)), key=lambda n: -scores[n]), count)
        wanted = set(stems(claim)), set(stems(question))
        ranked = [self._ranked(group, *wanted) for group in groups]
        # One more of each group in turn: a long list leaves room for the versions of what stands elsewhere.
        beside = [
            one for turn in zip_longest(*(group[1:] for group in ranked)) for one in turn if one is not None
        ]
        given = set(beside[:count])
        return tuple(self.sentences[n] for group in ranked for n in group if n == group[0] or n in given)

    def as_read(self, sentences: Sequence[Context]) -> list[Context]:
        """Return `sentences` in the order of the contexts, a table's row as it is read with its header."""
        places = sorted(map(self.sentences.index, sentences))
        return [replace(self.sentences[n], text=self._texts[n]) for n in places]

    def _groups(self, order: Sequence[int], count: int) -> list[list[int]]:
        """Put sentences together that are nearly the same, without copies; return `count` groups."""
        groups: list[list[int]] = []
        seen: set[tuple[str, ...]] = set()
        for n in order:
            if self._wordings[n] in seen:
                continue
            group = next((group for group in groups if self._are_near(n, group[0])), None)
            if group is None and len(groups) == count:
                continue
            seen.add(self._wordings[n])
            if group is None:
                groups.append([n])
            else:
                group.append(n)
        return groups

    def _ranked(self, group: Sequence[int], claim: set[str], question: set[str]) -> list[int]:
        """Order what is nearly the same by what it differs in: what the claim says comes first."""
        common = set.intersection(*(self._stems[n] for n in group))
        return sorted(
            group,
            key=lambda n: (
                -len((self._stems[n] - common) & claim),
                -len((self._stems[n] - common) & question),
            ),
        )

    def _are_near(self, one: int, other: int) -> bool:
        ours, theirs = self._stems[one], self._stems[other]
        return len(ours & theirs) >= NEAR_COPY * len(ours | theirs)

    @cached_property
    def _wordings(self) -> list[tuple[str, ...]]:
        return [wording(text) for text in self._texts]

    def _cosines(self, claim: str) -> list[float]:
        assert self._embedder is not None
        vector = self._embedder.embed([claim])[0]
        return [float(cosine) for cosine in self._vectors @ vector]

    @cached_property
    def _vectors(self) -> Vectors:
        assert self._embedder is not None
        return self._embedder.embed(self._texts)

    def _shared_words(self, claim: str) -> list[float]:
        wanted = set(stems(claim))
        return [
            sum(self._rarity[stem] for stem in found & wanted) / (1.0 + math.log1p(len(found)))
            for found in self._stems
        ]

    @cached_property
    def _stems(self) -> list[set[str]]:
        return [set(stems(text)) for text in self._texts]

    @cached_property
    def _rarity(self) -> dict[str, float]:
        """How rare each stem is among the sentences, as in BM25."""
        frequency = Counter(stem for found in self._stems for stem in found)
        count = len(self.sentences)
        return {stem: math.log((count + 1.0) / (often + 0.5)) for stem, often in frequency.items()}

    def found(self, claim: str) -> dict[str, float]:
        """Look the words of `claim` up in all sentences.

        Returns:
            `words`: share of its content words that occur. `pairs`: share of its neighbouring content words
            that occur as neighbours. `numbers`: minus the count of its numbers that do not occur. `names`:
            minus the count of its capitalized words, but for the first, that do not occur.
        """
        words = stems(claim)
        pairs = list(pairwise(words))
        names = [stems(name) for name in _NAME.findall(claim)]
        return {
            "words": _share(word in self._rarity for word in words),
            "pairs": _share(pair in self._pairs for pair in pairs),
            "numbers": -float(sum(word[0].isdigit() and word not in self._rarity for word in words)),
            "names": -float(sum(any(part not in self._rarity for part in name) for name in names)),
        }

    @cached_property
    def _pairs(self) -> set[tuple[str, str]]:
        return {pair for text in self._texts for pair in pairwise(stems(text))}


def _share(found: Iterable[bool]) -> float:
    """Return the share that is true; 1 of nothing, as nothing is missing."""
    hits = list(found)
    return sum(hits) / len(hits) if hits else 1.0


def _sentences(context: Context) -> Iterator[tuple[Context, str]]:
    """Cut a context into sentences, each with its own offsets if the context has some, and as it is read."""
    for block in split_blocks(context.text):
        header = cells_of(context.text[slice(*block.header)]) if block.header else []
        for span in sentences_of(context.text, block):
            if header and len(span.text) <= LONGEST_SENTENCE:
                yield context.part(span.start, span.end), read_row(span.text, header)
                continue
            for start in range(span.start, span.end, LONGEST_SENTENCE):
                piece = context.part(start, min(start + LONGEST_SENTENCE, span.end))
                yield piece, piece.text
