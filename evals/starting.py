"""The evaluations of a test: begun as the fixture `evaluate` is called, held to the run's bounds, recorded.

It is imported with the first evaluation: sessions that evaluate nothing have the plugin, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import pytest

from evals.engine import AHEAD, Engine, PendingEvaluation
from evals.errors import UsageError
from evals.items import asked_by, asks_for, lane_of, marked_conditions, marked_thresholds, repeat_of
from evals.judges import Judge
from evals.metrics import DEFAULT_THRESHOLD, METRICS
from evals.questions import Question
from evals.recorder import attach_about, attach_evaluation, attach_rejudged, attach_trace
from evals.records import Evaluation
from evals.remembering import Task, keys_of
from evals.session import (
    cache_for,
    early_of,
    engine_of,
    old_answers_of,
    settings_of,
    spending_of,
    stop_for,
)
from evals.upcoming import Upcoming
from rag.answer import Pipeline
from rag.profile import profile_of

UPCOMING = pytest.StashKey[Upcoming]()
DESCRIBED = pytest.StashKey[set[tuple[str, str]]]()


class Evaluate(Protocol):
    """What the fixture `evaluate` gives."""

    def __call__(
        self, pipeline: Pipeline, question: Question, *, repeat: int | None = None
    ) -> PendingEvaluation:
        """Begin an evaluation; with another `repeat` it is made anew, never replayed from the cache.

        Without one it is the repeat that the test itself is.
        """


def evaluate_for(request: pytest.FixtureRequest, judge: Judge) -> Evaluate:
    """Give what begins evaluations for one test."""
    settings, engine = settings_of(request.config), engine_of(request.config)
    marked = marked_thresholds(request.node)
    conditions = tuple(condition.text for condition in marked_conditions(request.node))
    this = repeat_of(request.node)

    def start(pipeline: Pipeline, question: Question, *, repeat: int | None = None) -> PendingEvaluation:
        thresholds = {**_defaults(judge), **settings.thresholds, **marked, **dict(question.thresholds)}
        name = _name_for(pipeline, request)
        repeat = this if repeat is None else repeat
        task = Task(pipeline, question, judge, settings.metrics, name, repeat, settings.judge_repeat)
        _hold_to_bounds(task, request, engine)
        early = early_of(request.config, judge)
        if early and (verdict := early.verdict(name)):
            pytest.skip(f"the gate of {name} is decided: {verdict}")
        _describe(request.node, name, pipeline, judge)
        future = engine.submit(task)
        old = old_answers_of(request.config)
        again = old.task(task) if old else None
        judged_again = engine.submit(again) if again else None
        if repeat == this:
            engine.work_ahead(_ahead_of(task, request, engine))

        def finish(evaluation: Evaluation) -> Evaluation:
            held = replace(
                evaluation,
                thresholds=thresholds,
                enforced=settings.mode == "strict",
                usd=spending_of(request.config).count(task, evaluation),
                conditions=conditions,
                test=request.node.nodeid,
                keys=keys_of(task, evaluation.answer),
            )
            attach_evaluation(request.node, held)
            attach_trace(request.node, held)
            if early:
                early.add(held)
            if judged_again:
                attach_rejudged(request.node, replace(judged_again.result(), thresholds=thresholds))
            _tell_of_cache(request.node)
            return held

        def refuse(error: UsageError) -> NoReturn:
            stop_for(request, error)

        return PendingEvaluation(future, finish, refuse)

    return start


def _defaults(judge: Judge) -> Mapping[str, float]:
    """Give the thresholds that nobody set: those of the judge's card, else 0.5."""
    return {**dict.fromkeys(METRICS, DEFAULT_THRESHOLD), **profile_of(judge).thresholds}


def _name_for(pipeline: Pipeline, request: pytest.FixtureRequest) -> str:
    """Give the name of the fixture that `pipeline` is from: two functions may well have one name."""
    given = getattr(request.node, "callspec", None)
    name = given.params.get("pipeline") if given else None
    if isinstance(name, str) and request.node.funcargs.get("pipeline") is pipeline:
        return name
    return pipeline.name


def _hold_to_bounds(task: Task, request: pytest.FixtureRequest, engine: Engine) -> None:
    """End the session before an evaluation that is only planned, or beyond what the run may take."""
    __tracebackhide__ = True
    settings, spending = settings_of(request.config), spending_of(request.config)
    if (settings.plan or spending.is_bounded) and task.name not in spending.plans:
        tasks = [
            replace(task, question=question, repeat=repeat)
            for question, repeat in asks_for(task.name, request.session)
        ]
        try:
            spending.plan(tasks or [task], places=engine.places(task))
        except UsageError as error:
            stop_for(request, error)
    if settings.plan:
        pytest.skip("only planned")
    if reason := spending.spent_up():
        request.session.shouldstop = reason
        pytest.skip(reason)


def _ahead_of(task: Task, request: pytest.FixtureRequest, engine: Engine) -> Sequence[Task]:
    """Give the tasks of the tests that follow, as many as are worth beginning now."""
    places = engine.places(task)
    # Which tests follow in an xdist worker is the controller's to say, one test before.
    if places == 1 or hasattr(request.config, "workerinput"):
        return ()
    stash = request.config.stash
    if UPCOMING not in stash:
        stash[UPCOMING] = Upcoming(
            (
                item.nodeid,
                lane_of(item),
                (question, repeat_of(item)),
            )
            for item in request.session.items
            if (question := asked_by(item)) is not None
        )
    asks = stash[UPCOMING].behind(request.node.nodeid, (task.question, task.repeat), AHEAD * places)
    return [replace(task, question=question, repeat=repeat) for question, repeat in asks]


def _describe(item: pytest.Item, name: str, pipeline: Pipeline, judge: Judge) -> None:
    """Put what a pipeline and the judge are made of on the report, once a process."""
    described = item.config.stash.setdefault(DESCRIBED, set())
    for kind, name_of_it, thing in (("pipeline", name, pipeline), ("judge", judge.name, judge)):
        if (name_of_it, thing.fingerprint) not in described:
            described.add((name_of_it, thing.fingerprint))
            event = {"type": kind, "name": name_of_it, "fingerprint": thing.fingerprint}
            told = {part: _told(thing, part) for part in ("settings", "identity")}
            attach_about(item, {**event, **told})


def _told(thing: Pipeline | Judge, part: str) -> dict[str, Any]:
    """Give what `thing` says of its settings or its identity; what JSON has no form for becomes text."""
    said = getattr(profile_of(thing), part)
    return dict(json.loads(json.dumps(said, default=str))) if isinstance(said, Mapping) else {}


def _tell_of_cache(item: pytest.Item) -> None:
    """Put trouble with the cache on the report, once a process."""
    cache = cache_for(item.config)
    described = item.config.stash.setdefault(DESCRIBED, set())
    if cache is not None and cache.problem and ("cache", cache.problem) not in described:
        described.add(("cache", cache.problem))
        attach_about(item, {"type": "cache", "problem": cache.problem})
