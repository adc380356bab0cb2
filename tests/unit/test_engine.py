"""The engine: whatever a pipeline or a judge does stays with its question, and nothing hangs."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import CancelledError

import pytest

from evals.engine import Engine, PendingEvaluation, evaluate
from evals.questions import Question
from evals.records import Evaluation, Judgement, Score
from evals.testing import FakeJudge, FakePipeline
from rag.answer import Answer, Tokens

QUESTION = Question("a", "How many?")
UNANSWERABLE = Question("b", "Who?", answerable=False)
THRESHOLDS = {"faithfulness": 0.5, "relevancy": 0.5, "refusal": 0.5}
GOOD = FakeJudge({"faithfulness": 0.9, "relevancy": 0.8, "refusal": 0.7})


@pytest.fixture
def engine():
    """An engine that is closed behind the test."""
    engine = Engine()
    yield engine
    engine.close()


class Custom:
    """A pipeline and a judge that do whatever a function does."""

    name = "custom"
    fingerprint = "0"

    def __init__(self, act):
        self._act = act

    async def answer(self, question):
        return self._act()

    async def score(self, question, answer):
        return self._act()


def evaluated(pipeline, judge=GOOD, question=QUESTION) -> Evaluation:
    """Evaluate on an engine and wait a bounded time: a lost result is a failure, not a hang."""
    engine = Engine()
    try:
        return engine.submit(evaluate(pipeline, question, judge, THRESHOLDS)).result(timeout=10)
    finally:
        engine.close()


def test_evaluation_carries_answer_and_scores():
    """The answer's stages and tokens and the judge's are in the evaluation."""

    async def score(question, answer):
        return Judgement((Score("faithfulness", 0.9),), seconds=0.5, tokens=Tokens(1, 2, 3))

    judge = Custom(None)
    judge.score = score
    answer = Answer("Two.", seconds={"generate": 1.5}, tokens=Tokens(10, 20, 30))
    assert evaluated(FakePipeline({"How many?": answer}, name="base"), judge) == Evaluation(
        question=QUESTION,
        pipeline="base",
        answer=answer,
        scores=(Score("faithfulness", 0.9),),
        thresholds=THRESHOLDS,
        seconds={"generate": 1.5, "judge": 0.5},
        tokens=Tokens(11, 22, 33),
    )


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda: (_ for _ in ()).throw(ValueError("boom")), "ValueError: boom"),
        (lambda: (_ for _ in ()).throw(TimeoutError()), "TimeoutError"),
        (lambda: sys.exit("usage: ask QUESTION"), "SystemExit: usage: ask QUESTION"),
        (lambda: "Two.", "TypeError: answer() gave str, not an Answer"),
        (lambda: None, "TypeError: answer() gave NoneType, not an Answer"),
    ],
)
def test_pipeline_that_gives_no_answer(act, error):
    """Whatever a pipeline raises or gives in place of an answer is the evaluation's error."""
    evaluation = evaluated(Custom(act))
    assert (evaluation.error, evaluation.answer, evaluation.outcome) == (error, None, "error")
    assert evaluation.scores == (
        Score("faithfulness", None, reason="there is no answer"),
        Score("relevancy", None, reason="there is no answer"),
        Score("refusal", None, reason="there is no answer"),
    )


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda: (_ for _ in ()).throw(ValueError("boom")), "the judge raised ValueError: boom"),
        (lambda: (_ for _ in ()).throw(TimeoutError()), "the judge raised TimeoutError"),
        (lambda: sys.exit(3), "the judge raised SystemExit: 3"),
        (lambda: [0.9], "the judge raised TypeError: score() gave list, not a Judgement"),
        (lambda: Judgement(()), "the judge gave no score"),
    ],
)
@pytest.mark.parametrize(
    ("question", "metrics"),
    [(QUESTION, ["faithfulness", "relevancy", "refusal"]), (UNANSWERABLE, ["refusal"])],
)
def test_judge_that_gives_no_verdict(act, reason, question, metrics):
    """Whatever a judge raises or gives in place of scores leaves each metric unscored with that reason."""
    evaluation = evaluated(FakePipeline(lambda _: "Two."), Custom(act), question)
    assert evaluation.scores == tuple(Score(metric, None, reason=reason) for metric in metrics)
    assert (evaluation.answer, evaluation.error, evaluation.outcome) == (Answer("Two."), None, "unscored")


def test_one_failure_touches_one_question(engine):
    """After a pipeline that calls sys.exit() the engine still answers."""
    engine.submit(evaluate(Custom(sys.exit), QUESTION, GOOD, THRESHOLDS)).result(timeout=10)
    after = engine.submit(evaluate(FakePipeline(lambda _: "Two."), QUESTION, GOOD, THRESHOLDS))
    assert after.result(timeout=10).outcome == "passed"


async def test_await_from_another_loop(engine):
    """An async test awaits on its own loop; the pipeline runs on the engine's, in the engine's thread."""
    seen = []

    def answer(question):
        seen.append((asyncio.get_running_loop(), threading.current_thread().name))
        return "Two."

    recorded = []
    running = engine.submit(evaluate(FakePipeline(answer), QUESTION, GOOD, THRESHOLDS))
    evaluation = await PendingEvaluation(running, recorded.append)
    assert evaluation.outcome == "passed"
    assert recorded == [evaluation]
    ((loop, thread),) = seen
    assert loop is not asyncio.get_running_loop()
    assert thread == "evals-engine"


def test_plain_result(engine):
    """A plain test calls `result()`; the evaluation is recorded before the test gets it, and once."""
    recorded = []
    running = engine.submit(evaluate(FakePipeline(lambda _: "Two."), QUESTION, GOOD, THRESHOLDS))
    pending = PendingEvaluation(running, recorded.append)
    assert pending.result() is pending.result()
    assert recorded == [pending.result()]


def test_result_from_a_plain_thread(engine):
    """Any thread may wait for a result, also one without a loop."""
    got = []

    def work():
        running = engine.submit(evaluate(FakePipeline(lambda _: "Two."), QUESTION, GOOD, THRESHOLDS))
        got.append(PendingEvaluation(running, lambda _: None).result())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=10)
    assert [evaluation.outcome for evaluation in got] == ["passed"]


def test_what_the_recorder_raises_fails_that_test(engine):
    """A record that cannot be written reaches the test that made it."""

    def record(evaluation):
        raise ValueError("faithfulness = nan is no score")

    running = engine.submit(evaluate(FakePipeline(lambda _: "Two."), QUESTION, GOOD, THRESHOLDS))
    with pytest.raises(ValueError, match=r"^faithfulness = nan is no score$"):
        PendingEvaluation(running, record).result()


def test_close_while_busy():
    """Closing cancels what still runs: whoever waits for it is told at once, and no thread is left."""
    engine = Engine()
    started = threading.Event()

    class Slow:
        name = "slow"
        fingerprint = "0"

        async def answer(self, question):
            started.set()
            await asyncio.sleep(60)

    running = engine.submit(evaluate(Slow(), QUESTION, GOOD, THRESHOLDS))
    assert started.wait(timeout=10)
    engine.close()
    with pytest.raises(CancelledError):
        running.result(timeout=1)
    assert "evals-engine" not in [thread.name for thread in threading.enumerate()]


def test_close_while_a_thread_is_busy():
    """A pipeline that blocks in a thread of its own does not hold up closing."""
    engine = Engine()
    started, release = threading.Event(), threading.Event()

    class Blocking:
        name = "blocking"
        fingerprint = "0"

        async def answer(self, question):
            started.set()
            await asyncio.to_thread(release.wait, 60)

    running = engine.submit(evaluate(Blocking(), QUESTION, GOOD, THRESHOLDS))
    assert started.wait(timeout=10)
    engine.close()
    release.set()
    with pytest.raises(CancelledError):
        running.result(timeout=1)
