"""The engine: whatever a pipeline or a judge does stays with its question, and nothing hangs."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.engine import Engine, PendingEvaluation
from rag_evals.evals.engine.reuse import scores_key
from rag_evals.evals.engine.task import Task
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.progress import Progress
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals.evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.errors import ModelError, RemoteError
from rag_evals.rag.llm.deadline import current
from rag_evals.rag.profile import Profile

QUESTION = Question("a", "How many?")
UNANSWERABLE = Question("b", "Who?", answerable=False)
METRICS = ("faithfulness", "relevancy", "refusal")
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


def task(pipeline, judge=GOOD, question=QUESTION, repeat=0) -> Task:
    return Task(pipeline, question, judge, METRICS, pipeline.name, repeat)


def refuse(error):
    raise error


def recording(recorded):
    def finish(evaluation):
        recorded.append(evaluation)
        return evaluation

    return finish


def keep(evaluation):
    return evaluation


def evaluated(pipeline, judge=GOOD, question=QUESTION) -> Evaluation:
    """Evaluate on an engine and wait a bounded time: a lost result is a failure, not a hang."""
    engine = Engine()
    try:
        return engine.submit(task(pipeline, judge, question)).result(timeout=10)
    finally:
        engine.close()


def test_evaluation_carries_answer_and_scores():
    """The answer's stages and tokens and the judge's are in the evaluation."""

    async def score(question, answer):
        return Judgement((Score("faithfulness", 0.9),), seconds=0.5, tokens=Tokens(1, 2, 3))

    judge = Custom(None)
    judge.score = score
    answer = Answer("Two.", seconds={"generate": 1.5}, tokens={"generate": Tokens(10, 20, 30)})
    pipeline = FakePipeline({"How many?": answer}, name="base")
    one = task(pipeline, judge)
    assert evaluated(pipeline, judge) == Evaluation(
        question=QUESTION,
        pipeline="base",
        answer=answer,
        scores=(Score("faithfulness", 0.9),),
        thresholds={},
        seconds={"generate": 1.5, "judge": 0.5},
        tokens={"generate": Tokens(10, 20, 30), "judge": Tokens(1, 2, 3)},
        keys={"answer": one.answer_key, "scores": scores_key(one, answer)},
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
    engine.submit(task(Custom(sys.exit))).result(timeout=10)
    after = engine.submit(task(FakePipeline(lambda _: "Two.")))
    assert after.result(timeout=10).outcome == "passed"


async def test_await_from_another_loop(engine):
    """An async test awaits on its own loop; the pipeline runs on the engine's, in the engine's thread."""
    seen = []

    def answer(question):
        seen.append((asyncio.get_running_loop(), threading.current_thread().name))
        return "Two."

    recorded = []
    running = engine.submit(task(FakePipeline(answer)))
    evaluation = await PendingEvaluation(running, recording(recorded), refuse, engine.give_up)
    assert evaluation.outcome == "passed"
    assert recorded == [evaluation]
    ((loop, thread),) = seen
    assert loop is not asyncio.get_running_loop()
    assert thread == "evals-engine"


def test_plain_result(engine):
    """A plain test calls `result()`; the evaluation is recorded before the test gets it, and once."""
    recorded = []
    running = engine.submit(task(FakePipeline(lambda _: "Two.")))
    pending = PendingEvaluation(running, recording(recorded), refuse, engine.give_up)
    assert pending.result() is pending.result()
    assert recorded == [pending.result()]


def test_result_from_a_plain_thread(engine):
    """Any thread may wait for a result, also one without a loop."""
    got = []

    def work():
        running = engine.submit(task(FakePipeline(lambda _: "Two.")))
        got.append(PendingEvaluation(running, keep, refuse, engine.give_up).result())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=10)
    assert [evaluation.outcome for evaluation in got] == ["passed"]


def test_what_the_recorder_raises_fails_that_test(engine):
    """A record that cannot be written reaches the test that made it."""

    def record(evaluation):
        raise ValueError("faithfulness = nan is no score")

    running = engine.submit(task(FakePipeline(lambda _: "Two.")))
    with pytest.raises(ValueError, match=r"^faithfulness = nan is no score$"):
        PendingEvaluation(running, record, refuse, engine.give_up).result()


async def test_a_test_that_gives_up_ends_its_evaluation(engine):
    """What nobody waits for any more is not left running; one that takes several glances is waited for."""
    ended = threading.Event()

    class Slow:
        name = "slow"
        fingerprint = "0"

        async def answer(self, question):
            try:
                await asyncio.sleep(0.5 if question == QUESTION.question else 60)
            except asyncio.CancelledError:
                ended.set()
                raise
            return Answer("Two.")

    waiting = PendingEvaluation(
        engine.submit(task(Slow(), question=UNANSWERABLE)), lambda it: it, refuse, engine.give_up
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.3)
    assert ended.wait(timeout=5)
    finished = await PendingEvaluation(engine.submit(task(Slow())), lambda it: it, refuse, engine.give_up)
    assert finished.answer.text == "Two."


class Blocking:
    """A pipeline that is async by name alone: it holds the engine's loop until it is let go."""

    name = "blocking"
    fingerprint = "0"

    def __init__(self):
        self.is_begun, self.go_on = threading.Event(), threading.Event()

    async def answer(self, question):
        self.is_begun.set()
        self.go_on.wait(30)
        return Answer("Two.")


@pytest.fixture
def blocking(monkeypatch):
    """A pipeline that blocks the loop; it is let go in the end, and its thread is waited for."""
    monkeypatch.setattr("rag_evals.evals.engine.engine.BLOCKED", 0.2)
    before = set(threading.enumerate())
    pipeline = Blocking()
    yield pipeline
    pipeline.go_on.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)


def test_a_pipeline_that_blocks_the_loop(blocking):
    """It is left alone with its loop when its test gives up; the questions that follow are evaluated."""
    engine = Engine()
    future = engine.submit(task(blocking))
    assert blocking.is_begun.wait(10)
    waiting = engine.submit(task(FakePipeline(lambda _: "Three.")))
    engine.give_up(future)
    answered = engine.submit(task(FakePipeline(lambda _: "Four."))).result(timeout=10)
    assert answered.answer.text == "Four."
    assert not waiting.done()
    engine.close()


def test_closing_a_loop_that_is_blocked(blocking):
    """The end of a session does not wait for it, and says nothing."""
    engine = Engine()
    engine.submit(task(blocking))
    assert blocking.is_begun.wait(10)
    engine.close()
    blocking.go_on.set()


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

    running = engine.submit(task(Slow()))
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

    running = engine.submit(task(Blocking()))
    assert started.wait(timeout=10)
    engine.close()
    release.set()
    with pytest.raises(CancelledError):
        running.result(timeout=1)


# --- working ahead ---


class Remote:
    """A pipeline that answers each question when the test lets it."""

    name = "remote"
    fingerprint = "0"

    def __init__(self):
        self.asked: list[str] = []
        self.most = self._now = 0
        self.go = threading.Event()

    async def answer(self, question):
        self.asked.append(question)
        self._now += 1
        self.most = max(self.most, self._now)
        while not self.go.is_set():
            await asyncio.sleep(0.001)
        self._now -= 1
        return Answer(f"to {question}")


def questions(count):
    return [Question(f"q{n}", f"{n}?") for n in range(count)]


def until(condition):
    """Wait until `condition` holds, for a bounded time."""
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it did not come to that")


@pytest.fixture
def wide():
    """An engine that works on eight tasks at once."""
    engine = Engine(concurrency=8)
    yield engine
    engine.close()


def test_as_many_at_once_as_there_are_places(wide):
    """Twenty tasks are begun ahead; eight are under way, and each test gets its own."""
    pipeline = Remote()
    tasks = [task(pipeline, question=question) for question in questions(20)]
    wide.work_ahead(tasks)
    until(lambda: len(pipeline.asked) == 8)
    pipeline.go.set()
    answers = [wide.submit(one).result(timeout=10).answer.text for one in tasks]
    assert answers == [f"to {n}?" for n in range(20)]
    assert (pipeline.most, len(pipeline.asked)) == (8, 20)


def test_more_tasks_than_calls_where_calls_are_held_back(engine):
    """A server's client bounds its calls itself: while some tasks wait for another try, others go on."""
    pipeline = Remote()
    pipeline.profile = Profile(most_at_once=4)
    engine.work_ahead([task(pipeline, question=question) for question in questions(20)])
    until(lambda: len(pipeline.asked) == 12)
    time.sleep(0.01)
    assert len(pipeline.asked) == 12
    engine.stop()
    pipeline.go.set()


def begun_of(engine, *tasks_of) -> list[int]:
    """Begin twenty tasks of each, and return how many each pipeline was asked when no more come."""
    pipelines = [pipeline for pipeline, _ in tasks_of]
    for pipeline, judge in tasks_of:
        engine.work_ahead([task(pipeline, judge, question) for question in questions(20)])
    until(lambda: any(pipeline.asked for pipeline in pipelines))
    time.sleep(0.05)
    begun = [len(pipeline.asked) for pipeline in pipelines]
    engine.stop()
    for pipeline in pipelines:
        pipeline.go.set()
    return begun


def test_two_servers_do_not_wait_for_each_other(engine):
    """Two pipelines on a server each have all the places of theirs, also with the same number of them."""
    one, two = Remote(), Remote()
    one.profile = two.profile = Profile(most_at_once=4)
    assert begun_of(engine, (one, GOOD), (two, GOOD)) == [12, 12]


def test_local_pipelines_wait_for_each_other(engine):
    """They share the machine, and a judge on a server its places."""
    one, two = Remote(), Remote()
    assert sum(begun_of(engine, (one, GOOD), (two, GOOD))) == 1
    judge = FakeJudge({"faithfulness": 0.9})
    judge.profile = Profile(most_at_once=2)
    one, two = Remote(), Remote()
    assert sum(begun_of(engine, (one, judge), (two, judge))) == 6


def test_stopping_begins_nothing_more(wide):
    """What no test has asked for is given up at once: what waits for a place is never begun."""
    pipeline = Remote()
    tasks = [task(pipeline, question=question) for question in questions(20)]
    asked_for = wide.submit(tasks[0])
    wide.work_ahead(tasks[1:])
    until(lambda: len(pipeline.asked) == 8)
    wide.stop()
    pipeline.go.set()
    assert asked_for.result(timeout=10).answer.text == "to 0?"
    assert wide.submit(task(FakePipeline(lambda _: "Two."))).result(timeout=10).outcome == "passed"
    assert len(pipeline.asked) == 8


@pytest.mark.parametrize(
    ("pipeline", "judge", "concurrency", "expected"),
    [
        (None, None, 0, 1),
        (None, None, 5, 5),
        (8, None, 0, 8),
        (8, 1, 5, 8),
        (1, 1, 5, 1),
        (1, 4, 0, 4),
        (1, None, 5, 5),
    ],
)
def test_places(pipeline, judge, concurrency, expected):
    """Whoever says how many it takes is taken at its word; others take as many as the run says, or one."""
    things = []
    for most in (pipeline, judge):
        thing = Custom(None)
        if most is not None:
            thing.profile = Profile(most_at_once=most)
        things.append(thing)
    engine = Engine(concurrency=concurrency)
    assert engine.places(task(*things)) == expected
    engine.close()


# --- bounds ---


def test_a_question_has_its_time():
    """Neither answer nor verdict within the time: unscored with that reason, and the next one goes on."""
    bounded = Engine(seconds=0.05)

    class Slow(Custom):
        async def answer(self, question):
            await asyncio.sleep(30)

        async def score(self, question, answer):
            await asyncio.sleep(30)

    late = bounded.submit(task(Slow(None))).result(timeout=10)
    assert (late.outcome, late.error, late.answer) == ("unscored", None, None)
    assert {score.reason for score in late.scores} == {"there is no answer within 0.05 s"}
    unjudged = bounded.submit(task(FakePipeline(lambda _: "Two."), Slow(None))).result(timeout=10)
    assert (unjudged.outcome, unjudged.answer) == ("unscored", Answer("Two."))
    assert {score.reason for score in unjudged.scores} == {"there is no verdict within 0.05 s"}
    bounded.close()


def test_what_fails_as_the_time_ends_has_run_out_of_it():
    """A model that is given up then raises before the engine's clock may have rung."""
    bounded = Engine(seconds=0.05)

    class GivesUp(Custom):
        async def answer(self, question):
            time.sleep(0.06)  # the loop stands still: no clock of it can ring
            raise TimeoutError("no reply of the model")

    late = bounded.submit(task(GivesUp(None))).result(timeout=10)
    bounded.close()
    assert (late.outcome, late.error) == ("unscored", None)
    assert {score.reason for score in late.scores} == {"there is no answer within 0.05 s"}


def test_a_wait_that_a_server_asks_for_is_not_the_questions():
    """The clock stands still meanwhile; the run's own end does not move."""

    class Waits(Custom):
        async def answer(self, question):
            await asyncio.to_thread(self.wait)
            return Answer("Two.")

        def wait(self):
            with current().waiting(0.3):
                time.sleep(0.3)

    judge = FakeJudge({"faithfulness": 0.9})
    patient = Engine(seconds=0.2)
    assert patient.submit(task(Waits(None), judge)).result(timeout=10).outcome == "passed"
    patient.close()
    ending = Engine(seconds=0.2, ends=lambda: time.monotonic() + 0.1)
    late = ending.submit(task(Waits(None), judge)).result(timeout=10)
    ending.close()
    assert {score.reason for score in late.scores} == {"there is no answer within 0.2 s"}


def test_a_spent_quota_is_told_to_the_run():
    """No further call will succeed: the evaluations to come need not be begun."""

    def fail():
        raise RemoteError("http://h/v1 answered HTTP 429: no\nIts quota is spent: pay.", is_final=True)

    progress = Progress()
    engine = Engine(watcher=progress)
    evaluation = engine.submit(task(Custom(fail))).result(timeout=10)
    engine.close()
    assert evaluation.outcome == "unscored"
    assert progress.given_up == "http://h/v1 answered HTTP 429: no; Its quota is spent: pay."


def test_a_server_that_fails_leaves_the_question_unscored():
    """A server's failure is not the pipeline's: no error and no breach, but no verdict either."""

    def fail():
        raise RemoteError("http://127.0.0.1:1/v1 cannot be used: refused")

    evaluation = evaluated(Custom(fail))
    assert (evaluation.outcome, evaluation.error) == ("unscored", None)
    assert evaluation.unscored[0] == (
        "faithfulness unscored: there is no answer: http://127.0.0.1:1/v1 cannot be used: refused"
    )


# --- loading ---


def test_what_cannot_be_loaded_is_wrong_configuration(engine):
    """It is loaded once, before its first answer; its error reaches every test as a usage error."""
    loads = []

    class Broken(FakePipeline):
        def load(self):
            loads.append(1)
            raise ModelError("x.gguf is no model")

    pipeline = Broken(lambda _: "Two.")
    for question in questions(3):
        with pytest.raises(UsageError, match=r"^x\.gguf is no model$"):
            engine.submit(task(pipeline, question=question)).result(timeout=10)
    assert (loads, pipeline.asked) == ([1], [])
