"""Figures of characters: how much of the sources is in the passages, and of the passages in the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.retrieval.coverage import (
    Coverage,
    Interval,
    RankedPassages,
    Target,
    has_offsets,
    source_name,
    union_length,
)


@dataclass(frozen=True, slots=True)
class CharacterCounts:
    """Characters, each counted once however often it is covered.

    Attributes:
        sought: Those of the sources.
        shown: Those of the passages.
        found: Those of both.
    """

    sought: int
    shown: int
    found: int

    @property
    def recall(self) -> float:
        """The share of the sources that is in the passages."""
        return self.found / self.sought

    @property
    def precision(self) -> float:
        """The share of the passages that is in the sources; 0 without passages."""
        return self.found / self.shown if self.shown else 0.0

    @property
    def iou(self) -> float:
        """The characters of both as a share of those of either: the intersection over the union."""
        return self.found / (self.sought + self.shown - self.found)


def count_characters(
    targets: Sequence[Target], coverages: Sequence[Coverage], ranked: RankedPassages
) -> CharacterCounts:
    """Count the characters of sources and passages.

    Of alternatives the one counts that is covered best. A passage whose text stands in several places counts
    where a source stands, or else in its own place.

    Raises:
        NoVerdict: A source or a passage tells no offsets.
    """
    chosen = best_covered(targets, coverages)
    for number in chosen:
        if not has_offsets(targets[number].source):
            raise NoVerdict(f"{source_name(targets[number].source)} has no character offsets")
    if ranked.unplaced:
        raise NoVerdict(f"passage {ranked.unplaced[0] + 1} has no character offsets")
    sought: dict[str, list[Interval]] = {}
    found: dict[str, list[Interval]] = {}
    for number in chosen:
        source = targets[number].source
        sought.setdefault(source.document, []).append((source.start or 0, source.end or 0))
        found.setdefault(source.document, []).extend(coverages[number].pieces)
    return CharacterCounts(_total(sought), _total(_shown(ranked, sought)), _total(found))


def _total(intervals: Mapping[str, Sequence[Interval]]) -> int:
    return sum(map(union_length, intervals.values()))


def best_covered(targets: Sequence[Target], coverages: Sequence[Coverage]) -> list[int]:
    """Return the target of each group that is covered best; of groups worth nothing none."""
    best: dict[int, int] = {}
    for number, target in enumerate(targets):
        other = best.get(target.group)
        if target.grade > 0 and (other is None or coverages[number].share > coverages[other].share):
            best[target.group] = number
    return list(best.values())


def _shown(
    ranked: RankedPassages, sought: Mapping[str, Sequence[Interval]]
) -> Mapping[str, Sequence[Interval]]:
    """Return the characters of the passages, by document."""
    if not ranked.copied:
        return {name: intervals for name, (intervals, _) in ranked.placed.items()}
    shown: dict[str, list[Interval]] = {}
    touching = set()
    for places in (ranked.placed, ranked.copied):
        for name, wanted in sought.items():
            for place, rank in zip(*places.get(name, ((), ())), strict=True):
                if any(place[0] < end and place[1] > start for start, end in wanted):
                    shown.setdefault(name, []).append(place)
                    touching.add(rank)
    for name, (intervals, ranks) in ranked.placed.items():
        rest = [place for place, rank in zip(intervals, ranks, strict=True) if rank not in touching]
        shown.setdefault(name, []).extend(rest)
    return shown
