"""Old answers, judged anew."""

from __future__ import annotations

from dataclasses import replace

from rag_evals.evals.engine.rejudge import RecordedPipeline, RejudgeTasks
from rag_evals.evals.engine.task import Task
from rag_evals.evals.gate.comparison.baseline_gate import rejudged
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer, Pipeline

QUESTION = Question("q", "What?")
OLD = Evaluation(QUESTION, "baseline", Answer("So."), (Score("faithfulness", 0.9),), {})
PIPELINE = ComponentInfo("pipeline", "baseline", "p1")
JUDGE = ComponentInfo("judge", "old", "j1")
NEW_JUDGE = ComponentInfo("judge", "new", "j2")
BASE = Run("main", RunHeader(), (PIPELINE, JUDGE), (OLD,))
TASK = Task(FakePipeline({}), QUESTION, FakeJudge({}), ("faithfulness",), "baseline")


async def test_an_answer_of_then():
    """It is a pipeline like any other, and says what was said."""
    pipeline = RecordedPipeline("baseline", Answer("So."))
    assert isinstance(pipeline, Pipeline)
    assert await pipeline.answer("What?") == Answer("So.")


async def test_what_is_judged_anew():
    """The answer to the same question, by the pipeline of the same name, in the same repeat."""
    task = RejudgeTasks(BASE).task(TASK)
    assert task is not None
    assert await task.pipeline.answer("What?") == OLD.answer
    assert (task.question, task.judge, task.name) == (QUESTION, TASK.judge, "baseline")


def test_what_is_not():
    """Another question, pipeline or repeat; words that changed; no answer; the same judge."""
    others = [
        replace(TASK, question=Question("r", "What?")),
        replace(TASK, question=Question("q", "What else?")),
        replace(TASK, name="other"),
        replace(TASK, repeat=1),
    ]
    assert [RejudgeTasks(BASE).task(task) for task in others] == [None] * 4
    broken = replace(BASE, evaluations=(replace(OLD, answer=None, error="OSError"),))
    assert RejudgeTasks(broken).task(TASK) is None
    same = replace(BASE, components=(replace(JUDGE, fingerprint=TASK.judge.fingerprint),))
    assert RejudgeTasks(same).task(TASK) is None


def test_the_baseline_as_the_new_judge_sees_it():
    """Its scores and its judge are the new ones; what was not judged anew is left out."""
    scored = replace(OLD, scores=(Score("faithfulness", 0.5),))
    base = rejudged(replace(BASE, evaluations=(OLD, replace(OLD, repeat=1))), [scored], [NEW_JUDGE])
    assert base.evaluations == (scored,)
    assert base.components == (PIPELINE, NEW_JUDGE)
