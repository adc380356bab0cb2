"""The judge of retrieval: exact, without a model. It scores the passages of an answer by the sources."""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.evals.questions.question import Question
from rag_evals.evals.retrieval.judged_retrieval import Stages
from rag_evals.evals.retrieval.metric_names import parse_metric
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.evals.runs.score import Judgement
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile

# Counts up when the same passages have other scores than before.
VERSION = 1
# The stage of the passages themselves.
CONTEXTS = "contexts"


class RetrievalJudge:
    """Scores what was retrieved for a question by its sources.

    Args:
        metrics: Names of metrics, such as `retrieval.ndcg@10`.
        tau: Share of a source that a passage has to cover, to be relevant to it.
    """

    name = "retrieval"

    def __init__(self, metrics: Sequence[str], tau: float) -> None:
        self.fingerprint = digest({"version": VERSION, "metrics": list(metrics), "tau": tau})
        self.profile = Profile(most_at_once=1, thresholds=default_thresholds(metrics), unscored_is_final=True)
        self._metrics = tuple(metrics)
        self._tau = tau

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score the passages of `answer`, best first."""
        stages: Stages = {**answer.stages, CONTEXTS: answer.contexts}
        return Judgement(retrieval_scores(question, stages, self._metrics, self._tau))


def default_thresholds(metrics: Sequence[str]) -> dict[str, float]:
    """Return the least values that are no breach: half of what is to be found; of ranks there are none."""
    return {name: 0.5 for name in metrics if parse_metric(name).kind in ("recall", "hit")}
