"""What the tests that follow will ask for."""

from __future__ import annotations

import pytest
from rag_evals.evals.engine.order.lookahead import Lookahead
from rag_evals.evals.questions.question import Question

QUESTIONS = [Question(f"q{n}", f"What is {n}?") for n in range(6)]


@pytest.fixture
def lookahead():
    """Six tests of one group, then two of another."""
    tests = [(f"one[{question.id}]", "one", (question, 0)) for question in QUESTIONS]
    return Lookahead([*tests, *((f"two[{q.id}]", "two", (q, 0)) for q in QUESTIONS[:2])])


def test_each_is_given_once_and_in_order(lookahead):
    """As the tests go on, each question behind them is given once, `count` of them ahead."""
    given = [lookahead.behind(f"one[q{n}]", (QUESTIONS[n], 0), 3) for n in range(6)]
    assert [[question.id for question, _ in part] for part in given] == [
        ["q1", "q2", "q3"],
        ["q4"],
        ["q5"],
        [],
        [],
        [],
    ]


def test_lanes_are_apart(lookahead):
    """The tests of another function or pipeline are not looked into."""
    assert [q.id for q, _ in lookahead.behind("two[q0]", (QUESTIONS[0], 0), 9)] == ["q1"]


def test_a_test_that_asks_for_something_else_is_not_predicted(lookahead):
    """A group whose test asks for another question than its own is left alone from then on."""
    assert lookahead.behind("one[q0]", (Question("q0", "Another?"), 0), 3) == ()
    assert lookahead.behind("one[q1]", (QUESTIONS[1], 0), 3) == ()


def test_tests_that_were_skipped_are_jumped(lookahead):
    """A test in the middle gives those behind it."""
    assert [q.id for q, _ in lookahead.behind("one[q3]", (QUESTIONS[3], 0), 9)] == ["q4", "q5"]


def test_an_unknown_test_has_nothing_behind_it(lookahead):
    """A test that no group knows gives nothing."""
    assert lookahead.behind("other", (QUESTIONS[0], 0), 3) == ()


def test_repeats_are_asks_of_their_own():
    """The second repeat of a question follows the first."""
    asks = [(question, repeat) for question in QUESTIONS[:2] for repeat in range(2)]
    lookahead = Lookahead((f"t[{q.id}-{repeat}]", "t", (q, repeat)) for q, repeat in asks)
    assert lookahead.behind("t[q0-0]", asks[0], 2) == asks[1:3]
    assert lookahead.behind("t[q0-1]", asks[0], 2) == ()
