"""The judge of a run that has checks alone: it says nothing, and no model is loaded for it."""

from __future__ import annotations

from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Judgement
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile


class NoModel:
    """A judge without a verdict on anything: what is scored are checks, which are no judge's business."""

    name = "checks alone"
    fingerprint = digest({"judge": "checks alone", "version": 1})
    profile = Profile(most_at_once=1, settings={"metrics": []}, unscored_is_final=True)

    async def score(self, question: Question, answer: Answer) -> Judgement:  # noqa: ARG002
        """Return a judgement without a score."""
        return Judgement(())
