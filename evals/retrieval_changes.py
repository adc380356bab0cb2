"""What became of the passages of a question from one run to the next: gained, lost, moved."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.answer import Context


@dataclass(frozen=True, slots=True)
class RetrievalChange:
    """How the contexts of an answer changed; false when they did not.

    Attributes:
        gained: Contexts that the run has and the baseline has not, in their order.
        lost: Contexts that the baseline has and the run has not.
        moved: How many of the others would have to be moved to get from one order to the other.
    """

    gained: tuple[Context, ...] = ()
    lost: tuple[Context, ...] = ()
    moved: int = 0

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost or self.moved)


def retrieval_change(before: Sequence[Context], after: Sequence[Context]) -> RetrievalChange:
    """Compare two lists of contexts.

    Two are the same when they stand at the same place of a document, or, where none is known or the document
    has changed, when they have the same text.
    """
    matched: dict[int, int] = {}
    for key in (_place, _words):
        _match(before, after, key, matched)
    order = [matched[n] for n in sorted(matched)]
    kept = set(order)
    return RetrievalChange(
        gained=tuple(context for n, context in enumerate(after) if n not in kept),
        lost=tuple(context for n, context in enumerate(before) if n not in matched),
        moved=len(order) - _longest_rise(order),
    )


def _match(
    before: Sequence[Context],
    after: Sequence[Context],
    key: Callable[[Context], object | None],
    matched: dict[int, int],
) -> None:
    """Add to `matched`, index before to index after, what has the same key and is not in it yet."""
    free: dict[object, list[int]] = {}
    taken = set(matched.values())
    for n, context in enumerate(after):
        if n not in taken:
            free.setdefault(key(context), []).append(n)
    for n, context in enumerate(before):
        known = key(context)
        if n not in matched and known is not None and free.get(known):
            matched[n] = free[known].pop(0)


def _place(context: Context) -> object | None:
    if context.start is None or context.end is None:
        return None
    return context.document, context.start, context.end


def _words(context: Context) -> object:
    return context.document, context.text


def _longest_rise(numbers: Sequence[int]) -> int:
    """Give the length of the longest rising subsequence of distinct `numbers` (patience sorting)."""
    ends: list[int] = []
    for number in numbers:
        at = bisect_left(ends, number)
        ends[at : at + 1] = [number]
    return len(ends)
