"""The cluster backend on a cluster that is played: losses, refusals, versions, and what is kept here."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import replace

import pytest
from rag_evals.evals.base.errors import LostAnswerError, UsageError
from rag_evals.evals.engine.backends.cluster import supervisor
from rag_evals.evals.engine.backends.cluster.actor import SOURCES, node_info
from rag_evals.evals.engine.backends.cluster.backend import ClusterBackend
from rag_evals.evals.engine.backends.cluster.messages import (
    KeptItems,
    LostError,
    NodeSpec,
    Reply,
)
from rag_evals.evals.engine.backends.cluster.options import ClusterPlan
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.engine import Engine
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Origin, Task
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.progress import Progress
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer

PIPELINE = FakePipeline({"How many?": "Two."})
JUDGE = FakeJudge({"faithfulness": 0.9})
HERE = node_info()
SPEC = NodeSpec((), None, ".", (), "", None)


def task(number: int = 0, **more) -> Task:
    origin = Origin("test_it.py::test_answer fake", "pipeline", "judge")
    question = Question(f"q{number}", "How many?", thresholds=(("faithfulness", 0.5),))
    return Task(PIPELINE, question, JUDGE, ("faithfulness",), "fake", origin=origin, **more)


def done(value=None) -> Future:
    future: Future = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class Actor:
    """An actor that does as it is told."""

    def __init__(self, info=HERE, begun=None, answers=None):
        self.label = "an actor"
        self.is_killed = False
        self.asked = []
        self._info, self._begun, self._answers = info, begun, answers or (lambda request: "Two.")

    def about(self):
        return done(self._info) if self._info else Future()

    def begin(self):
        return done(self._begun)

    async def evaluate(self, request, name, seconds=None):
        self.asked.append((name, request))
        await asyncio.sleep(0.001)
        said = self._answers(request)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Reply):
            return said
        question = replace(request.question, thresholds=())
        scores = (Score("faithfulness", 0.9),)
        kept = KeptItems("answer", {"key": b"kept"}, request.question.id, None)
        return Reply(Evaluation(question, "fake", Answer(said), scores, {}), [kept])

    def end(self):
        return done()

    def kill(self):
        self.is_killed = True


class PlayedCluster:
    """A cluster that gives one actor after the other."""

    def __init__(self, *actors, room=2, missing=""):
        self.begun = []
        self._actors, self._room, self._missing = list(actors), room, missing
        self.head = None

    def actor(self, start, spec):
        assert spec is SPEC
        actor = self._actors.pop(0) if self._actors else Actor()
        self.begun.append(actor)
        return actor

    def room(self, needs):
        return self._room

    def missing(self, needs):
        return self._missing

    def ask_head(self):
        if self.head:
            raise self.head

    def close(self):
        self.is_closed = True


@pytest.fixture
def on():
    """Return an engine on a cluster, and what it says."""
    engines = []

    def begin(cluster, *, cache=None, plan=None, tasks=100):
        said = []
        backend = ClusterBackend(
            lambda: cluster,
            plan or ClusterPlan(),
            lambda spec: None,
            lambda connection: SPEC,
            cache=cache,
            concurrency=0,
            seconds=60.0,
            ends=lambda: None,
            watcher=Progress(),
            say=said.append,
            tasks=tasks,
        )
        engine = Engine(ReuseCache(cache), backend=backend)
        engines.append(engine)
        return engine, said

    yield begin
    for engine in engines:
        engine.close()


def results(engine, count=10):
    futures = [engine.submit(task(number)) for number in range(count)]
    return [future.result(timeout=30) for future in futures]


def test_evaluations_come_as_tests_have_them_and_are_kept_here(on, tmp_path):
    """The question is the task's own, with its thresholds; what the actor made is in the cache of here."""
    cache = Cache(tmp_path / "cache.sqlite")
    cluster = PlayedCluster()
    engine, said = on(cluster, cache=cache)
    made = results(engine)
    assert [one.question for one in made] == [task(number).question for number in range(10)]
    assert cache.recall("answer", ["key"]) == {"key": b"kept"}
    assert {name for actor in cluster.begun for name, _ in actor.asked} == {f"fake q{n}" for n in range(10)}
    assert len(cluster.begun) == 2
    assert said == []
    engine.stop()
    assert all(actor.is_killed for actor in cluster.begun)
    assert cluster.is_closed
    cache.close()


def test_what_is_known_goes_with_the_task(on, tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")
    wanted = task()
    cache.keep("answer", {wanted.answer_key: b"{}"}, subject="q0")
    cache.keep("written", {"w": b"passages"}, subject="q0")
    cache.keep("scores", {"s": b"other"}, subject="q1")
    cluster = PlayedCluster(room=1)
    engine, _ = on(cluster, cache=cache)
    engine.submit(wanted).result(timeout=30)
    ((_, request),) = cluster.begun[0].asked
    assert request.known == {"answer": {wanted.answer_key: b"{}"}, "written": {"w": b"passages"}}
    cache.close()


def test_remarks_of_actors_are_there_once(on):
    """Each sends what it has not sent before; two of one mind are one line."""
    remarks = {("pipeline", "fake"): ("half is not read",)}

    def answers(request):
        question = replace(request.question, thresholds=())
        more = {("judge", "fake"): ("it is old",)} if request.question.id == "q5" else {}
        return Reply(Evaluation(question, "fake", Answer("Two."), (), {}), remarks={**remarks, **more})

    engine, _ = on(PlayedCluster(Actor(answers=answers), Actor(answers=answers)))
    assert engine.remarks("pipeline", "fake") == ()
    results(engine)
    assert engine.remarks("pipeline", "fake") == ("half is not read",)
    assert engine.remarks("judge", "fake") == ("it is old",)
    assert engine.remarks("judge", "another") == ()


def test_an_answer_that_is_there_goes_with_the_task(on):
    """It is only judged; one that its log has not any more is no actor's matter."""

    class Log:
        name, fingerprint = "logged", "log-1"

        def replayed(self, question_id):
            if question_id == "q1":
                raise LostAnswerError("log.jsonl:2 is not what it was when the session began")
            return Answer(f"answer of {question_id}")

    cluster = PlayedCluster(room=1)
    engine, _ = on(cluster)
    tasks = [replace(task(number), pipeline=Log(), name="logged") for number in range(3)]
    made = [engine.submit(one).result(timeout=30) for one in tasks]
    assert [request.answer.text for _, request in cluster.begun[0].asked] == ["answer of q0", "answer of q2"]
    assert made[1].error == "LostAnswerError: log.jsonl:2 is not what it was when the session began"


def test_a_head_that_does_not_answer(on):
    """It may come back in time; one that does not ends the run, and so does another one in its place."""
    cluster = PlayedCluster(room=1)
    engine, _ = on(cluster, plan=ClusterPlan(lost_after=0.4))
    results(engine, 1)
    cluster.head = RuntimeError("no route to host")
    time.sleep(0.2)
    assert results(engine, 2)[1].answer.text == "Two."
    cluster.head = None
    time.sleep(0.4)
    assert results(engine, 3)[2].answer.text == "Two."
    cluster.head = RuntimeError("no route to host")
    time.sleep(0.8)
    (score,) = results(engine, 4)[3].scores
    assert score.reason == "there is no answer: the cluster's head has not answered for 0.4 s"
    other = PlayedCluster(room=1)
    engine, _ = on(other)
    results(engine, 1)
    other.head = LostError("the cluster's head was started anew, and knows of nothing")
    engine, _ = on(other)
    (score,) = results(engine, 50)[-1].scores
    assert score.reason == "there is no answer: the cluster's head was started anew, and knows of nothing"


def test_a_cluster_that_says_no_for_too_long_is_gone(on):
    """What it says once is no reason to give up: its head may be away."""

    class Unwell(PlayedCluster):
        asked = 0

        def actor(self, start, spec):
            self.asked += 1
            if self.asked < 3 or not self.recovers:
                raise RuntimeError("no route to host")
            return super().actor(start, spec)

    cluster = Unwell(room=1)
    cluster.recovers = True
    engine, _ = on(cluster)
    assert results(engine, 1)[0].answer.text == "Two."
    cluster = Unwell(room=1)
    cluster.recovers = False
    engine, _ = on(cluster, plan=ClusterPlan(lost_after=0.3))
    (score,) = results(engine, 1)[0].scores
    assert score.reason == "there is no answer: the cluster is gone: no route to host"


def test_no_more_actors_than_evaluations(on):
    cluster = PlayedCluster(room=64)
    engine, _ = on(cluster, tasks=3)
    results(engine, 3)
    assert len(cluster.begun) == 3


def test_a_lost_actor_is_replaced_and_its_question_asked_again(on):
    first = Actor(answers=lambda request: LostError("its process died"))
    cluster = PlayedCluster(first, room=1)
    engine, said = on(cluster)
    assert [one.answer.text for one in results(engine)] == ["Two."] * 10
    assert said == [
        f"evals: the actor on {HERE.host} was lost: its process died; what it was at goes to others"
    ]
    assert first.is_killed
    assert len(cluster.begun) == 2


def test_a_question_over_which_three_are_lost_is_unscored(on):
    def answers(request):
        return LostError("its process died") if request.question.id == "q1" else "Two."

    engine, _ = on(PlayedCluster(*(Actor(answers=answers) for _ in range(9))))
    made = results(engine)
    (lost,) = [one for one in made if one.answer is None]
    reason = "there is no answer: 3 actors were lost over it, the last: its process died"
    assert lost.question.id == "q1"
    assert lost.scores == (Score("faithfulness", None, reason=reason),)
    assert lost.error is None


def test_all_is_given_up_where_every_actor_is_lost(on):
    dying = [Actor(answers=lambda request: LostError("no memory")) for _ in range(20)]
    engine, _ = on(PlayedCluster(*dying))
    made = results(engine, 20)
    assert all(one.answer is None for one in made)
    reasons = {score.reason for one in made for score in one.scores}
    assert "there is no answer: 6 actors were lost one after the other, the last: no memory" in reasons


def test_an_actor_that_is_not_the_same_is_left_out(on):
    """What it was asked goes to one that is; where none is, the session ends with the reason."""
    other = Reply(refused="pipeline fake is not what it is where pytest was called")
    engine, said = on(PlayedCluster(Actor(answers=lambda request: other)))
    assert [one.answer.text for one in results(engine)] == ["Two."] * 10
    assert said == [f"evals: the actor on {HERE.host} is left out: {other.refused}"]
    engine, _ = on(PlayedCluster(*(Actor(answers=lambda request: other) for _ in range(2))))
    with pytest.raises(UsageError) as raised:
        results(engine)
    assert str(raised.value) == f"evals_ray: no actor can begin: {other.refused}"


def test_versions_are_held_against_each_other_first(on):
    older = replace(HERE, host="old", versions={**HERE.versions, SOURCES: "0", "torch": "1.0"})
    torch = replace(HERE, host="b", versions={**HERE.versions, "torch": "1.0"}, processor="another")
    engine, said = on(PlayedCluster(Actor(older), Actor(torch), room=2))
    results(engine)
    here = HERE.versions
    differs = f"{SOURCES} 0 there, {here[SOURCES]} here"
    assert sorted(said) == [
        f"evals: an actor is left out: old has another rag-evals: torch 1.0 there, {here['torch']} here, "
        f"{differs}",
        f"evals: b has another processor, another: last digits of scores may be others than on this one, "
        f"{HERE.processor}, and a judge's card is of another machine",
        f"evals: on b other versions are installed: torch 1.0 there, {here['torch']} here",
    ]


def test_a_session_that_cannot_begin_says_why(on):
    engine, _ = on(PlayedCluster(*(Actor(begun=UsageError("ModuleNotFoundError: x")) for _ in range(2))))
    with pytest.raises(UsageError) as raised:
        results(engine)
    assert str(raised.value) == "evals_ray: no actor can begin: ModuleNotFoundError: x"
    engine, said = on(PlayedCluster(*(Actor(begun=LostError("its process died")) for _ in range(50))))
    with pytest.raises(UsageError) as raised:
        results(engine)
    assert str(raised.value) == "evals_ray: no actor can begin: its process died"
    assert said == [f"evals: the actor on {HERE.host} could not begin: its process died"]


def test_what_actors_wait_for_is_said(on, monkeypatch):
    monkeypatch.setattr(supervisor, "SAID_AFTER", 0.2)
    missing = "num_gpus = 1 (the most that a node has is 0)"
    cluster = PlayedCluster(Actor(info=None), Actor(info=None), missing=missing)
    engine, said = on(cluster, plan=ClusterPlan(wait_minutes=1 / 60))
    with pytest.raises(UsageError) as raised:
        engine.submit(task()).result(timeout=30)
    assert said == [
        f"evals: 2 actors cannot begin: no node of the cluster has {missing}; add such a node, ask for less "
        "with --evals-ray-resources, or end this with Ctrl-C"
    ]
    assert str(raised.value) == f"evals_ray: no actor has begun in 0.0166667 minutes: no node has {missing}"


def test_what_cannot_travel_is_refused_before_a_cluster_is_looked_for(on):
    engine, _ = on(None)
    elsewhere = replace(
        task(), origin=Origin("t", "", "judge", problem="test_it.py::t has it from no fixture")
    )
    with pytest.raises(UsageError) as raised:
        engine.submit(elsewhere)
    assert str(raised.value) == (
        "evals_ray: fake cannot be asked elsewhere: test_it.py::t has it from no fixture"
    )


def test_one_that_is_given_up_frees_its_place(on):
    """Its test does not wait any more; the next one is answered by the same actor."""
    slow = Actor(answers=lambda request: "Two.")

    async def wait(request, name, seconds=None):
        await asyncio.sleep(0.001 if request.question.id != "q0" else 60)
        return await Actor.evaluate(slow, request, name)

    slow.evaluate = wait
    engine, _ = on(PlayedCluster(slow, room=1))
    hanging = engine.submit(task())
    time.sleep(1.5)
    engine.give_up(hanging)
    assert engine.submit(task(1)).result(timeout=30).answer.text == "Two."
