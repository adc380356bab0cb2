"""Turns on the engine: the order of conversations, whatever is begun ahead, asked again, or goes wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from datetime import date

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.budget import Budget
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.engine import Engine
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer, Message, Tokens
from rag_evals.rag.errors import ModelError, RemoteError
from rag_evals.rag.llm.prices import Price
from rag_evals.rag.profile import Profile

GOOD = FakeJudge({"faithfulness": 0.9})
GREETING = (Message("assistant", "Hello."),)
TURNS = (
    Question("c-1", "q1", conversation="c", turn=1, history=GREETING),
    Question("c-2", "q2", conversation="c", turn=2),
    Question("c-3", "q3", conversation="c", turn=3),
)


class Talks:
    """A pipeline that answers with what it is asked, counts, and does what a test has it do."""

    name = "talks"
    fingerprint = "talks"
    profile = Profile(most_at_once=4, is_cacheable=False)

    def __init__(self, **does) -> None:
        self.asked: list[tuple[str, int]] = []
        self._does = does

    async def answer(self, question, history=()):
        self.asked.append((question, len(history)))
        does = self._does.get(question)
        if isinstance(does, Exception):
            raise does
        if does:
            await does()
        return Answer(f"{question} {len(self.asked)}")


def tasks(pipeline, **changes) -> list[Task]:
    return [
        Task(pipeline, turn, GOOD, ("faithfulness",), pipeline.name, earlier=TURNS[:n], **changes)
        for n, turn in enumerate(TURNS)
    ]


@pytest.fixture
def engine():
    engine = Engine()
    yield engine
    engine.close()


def reasons(evaluation: Evaluation) -> list[tuple[float | None, str | None]]:
    return [(score.value, score.reason) for score in evaluation.scores]


def test_turns_begun_ahead_wait_for_each_other(engine):
    """Each is asked once, in its order, whatever is begun first; the last one has all that was said."""

    async def slowly():
        await asyncio.sleep(0.05)

    pipeline = Talks(q1=slowly)
    first, second, third = tasks(pipeline)
    engine.work_ahead([third, second, first])
    found = [engine.submit(one).result(timeout=10) for one in (first, second, third)]
    assert pipeline.asked == [("q1", 1), ("q2", 3), ("q3", 5)]
    assert found[2].question.history == (
        *GREETING,
        *(Message("user", "q1"), Message("assistant", "q1 1")),
        *(Message("user", "q2"), Message("assistant", "q2 2")),
    )


def test_local_turns_do_not_wait_for_themselves(engine):
    """With one place, a turn that comes first asks those before it, and gives the place back."""
    pipeline = Talks()
    pipeline.profile = Profile(most_at_once=1, is_cacheable=False)
    first, second, third = tasks(pipeline)
    engine.work_ahead([third, first, second])
    assert engine.submit(third).result(timeout=10).outcome == "passed"
    assert engine.submit(first).result(timeout=10).outcome == "passed"
    assert pipeline.asked == [("q1", 1), ("q2", 3), ("q3", 5)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no disk"), ": OSError: no disk"),
        (RemoteError("the server\nis gone"), ": the server; is gone"),
        (SystemExit(), ": SystemExit"),
    ],
)
def test_what_an_earlier_turn_raised_is_the_cause(engine, error, reason):
    """Never 0, whatever the pipeline raised; an error that says nothing has its name."""

    def act():
        raise error

    pipeline = FakePipeline(lambda question: act() if question == "q2" else "So.")
    third = engine.submit(tasks(pipeline)[2]).result(timeout=10)
    assert (third.outcome, third.answer) == ("unscored", None)
    assert reasons(third) == [(None, f'turn 2 of conversation "c" gave no answer{reason}')]


def test_an_earlier_turn_without_time(engine):
    """The bound is that of an evaluation; the turn's own test says the same."""

    async def sleep():
        await asyncio.sleep(60)

    bounded = Engine(seconds=0.1)
    pipeline = Talks(q1=sleep)
    first, second, _ = tasks(pipeline)
    try:
        found = [bounded.submit(one).result(timeout=10) for one in (first, second)]
    finally:
        bounded.close()
    assert reasons(found[0]) == [(None, "there is no answer within 0.1 s")]
    assert reasons(found[1]) == [(None, 'turn 1 of conversation "c" gave no answer within 0.1 s')]
    assert len(pipeline.asked) == 1


def test_an_earlier_turn_that_is_given_up(engine):
    """A test that ends before its answer takes no later one with it: they say why."""
    begun = threading.Event()

    async def sleep():
        begun.set()
        await asyncio.sleep(60)

    pipeline = Talks(q1=sleep)
    first, second, _ = tasks(pipeline)
    future = engine.submit(first)
    assert begun.wait(10)
    later = engine.submit(second)
    engine.give_up(future)
    reason = 'turn 1 of conversation "c" gave no answer: it was given up'
    assert reasons(later.result(timeout=10)) == [(None, reason)]


def test_a_turn_that_is_asked_again_is_followed_by_what_it_says_then(engine):
    """Those that were begun behind its first attempt are begun anew."""
    pipeline = Talks()
    first, second, third = tasks(pipeline)
    engine.submit(first).result(timeout=10)
    engine.work_ahead([second, third])
    while len(pipeline.asked) < 3:
        time.sleep(0.01)
    engine.submit(replace(first, attempt=1)).result(timeout=10)
    history = engine.submit(second).result(timeout=10).question.history
    assert history[-1] == Message("assistant", "q1 4")


def test_a_recorded_turn_is_what_the_later_ones_go_on_from(engine):
    """A run that goes on asks nothing that it has recorded."""
    pipeline = Talks()
    first, second, _ = tasks(pipeline)
    recorded = Evaluation(first.question, "talks", Answer("recorded"), (), {})
    engine.take_recorded(first, recorded)
    found = engine.submit(second).result(timeout=10)
    assert found.question.history[-1] == Message("assistant", "recorded")
    assert pipeline.asked == [("q2", 3)]


def test_a_question_that_says_its_history_is_asked_with_it(engine):
    """A turn of a log, whose earlier ones were answered by somebody."""
    pipeline = Talks()
    question = replace(TURNS[2], history=GREETING)
    found = engine.submit(replace(tasks(pipeline)[2], question=question, earlier=())).result(timeout=10)
    assert (found.question.history, pipeline.asked) == (GREETING, [("q3", 1)])


def test_a_pipeline_that_cannot_be_loaded_ends_the_session(engine):
    """That is no turn's trouble: the configuration is wrong."""

    class Unloadable(Talks):
        def load(self):
            raise ModelError("no such model")

    with pytest.raises(UsageError, match=r"^no such model$"):
        engine.submit(tasks(Unloadable())[1]).result(timeout=10)


def test_what_was_said_before_is_part_of_the_identity():
    """Only where something was said: what was kept of single questions stays."""
    pipeline = Talks()
    second = tasks(pipeline)[1]
    alone = replace(second, question=replace(second.question, conversation=None, turn=None))
    assert second.answer_key == alone.answer_key
    told = replace(second, question=replace(second.question, history=GREETING))
    other = replace(second, question=replace(second.question, history=(Message("user", "Hello."),)))
    assert len({second.answer_key, told.answer_key, other.answer_key}) == 3


def test_the_plan_knows_which_turns_were_answered(tmp_path):
    """A turn counts as made where all before it were, in these words."""
    cache = Cache(tmp_path / "cache.sqlite")
    reuse_cache = ReuseCache(cache)
    engine = Engine(reuse_cache)
    pipeline = Talks()
    pipeline.profile = Profile()
    first, second, third = tasks(pipeline)
    try:
        engine.submit(second).result(timeout=10)
        assert [reuse_cache.peek(one) for one in (first, second, third)] == [
            (True, False),
            (True, True),
            (False, False),
        ]
    finally:
        engine.close()
        cache.close()


def test_turns_that_are_asked_for_a_later_one_are_paid_for():
    """They have no evaluation of their own to stand in."""
    engine = Engine()

    class Paid(Talks):
        profile = Profile(priced_as="dear", is_cacheable=False)

        async def answer(self, question, history=()):
            return Answer("So.", tokens={"generate": Tokens(1_000_000, 0, 0)})

    try:
        third = tasks(Paid())[2]
        found = engine.submit(third).result(timeout=10)
    finally:
        engine.close()
    assert found.total == Tokens(1_000_000, 0, 0)
    assert found.before == Tokens(2_000_000, 0, 0)
    budget = Budget(ReuseCache(), {"dear": Price(1.0, 1.0, 1.0, date(2026, 1, 1), "a page")})
    assert budget.count(third, found) == 3.0
