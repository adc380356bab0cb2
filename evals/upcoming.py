"""What the tests that follow will ask for, so that the engine can begin before they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evals.questions import Question


@dataclass(slots=True)
class _Lane:
    """The questions of one test function and pipeline, in the order of the tests."""

    questions: list[Question] = field(default_factory=list)
    begun: int = 0
    is_predictable: bool = True


class Upcoming:
    """The tests of a session by lane: one test function with one pipeline.

    Args:
        tests: Id of the test, what its lane is called, and its question, in the order of the tests.
    """

    def __init__(self, tests: Iterable[tuple[str, str, Question]]) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._place: dict[str, tuple[_Lane, int]] = {}
        for test, name, question in tests:
            lane = self._lanes.setdefault(name, _Lane())
            self._place[test] = (lane, len(lane.questions))
            lane.questions.append(question)

    def behind(self, test: str, question: Question, count: int) -> Sequence[Question]:
        """Give the questions of the next `count` tests behind `test` that were not given before.

        Nothing of a lane whose tests ask for another `question` than their own: what they will ask for is
        anybody's guess.
        """
        lane, place = self._place.get(test, (None, 0))
        if lane is None or not lane.is_predictable:
            return ()
        if lane.questions[place] is not question:
            lane.is_predictable = False
            return ()
        first, last = max(lane.begun, place + 1), place + 1 + count
        lane.begun = max(lane.begun, last)
        return lane.questions[first:last]
