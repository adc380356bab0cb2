"""What the tests that follow will ask for, so that the engine can begin before they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rag_evals.evals.questions.question import Question

# A question and which repeat of it.
Ask = tuple[Question, int]


@dataclass(slots=True)
class _Lane:
    """What the tests of one function and pipeline ask, in their order."""

    asks: list[Ask] = field(default_factory=list)
    begun: int = 0
    is_predictable: bool = True


class Upcoming:
    """The tests of a session by lane: one test function with one pipeline.

    Args:
        tests: Id of the test, what its lane is called, its question and repeat, in the order of the tests.
    """

    def __init__(self, tests: Iterable[tuple[str, str, Ask]]) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._place: dict[str, tuple[_Lane, int]] = {}
        for test, name, ask in tests:
            lane = self._lanes.setdefault(name, _Lane())
            self._place[test] = (lane, len(lane.asks))
            lane.asks.append(ask)

    def behind(self, test: str, ask: Ask, count: int) -> Sequence[Ask]:
        """Give what the next `count` tests behind `test` ask that was not given before.

        Nothing of a lane whose tests `ask` something else than their own question: what they will ask for is
        anybody's guess.
        """
        lane, place = self._place.get(test, (None, 0))
        if lane is None or not lane.is_predictable:
            return ()
        question, repeat = lane.asks[place]
        if question is not ask[0] or repeat != ask[1]:
            lane.is_predictable = False
            return ()
        first, last = max(lane.begun, place + 1), place + 1 + count
        lane.begun = max(lane.begun, last)
        return lane.asks[first:last]
