"""How a ranked list of passages covers the sources of a question.

Passages are compared with sources by characters where both tell their offsets, else by the source's quote,
else by its page, else by its document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.quotes import find_quote
from rag_evals.rag.answer import Context, Span

Passage = Context | Span
Interval = tuple[int, int]
Placed = tuple[list[Interval], list[int]]


@dataclass(frozen=True, slots=True)
class Target:
    """A source that is to be found.

    Attributes:
        source: The source.
        group: What it is an alternative for: sources with the same group count once.
        grade: What finding it is worth.
    """

    source: Source
    group: int
    grade: float


def targets_of(question: Question) -> tuple[Target, ...]:
    """Return what is to be found for a question, with what was judged to be worth nothing."""
    groups: dict[object, int] = {}
    targets = []
    for number, source in enumerate(question.sources):
        label = number if source.any_of is None else source.any_of
        group = groups.setdefault(label, len(groups))
        targets.append(Target(source, group, 1.0 if source.relevance is None else source.relevance))
    return tuple(targets)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a list of passages covers one source.

    Attributes:
        ranks: The passages, counted from 0, that cover something of it which those before do not.
        shares: How much of it the passages up to each of these cover together, above 0 to 1, rising.
        alone: How much of it each passage covers that covers anything, by rank.
        pieces: The intervals of it that are covered.
        undecided: Why it cannot be told whether some passage covers it; None where it can of all.
    """

    ranks: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    alone: Mapping[int, float] = field(default_factory=dict)
    pieces: Sequence[Interval] = ()
    undecided: str | None = None

    @property
    def share(self) -> float:
        """How much of the source all passages cover together."""
        return self.shares[-1] if self.shares else 0.0

    def reached(self, tau: float) -> int | None:
        """Return how many of `ranks` it takes to cover `tau` of the source; None when all do not."""
        return next((n for n, share in enumerate(self.shares, 1) if share >= tau), None)


class RankedPassages:
    """A ranked list of passages, sorted by document for looking up what covers a source.

    Attributes:
        passages: The passages, best first.
        placed: Where passages with offsets stand, by document, and the rank of each, in the order of ranks.
        copied: The same of further places of their texts.
        unplaced: Ranks of passages without offsets.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self.placed: dict[str, Placed] = defaultdict(_nowhere)
        self.copied: dict[str, Placed] = defaultdict(_nowhere)
        self.unplaced: list[int] = []
        # Ten thousand questions with a hundred passages each come by here: no call a passage.
        for rank, passage in enumerate(passages):
            start, end = passage.start, passage.end
            if start is None or end is None:
                self.unplaced.append(rank)
            elif start < end:
                intervals, ranks = self.placed[passage.document]
                intervals.append((start, end))
                ranks.append(rank)
            if isinstance(passage, Context) and passage.copies:
                self._place_copies(passage, rank)

    def _place_copies(self, passage: Context, rank: int) -> None:
        for copy in passage.copies:
            if copy.start is not None and copy.end is not None and copy.start < copy.end:
                intervals, ranks = self.copied[copy.document]
                intervals.append((copy.start, copy.end))
                ranks.append(rank)

    def coverage(self, source: Source) -> Coverage:
        """Return how the passages cover a source."""
        if not has_offsets(source):
            return self._coverage_by_words(source, range(len(self.passages)), {})
        pieces = self._pieces(source)
        if self.unplaced:
            return self._coverage_by_words(source, self.unplaced, pieces)
        return _accumulated(source, dict(sorted(pieces.items())) if self.copied else pieces)

    def _pieces(self, source: Source) -> dict[int, list[Interval]]:
        """Return the parts of a source that passages cover, by rank."""
        first, last = source.start or 0, source.end or 0
        pieces: dict[int, list[Interval]] = {}
        for places in (self.placed, self.copied):
            for (start, end), rank in zip(*places.get(source.document, ((), ())), strict=True):
                if start < last and end > first:
                    pieces.setdefault(rank, []).append((max(start, first), min(end, last)))
        return pieces

    def _coverage_by_words(
        self, source: Source, ranks: Iterable[int], pieces: dict[int, list[Interval]]
    ) -> Coverage:
        """Return how a source is covered where passages of `ranks` do so as a whole or not at all."""
        whole = (source.start or 0, source.end or 0) if has_offsets(source) else (0, 1)
        undecided = None
        for rank in ranks:
            holds = _holds(source, self.passages[rank])
            if holds is True:
                pieces[rank] = [whole]
            elif holds and undecided is None:
                undecided = f"passage {rank + 1} tells no {holds}, by which {source_name(source)} is found"
        return _accumulated(source, dict(sorted(pieces.items())), undecided)


def _nowhere() -> Placed:
    return [], []


def _accumulated(
    source: Source, pieces: Mapping[int, list[Interval]], undecided: str | None = None
) -> Coverage:
    if not pieces:
        return Coverage(undecided=undecided)
    size = (source.end or 0) - (source.start or 0) if has_offsets(source) else 1
    alone, ranks, shares = {}, [], []
    so_far: list[Interval] = []
    covered = 0
    for rank, own in pieces.items():
        alone[rank] = union_length(own) / size
        if covered < size and (joined := union_length([*so_far, *own])) > covered:
            # Joined, for a document as a whole may be covered by thousands of chunks.
            so_far, covered = union([*so_far, *own]), joined
            ranks.append(rank)
            shares.append(covered / size)
    return Coverage(tuple(ranks), tuple(shares), alone, so_far, undecided)


def _holds(source: Source, passage: Passage) -> bool | str:
    """Return whether a passage holds a source, or by what that could be told if the passage told it."""
    places = passage.places if isinstance(passage, Context) else (passage,)
    places = tuple(place for place in places if place.document in ("", source.document))
    if not places:
        return False
    if source.quote and source.quote.strip():
        return find_quote(source.quote, passage.text) is not None if isinstance(passage, Context) else "text"
    if source.page is not None:
        pages = [(place.page, place.page_end or place.page) for place in places if place.page is not None]
        return any(first <= source.page <= (last or first) for first, last in pages) if pages else "page"
    if has_offsets(source):
        return "character offsets"
    return True if any(place.document for place in places) else "document"


def has_offsets(source: Source) -> bool:
    """Return whether a source is a stretch of characters; one of no characters is none."""
    return source.start is not None and source.end is not None and source.end > source.start


def union_length(intervals: Sequence[Interval]) -> int:
    """Return how many characters stand in intervals of one document, each counted once."""
    if len(intervals) == 1:
        return intervals[0][1] - intervals[0][0]
    length = reached = 0
    for start, end in sorted(intervals):
        if end > reached:
            length += end - max(start, reached)
            reached = end
    return length


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the intervals that intervals of one document cover, sorted, none touching another."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def source_name(source: Source) -> str:
    """Return a source as messages name it."""
    page = f" p.{source.page}" if source.page is not None else ""
    if has_offsets(source):
        return f"{source.document}{page} (characters {source.start} to {source.end})"
    if not (source.quote and source.quote.strip()):
        return f"{source.document}{page}"
    words = " ".join(source.quote.split())
    return f'{source.document}{page} "{words if len(words) <= 60 else words[:59].rstrip() + "…"}"'
