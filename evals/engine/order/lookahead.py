"""Look-ahead: what the tests that follow will ask for, so that the engine can begin before they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rag_evals.evals.questions.question import Question

# A question and which repeat of it.
AskedQuestion = tuple[Question, int]


@dataclass(slots=True)
class _Group:
    """What the tests of one function and pipeline ask, in their order."""

    questions: list[AskedQuestion] = field(default_factory=list)
    begun: int = 0
    is_predictable: bool = True


class Lookahead:
    """The tests of a session by group: one test function with one pipeline.

    Args:
        tests: Id of the test, what its group is called, its question and repeat, in the order of the tests.
    """

    def __init__(self, tests: Iterable[tuple[str, str, AskedQuestion]]) -> None:
        self._groups: dict[str, _Group] = {}
        self._place: dict[str, tuple[_Group, int]] = {}
        for test, name, ask in tests:
            group = self._groups.setdefault(name, _Group())
            self._place[test] = (group, len(group.questions))
            group.questions.append(ask)

    def behind(self, test: str, ask: AskedQuestion, count: int) -> Sequence[AskedQuestion]:
        """Return what the next `count` tests behind `test` ask that was not given before.

        Nothing of a group whose tests `ask` something else than their own question: what they will ask for is
        anybody's guess.
        """
        group, place = self._place.get(test, (None, 0))
        if group is None or not group.is_predictable:
            return ()
        question, repeat = group.questions[place]
        if question is not ask[0] or repeat != ask[1]:
            group.is_predictable = False
            return ()
        first, last = max(group.begun, place + 1), place + 1 + count
        group.begun = max(group.begun, last)
        return group.questions[first:last]
