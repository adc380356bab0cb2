"""Recorded answers judged anew: the tasks, and a pipeline that gives the answer of the recorded run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag_evals.evals.engine.task import Task
from rag_evals.evals.runs.masking import masked_fingerprint
from rag_evals.evals.runs.run import Run
from rag_evals.rag.answer import Answer, Message
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile


class RecordedPipeline:
    """A pipeline that gives one answer of a run that was recorded.

    Args:
        name: Name of the pipeline that gave it.
        answer: The answer.
        fingerprint: What stands for its pipeline; by default its name.
    """

    # It is in its run: there is nothing to keep.
    profile = Profile(is_cacheable=False)

    def __init__(self, name: str, answer: Answer, fingerprint: str | None = None) -> None:
        self.name = name
        self.fingerprint = fingerprint or digest({"stored": name})
        self._answer = answer

    def replayed(self, question_id: str) -> Answer:  # noqa: ARG002 - it has one
        """Return the answer."""
        return self._answer

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:  # noqa: ARG002
        """Return the answer, whatever is asked."""
        return self._answer


class RejudgeTasks:
    """The answers of a recorded run that another judge is to judge.

    Args:
        base: The run.
    """

    def __init__(self, base: Run) -> None:
        self._judges = {one.fingerprint for one in base.judges}
        self._evaluations = {(e.pipeline, e.question.id, e.repeat): e for e in base.answers}

    def task(self, task: Task) -> Task | None:
        """Return the task to judge what was answered to `task` then.

        None where nothing was, where it is about retrieval, where the question was worded otherwise, or where
        the same judge judged it.
        """
        if task.is_retrieval:
            return None
        old = self._evaluations.get((task.name, task.question.id, task.repeat))
        if old is None or old.answer is None or self._judges == {masked_fingerprint(task.judge.fingerprint)}:
            return None
        if old.question.question != task.question.question:
            return None
        recorded = RecordedPipeline(task.name, old.answer)
        # Judged behind what was said then.
        question = replace(task.question, history=old.question.history)
        return replace(task, pipeline=recorded, question=question, earlier=(), explains=None)
