"""The planner of a set: the kind that the mix lacks most, about a sentence not asked about yet.

Nothing here depends on how many questions are wanted in the end, so a run that was stopped, or is to give
more than it did, plans the same items again in the same order.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from rag_evals.evals.generation.candidate import Candidate, Passage
from rag_evals.evals.generation.rules.rule import ANSWERED
from rag_evals.evals.generation.text.passages import alternate, in_turn, shuffled
from rag_evals.evals.generation.text.target_sentences import (
    PageAt,
    TargetSentence,
    have_own_names,
    targets_of,
)
from rag_evals.evals.generation.text.words import names_in
from rag_evals.evals.generation.writing.writer import PlannedQuestion
from rag_evals.rag.retrieval.embedder import Vectors

Embed = Callable[[Sequence[str]], Vectors]

# A kind is given up when it was tried so often, and so often more for each question that it gave; the last
# kind never is. Where the others have no sentence left, those with an answer go on with theirs.
TRIES, TRIES_EACH = 6, 4
# Sentences that are compared with each other; more are not embedded, however long the documents are.
MOST_EMBEDDED = 600
# Cosine of two sentences: below, they have nothing to compare; above, they say the same.
LEAST_ALIKE, MOST_ALIKE = 0.45, 0.9

_PAIRED = ("comparison", "distractor")
_AGAIN = ("fact", "number", "list", "definition")


def targets_in_turn(
    passages: Sequence[Passage], seed: int, pages: Mapping[str, PageAt] | None = None
) -> list[TargetSentence]:
    """Return the sentences to ask about, spread over documents, sections and passages; doubtful ones last."""
    chance = random.Random(seed)
    told = [
        shuffled(targets_of(passage, (pages or {}).get(passage.document)), chance)
        for passage in in_turn(passages, seed)
    ]
    return sorted(alternate(told), key=lambda target: target.is_doubtful)


class Planner:
    """Says what is to be written next.

    Args:
        targets: The sentences, in the order in which they are asked about.
        mix: Per cent of each kind; kinds that are not named are not written.
        embed: Gives unit vectors of texts, for kinds that need two sentences that are alike; None leaves
            these kinds out.

    Attributes:
        given_up: Kinds that are not tried any more, and why.
    """

    def __init__(
        self, targets: Sequence[TargetSentence], mix: Mapping[str, int], embed: Embed | None = None
    ) -> None:
        self._targets = targets
        self._mix = {kind: share for kind, share in mix.items() if share > 0}
        self._embed = embed
        self._tries: Counter[str] = Counter()
        self._used: set[tuple[str, object]] = set()
        self._vectors: Vectors | None = None
        self._places: dict[tuple[str, object], int] = {}
        self._number = 0
        self._tired: set[str] = set()
        self._is_second_round = False
        self.given_up: dict[str, str] = {}

    def next(self, kept: Sequence[Candidate]) -> PlannedQuestion | None:
        """Return the next item; None when no kind has anything left."""
        counts = Counter(candidate.kind for candidate in kept)
        while kind := self._kind(counts) or self._tired_kind(counts):
            item = self._item(kind, kept)
            if item is not None:
                self._tries[kind] += 1
                self._number += 1
                return item
            # A paraphrase only waits for a question to say again, unless nothing else goes on either.
            if kind != "paraphrase" or not self._others():
                self.given_up[kind] = "no sentence left for it"
            else:
                counts["paraphrase"] += 1
        return None

    def _others(self) -> list[str]:
        return [kind for kind in self._mix if kind not in self.given_up and kind != "paraphrase"]

    def _kind(self, counts: Counter[str]) -> str | None:
        """Return the kind that is farthest below its share; the first named of equals."""
        for kind in self._mix:
            tries = self._tries[kind]
            is_last = self._is_second_round or len(self.given_up) == len(self._mix) - 1
            if kind not in self.given_up and not is_last and tries >= TRIES + TRIES_EACH * counts[kind]:
                self._tired.add(kind)
                self.given_up[kind] = f"{tries} tries gave {counts[kind]}"
        open_kinds = {kind: share for kind, share in self._mix.items() if kind not in self.given_up}
        whole, count = sum(open_kinds.values()), sum(counts.values()) + 1
        return max(open_kinds, key=lambda kind: open_kinds[kind] * count / whole - counts[kind], default=None)

    def _tired_kind(self, counts: Counter[str]) -> str | None:
        """Take up the kinds again that gave too little: no other has a sentence left, and they may have.

        Not those without an answer: they would become half of the set.
        """
        if self._is_second_round:
            return None
        self._is_second_round = True
        for kind in self._tired & ANSWERED:
            del self.given_up[kind]
        return self._kind(counts)

    def _item(self, kind: str, kept: Sequence[Candidate]) -> PlannedQuestion | None:
        if kind == "paraphrase":
            return self._again(kept)
        for target in self._open(kind):
            other = self._like(target) if kind in _PAIRED else None
            if kind in _PAIRED and other is None:
                continue
            self._used.add(_mark(kind, target))
            if kind == "comparison" and other is not None:
                self._used.add(_mark(kind, other))
            return PlannedQuestion(self._number, kind, target, other)
        return None

    def _open(self, kind: str) -> Iterator[TargetSentence]:
        """Return the free sentences good for `kind`, the best first.

        A fact takes those that are good for nothing else, and what is not answered is asked of a name.
        """
        wanted = {"false_premise": "number"}.get(kind, kind)
        wanted = wanted if wanted in ("number", "list", "definition") else "fact"
        good = [
            target
            for target in self._targets
            if wanted in target.kinds and _mark(kind, target) not in self._used
        ]
        if kind == "fact":
            good.sort(key=lambda target: (target.is_doubtful, len(target.kinds) > 1))
        if kind == "unanswerable":
            good.sort(key=lambda target: not names_in(target.text))
        return iter(good)

    def _again(self, kept: Sequence[Candidate]) -> PlannedQuestion | None:
        for candidate in kept:
            mark = ("paraphrase", candidate.number)
            if candidate.kind in _AGAIN and mark not in self._used:
                self._used.add(mark)
                target = _target_of(candidate)
                return PlannedQuestion(self._number, "paraphrase", target, original=candidate)
        return None

    def _like(self, target: TargetSentence) -> TargetSentence | None:
        """Return the free sentence of another passage that is most like `target`, if it is like enough."""
        if self._embed is None:
            return None
        known = self._targets[:MOST_EMBEDDED]
        if self._vectors is None:
            self._vectors = self._embed([one.text for one in known])
            self._places = {_mark("", one): place for place, one in enumerate(known)}
        place = self._places.get(_mark("", target))
        if place is None:
            return None
        cosines = self._vectors @ self._vectors[place]
        for place in sorted(range(len(known)), key=lambda n: -float(cosines[n])):
            other = known[place]
            if cosines[place] < LEAST_ALIKE:
                return None
            is_free = _mark("comparison", other) not in self._used and other.passage != target.passage
            if is_free and cosines[place] < MOST_ALIKE and have_own_names(target, other):
                return other
        return None


def _mark(kind: str, target: TargetSentence) -> tuple[str, object]:
    """Return what a question uses up; false premises and what is missing are apart from other questions."""
    if kind == "unanswerable":
        return kind, target.passage
    group = kind if kind == "false_premise" else "asked"
    return group, (target.passage.document, target.start)


def _target_of(candidate: Candidate) -> TargetSentence:
    source = candidate.question.sources[0]
    return TargetSentence(
        candidate.passage, source.page, source.start or 0, source.end or 0, source.quote or "", frozenset()
    )
