"""Figures of ranks: hit, recall, precision, reciprocal rank, average precision and nDCG.

A source is found at the passage with which `tau` of it is covered, by all passages up to there together.
Where each passage covers one source, its place is that passage's rank and the figures are those of trec_eval.
Else:

- Passages that only cover parts of sources which later ones complete take no place.
- Of several sources that one passage completes the one that is worth most has the passage's place, the others
  the next that are free; what is worth more goes first, whichever passage it is of.

So no two sources share a place and no figure exceeds 1. Sources worth the same reach 1 with passages of any
size; others do unless a passage holds a part of one source and of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import log2

from rag_evals.evals.retrieval.coverage import Coverage, Target


@dataclass(frozen=True, slots=True)
class Reached:
    """A target of which enough is covered.

    Attributes:
        target: The target.
        rank: The passage with which it is, counted from 0.
        taken: Ranks of the passages that it takes.
    """

    target: Target
    rank: int
    taken: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Find:
    """A target that is found, and that no better alternative was found of before.

    Attributes:
        reached: The target, and the passages that it takes.
        place: Its place, counted from 1.
        gain: What it is worth beyond the alternatives that were found before.
        is_first: Whether no alternative was found before.
    """

    reached: Reached
    place: int
    gain: float
    is_first: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the first k passages find, and the best that they could.

    Attributes:
        finds: What was found, in its order.
        useful: How many passages helped to find something.
        grades: What each group of alternatives is worth at best, from the highest; none of 0.
    """

    finds: tuple[Find, ...]
    useful: int
    grades: tuple[float, ...]

    @property
    def hit(self) -> float:
        """1 when anything was found."""
        return float(bool(self.finds))

    @property
    def recall(self) -> float:
        """The share of the groups of which a source was found."""
        return sum(find.is_first for find in self.finds) / len(self.grades)

    @property
    def reciprocal_rank(self) -> float:
        """1 divided by the place of the first source."""
        return 1 / self.finds[0].place if self.finds else 0.0

    @property
    def average_precision(self) -> float:
        """The mean over all groups of the share of sources among the places up to theirs; 0 if not found."""
        places = (find.place for find in self.finds if find.is_first)
        return sum(n / place for n, place in enumerate(places, 1)) / len(self.grades)

    def ndcg(self, k: int) -> float:
        """Gains, each divided by the logarithm of its place, as a share of the best that is possible."""
        gained = sum(find.gain / log2(find.place + 1) for find in self.finds if find.place <= k)
        best = sum(grade / log2(place + 1) for place, grade in enumerate(self.grades[:k], 1))
        return min(1.0, gained / best)  # floats add up in another order


def reached_targets(
    targets: Sequence[Target], coverages: Sequence[Coverage], tau: float
) -> tuple[Reached, ...]:
    """Return the targets that are worth something and of which `tau` is covered, as they are found."""
    reached = []
    for target, coverage in zip(targets, coverages, strict=True):
        count = coverage.reached(tau) if target.grade > 0 else None
        if count is not None:
            reached.append(Reached(target, coverage.ranks[count - 1], coverage.ranks[:count]))
    # Of several that one passage covers, the one that is worth most comes first.
    return tuple(sorted(reached, key=lambda one: (one.rank, -one.target.grade)))


def rank_finds(reached: Sequence[Reached], grades: tuple[float, ...], k: int | None = None) -> Ranking:
    """Return what the first `k` passages find, all passages without `k`.

    Args:
        reached: The targets that are found, in their order.
        grades: What each group of alternatives is worth at best, from the highest.
        k: Number of passages.
    """
    best: dict[int, float] = {}
    found = []
    for one in reached:
        if k is not None and one.rank >= k:
            break
        before = best.get(one.target.group, 0.0)
        if one.target.grade > before:
            found.append(Find(one, one.rank + 1, one.target.grade - before, before == 0))
            best[one.target.group] = one.target.grade
    useful = {rank for find in found for rank in find.reached.taken}
    return Ranking(_placed(found, useful), len(useful), grades)


def _placed(found: Sequence[Find], useful: AbstractSet[int]) -> tuple[Find, ...]:
    """Return finds, which come in the order of their passages, with the places that they have."""
    completing = {find.reached.rank for find in found}
    partial = useful - completing
    if not partial and len(completing) == len(found):
        return tuple(found)
    first = [find.place - sum(rank < find.reached.rank for rank in partial) for find in found]
    placed = []
    waiting: list[tuple[float, int]] = []  # what is worth most comes first
    place = n = 0
    while n < len(found) or waiting:
        place = place + 1 if waiting else max(place + 1, first[n])
        while n < len(found) and first[n] <= place:
            heappush(waiting, (-found[n].gain, n))
            n += 1
        placed.append(replace(found[heappop(waiting)[1]], place=place))
    return tuple(placed)


def best_grades(targets: Sequence[Target]) -> tuple[float, ...]:
    """Return what each group of alternatives is worth at best, from the highest."""
    grades: dict[int, float] = {}
    for target in targets:
        grades[target.group] = max(target.grade, grades.get(target.group, 0.0))
    return tuple(sorted((grade for grade in grades.values() if grade > 0), reverse=True))
