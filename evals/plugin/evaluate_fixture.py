"""The values of the fixtures that evaluate: evaluations begun, held to the run's bounds, recorded.

It is imported with the first evaluation: sessions that evaluate nothing have the plugin, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import listing
from rag_evals.evals.engine.engine import AHEAD, Engine, PendingEvaluation
from rag_evals.evals.engine.order.lookahead import Lookahead
from rag_evals.evals.engine.task import CallsInTest, Task
from rag_evals.evals.gate.early_stop import EarlyStop
from rag_evals.evals.judges.judge import Judge, checked_judge, explainer_of
from rag_evals.evals.plugin.attempts import ATTEMPT, IS_EVALUATED
from rag_evals.evals.plugin.collection import (
    asked_by,
    asks_for,
    marked_conditions,
    marked_thresholds,
    repeat_of,
)
from rag_evals.evals.plugin.our_tests import group_of, param_of
from rag_evals.evals.plugin.recording.report_events import (
    attach_about,
    attach_evaluation,
    attach_recorded,
    attach_rejudged,
    attach_trace,
)
from rag_evals.evals.plugin.session.going_on import RecordedEvaluation
from rag_evals.evals.plugin.session.session import EvalsSession
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, ComponentKind, as_json, component_to_json
from rag_evals.evals.runs.masking import without_secrets
from rag_evals.rag.answer import Message, Pipeline, replays, searches
from rag_evals.rag.errors import DocumentWarning
from rag_evals.rag.pipelines.adapters import SearchOnly
from rag_evals.rag.profile import profile_of

UNGRADED = (
    "its verdicts are read from words, each is 0 or 1, as its model gives no probabilities: take a local "
    "model, or a server that gives logprobs (docs/servers.md)"
)
UNEXPLAINED = (
    "it writes no reasons for breaches, having no language model: take --evals-judge choice, or an ensemble "
    "with it, or leave out --evals-reasons"
)


class Evaluate:
    """Asks pipelines questions and has the answers judged, for one test.

    Args:
        judge: What scores the answers.
    """

    def __init__(self, judge: object = None) -> None:
        self._given_judge = judge

    def begin(self, item: pytest.Function, session: EvalsSession) -> None:
        """Begin in the test `item`, before it gets this; `session` is what its evaluations share with others.

        Raises:
            UsageError: The judge is none, or something is wrong with the configuration.
        """
        session.begin()
        self._item = item
        self._session = session
        self._judge = self._checked_judge()
        self._repeat = repeat_of(item)
        self._attempt = item.stash.get(ATTEMPT, 0)
        self._marked = marked_thresholds(item)
        self._conditions = tuple(condition.text for condition in marked_conditions(item))

    def _checked_judge(self) -> Judge:
        judge, session = self._given_judge, self._session
        # isinstance() of a protocol takes 20 microseconds, and all tests of a run have one judge.
        if session.judge is None or judge is not session.judge:
            session.judge = checked_judge(judge)
        return session.judge

    def __call__(
        self, pipeline: Pipeline, question: Question, *, repeat: int | None = None
    ) -> PendingEvaluation:
        """Begin an evaluation; with another `repeat` it is made anew, never replayed from the cache.

        Without one it is the repeat that the test itself is.
        """
        __tracebackhide__ = True
        task = self._placed(self._task(pipeline, question, self._repeat if repeat is None else repeat))
        recorded = self._recorded(task)
        if recorded is None:
            self._hold_to_bounds(task)
        early = self._early()
        if early and (verdict := early.verdict(task.name)):
            pytest.skip(f"the gate of {task.name} is decided: {verdict}")
        self._describe(task)
        engine = self._engine()
        old = self._session.rejudge_tasks and self._session.rejudge_tasks.task(task)
        if old and self._session.goes_on and self._session.goes_on.has_rejudged(task):
            old = None
        if recorded:
            again = engine.submit(old) if old else None
            return self._given(task, recorded, again)
        try:
            future = engine.submit(task)
        except UsageError as error:
            self._session.refuse(error)
        again = engine.submit(old) if old else None
        if task.repeat == self._repeat:
            engine.work_ahead(self._ahead_of(task))
        return PendingEvaluation(
            future, partial(self._record, task, again), self._session.refuse, engine.give_up, task.calls
        )

    def _task(self, pipeline: Pipeline, question: Question, repeat: int) -> Task:
        settings = self._session.settings
        return Task(
            pipeline,
            question,
            self._judge,
            settings.metrics,
            self._name_of(pipeline),
            repeat,
            attempt=self._attempt,
            judgings=settings.judge_repeat,
            explains=self._thresholds if settings.reasons else None,
            calls=CallsInTest() if profile_of(pipeline).runs_in_test else None,
            earlier=self._session.questions.earlier(question),
            known=settings.known,
        )

    def _asking(self, task: Task, question: Question, repeat: int) -> Task:
        """Return the task that puts another question to the same pipeline."""
        return replace(
            task, question=question, repeat=repeat, earlier=self._session.questions.earlier(question)
        )

    def _placed(self, task: Task) -> Task:
        """Return a task with where another process finds its pipeline and its judge, if one is to."""
        if self._session.settings.cluster.address is None:
            return task
        from rag_evals.evals.plugin.session.cluster.controller import origin_of

        return replace(task, origin=origin_of(self._item, task))

    def _engine(self) -> Engine:
        """Return the engine; it is made with the first evaluation."""
        __tracebackhide__ = True
        try:
            return self._session.engine
        except UsageError as error:
            self._session.refuse(error)

    def _early(self) -> EarlyStop | None:
        return self._session.early(self._judge)

    def _recorded(self, task: Task) -> RecordedEvaluation | None:
        """Return what the run that the session goes on with has of this evaluation."""
        __tracebackhide__ = True
        if self._session.goes_on is None:
            return None
        try:
            return self._session.goes_on.take(self._item.nodeid, task, self._described(task))
        except UsageError as error:
            self._session.refuse(error)

    def _given(
        self, task: Task, recorded: RecordedEvaluation, again: Future[Evaluation] | None
    ) -> PendingEvaluation:
        """Return an evaluation that was recorded before; nothing is made of it."""
        future: Future[Evaluation] = Future()
        future.set_result(recorded.evaluation)
        session = self._session
        session.engine.take_recorded(task, recorded.evaluation)
        finish = partial(self._record, task, again, recorded=recorded)
        return PendingEvaluation(future, finish, session.refuse, session.engine.give_up)

    def _hold_to_bounds(self, task: Task) -> None:
        """End the session before an evaluation that is only planned, or beyond what the run may take."""
        __tracebackhide__ = True
        session = self._session
        budget, is_planned = session.budget, session.settings.plan
        if self._is_bounded and task.name not in budget.plans:
            asks = asks_for(task.name, self._item.session.items)
            tasks = [self._asking(task, question, repeat) for question, repeat in asks]
            try:
                budget.plan(tasks or [task], places=session.engine.places(task))
            except UsageError as error:
                session.refuse(error)
        if is_planned:
            pytest.skip("only planned")
        if reason := budget.exceeded():
            session.stop(reason)
            pytest.skip(reason)

    @property
    def _is_bounded(self) -> bool:
        """Whether what the tests of a pipeline take is to be planned."""
        return self._session.settings.plan or self._session.budget.is_bounded

    def _record(
        self,
        task: Task,
        again: Future[Evaluation] | None,
        evaluation: Evaluation,
        recorded: RecordedEvaluation | None = None,
    ) -> Evaluation:
        """Put an evaluation that is finished on the test's report, with what it is held to and has cost.

        Args:
            task: What was evaluated.
            again: The baseline's answer, judged anew; None without.
            evaluation: What the engine gave.
            recorded: The same as it stands in the records, in a run that goes on; None for one that is new.
        """
        session = self._session
        is_strict = session.settings.rules.mode == "strict"
        if recorded:
            held = replace(evaluation, enforced=is_strict)
            attach_recorded(self._item, recorded.text)
            session.progress.finished(held)
        else:
            held = replace(
                evaluation.held_to(self._thresholds(task.question)),
                enforced=is_strict,
                usd=session.budget.count(task, evaluation),
                conditions=self._conditions,
                test=self._item.nodeid,
                **self._logged(task),
            )
            held = without_secrets(held, texts=session.settings.mask_texts)
            attach_evaluation(self._item, held)
        self._item.stash[IS_EVALUATED] = self._attempt
        session.names[group_of(self._item)] = task.name
        if not all(score.graded for score in held.scores) and session.is_first("ungraded", self._judge.name):
            self._attach("judge", self._judge.name, self._judge, UNGRADED)
        attach_trace(self._item, held)
        if session.progress.given_up:
            session.stop(session.progress.given_up)
        if early := self._early():
            early.add(held)
        if again:
            # Under its keys there is nothing: the answer is in its own run.
            judged = replace(again.result().held_to(held.thresholds), keys={})
            attach_rejudged(self._item, without_secrets(judged, texts=session.settings.mask_texts))
        problem = session.cache.problem if session.cache else None
        if problem and session.is_first("cache", problem):
            attach_about(self._item, {"type": "cache", "problem": problem})
        # Behind all that is recorded: a remark is a warning, which may be an error.
        elsewhere = self._remarked_elsewhere(task)
        if session.is_first("asked", task.name, str(task.is_retrieval), *elsewhere):
            # What the embedder does not read is known once the first question has opened the index, which a
            # search may do or not.
            self._describe(task, is_asked=True)
        return held

    def _logged(self, task: Task) -> dict[str, Any]:
        """Return what the log says of an answer beside it, and what it was drawn from; nothing of others."""
        log = self._session.questions.log if replays(task.pipeline) else None
        if log is None:
            return {}
        return {"logged": log.beside(task.question.id), "drawn": log.drawn.get(task.question.id)}

    def _thresholds(self, question: Question) -> Mapping[str, float]:
        """Return the thresholds of a question; those that nobody set are the judge card's, else 0.5."""
        return {
            **self._session.settings.known.thresholds,
            **profile_of(self._judge).thresholds,
            **self._session.settings.known.set_thresholds,
            **self._session.settings.thresholds,
            **self._marked,
            **dict(question.thresholds),
        }

    def _name_of(self, pipeline: Pipeline) -> str:
        """Return the name of the fixture that `pipeline` is from: two functions may well have one name."""
        name = param_of(self._item, "pipeline")
        if isinstance(name, str) and self._item.funcargs.get("pipeline") is pipeline:
            return name
        return pipeline.name

    def _ahead_of(self, task: Task) -> Sequence[Task]:
        """Return the tasks of the tests that follow, as many as are worth beginning now."""
        places = self._session.engine.places(task)
        # Which tests follow in an xdist worker is the controller's to say, one test before.
        if places == 1 or task.calls or self._session.workers.is_worker:
            return ()
        if self._session.lookahead is None:
            self._session.lookahead = Lookahead(
                (item.nodeid, group_of(item), (question, repeat_of(item)))
                for item in self._item.session.items
                if (question := asked_by(item)) is not None
            )
        ask = (task.question, task.repeat)
        asks = self._session.lookahead.behind(self._item.nodeid, ask, AHEAD * places)
        ahead = [self._asking(task, question, repeat) for question, repeat in asks]
        goes_on = self._session.goes_on
        return [one for one in ahead if not (goes_on and goes_on.has(one))]

    def _describe(self, task: Task, *, is_asked: bool = False) -> None:
        """Put what the pipeline and the judge are made of on the report.

        Once a pipeline `is_asked`, again where something is remarked that was not known before: a warning.
        """
        for kind, name, part in self._described(task):
            if self._session.is_first(name, part.fingerprint) or is_asked:
                remarks = self._session.remarks(kind, name, part)
                new = [line for line in remarks if self._session.is_first("remark", name, line)]
                if is_asked and not new:
                    continue
                self._attach(kind, name, part)
                for line in new if is_asked else ():
                    warnings.warn(line, DocumentWarning, stacklevel=1)

    def _described(self, task: Task) -> Sequence[tuple[ComponentKind, str, Pipeline | Judge]]:
        """Return what a run says of what an evaluation is made by."""
        return [("pipeline", task.name, task.pipeline), ("judge", task.judge.name, task.judge)]

    def _attach(self, kind: ComponentKind, name: str, part: Pipeline | Judge, *more: str) -> None:
        """Put what `part` is made of on the report, with its remarks and `more` of them."""
        profile = profile_of(part)
        if kind == "judge" and self._session.settings.reasons and explainer_of(part) is None:
            more = (*more, UNEXPLAINED)
        info = ComponentInfo(
            kind,
            name,
            part.fingerprint,
            as_json(profile.settings),
            as_json(profile.identity),
            versioned=profile.is_cacheable,
            remarks=(*self._session.remarks(kind, name, part), *more),
        )
        attach_about(self._item, component_to_json(info))

    def _remarked_elsewhere(self, task: Task) -> Sequence[str]:
        """Return all that was remarked where evaluations are made; nothing where that is here."""
        found = (self._session.remarks_elsewhere(kind, name) for kind, name, _ in self._described(task))
        return [line for lines in found for line in lines]


class EvaluateRetrieval(Evaluate):
    """Has pipelines retrieve for questions, and scores what they find, for one test.

    A pipeline that cannot search by itself is asked for its answer, whose contexts are what it found.
    """

    def _checked_judge(self) -> Judge:
        return self._session.retrieval_judge

    def _task(self, pipeline: Pipeline, question: Question, repeat: int) -> Task:
        # Of a pipeline of somebody's own it is not known what its documents are.
        if searches(pipeline) and (misplaced := self._session.questions.misplaced):
            problem = "sources stand beyond their documents, or in none: correct them, or leave them out"
            self._session.refuse(UsageError(listing(f"{problem}:", misplaced, 10)))
        task = super()._task(pipeline, self._session.questions.placed(question), repeat)
        searching = self._session.search_only(pipeline)
        if isinstance(searching, SearchOnly):
            task = _asked_alone(task)
        return replace(
            task,
            pipeline=searching,
            metrics=self._session.settings.retrieval_metrics,
            judgings=1,
            explains=None,
        )

    def _early(self) -> EarlyStop | None:
        return None

    @property
    def _is_bounded(self) -> bool:
        return False  # it costs nothing

    def _described(self, task: Task) -> Sequence[tuple[ComponentKind, str, Pipeline | Judge]]:
        # The whole pipeline: it has the same name where its answers are evaluated.
        pipeline = task.pipeline
        return [("pipeline", task.name, pipeline.whole if isinstance(pipeline, SearchOnly) else pipeline)]


def _asked_alone(task: Task) -> Task:
    """Return a task with the questions of the earlier turns as its history: a search answers none of them."""
    if not task.earlier:
        return task
    asked = tuple(Message("user", turn.question) for turn in task.earlier)
    question = replace(task.question, history=(*task.earlier[0].history, *asked))
    return replace(task, question=question, earlier=())
