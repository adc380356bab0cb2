"""Scores of retrieval: a question and the passages of each stage to one score a metric."""

from __future__ import annotations

from collections.abc import Iterable

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question
from rag_evals.evals.retrieval.evidence import Evidence
from rag_evals.evals.retrieval.judged_retrieval import DEFAULT_TAU, JudgedRetrieval, Stages, check_tau
from rag_evals.evals.retrieval.metric_names import RetrievalMetric, parse_metric
from rag_evals.evals.runs.score import Score


def retrieval_scores(
    question: Question, stages: Stages, metrics: Iterable[str], tau: float = DEFAULT_TAU
) -> tuple[Score, ...]:
    """Return a score for each metric.

    Args:
        question: The question, whose sources are what is to be found.
        stages: The passages of each stage, best first, by its name, in the order of the stages; those of the
            last one are scored, the others tell where a source was lost.
        metrics: Names such as `retrieval.ndcg@10`.
        tau: Share of a source that has to be covered.

    Returns:
        The scores in the order of `metrics`; none for a question that the documents do not answer.

    Raises:
        UsageError: There is no such metric, or `tau` is not a share.
    """
    parsed = [parse_metric(name) for name in metrics]
    check_tau(tau)
    if not question.answerable:
        return ()
    judged = JudgedRetrieval(question, stages, tau)
    evidence = Evidence(judged)
    return tuple(_score(judged, evidence, metric) for metric in parsed)


def _score(judged: JudgedRetrieval, evidence: Evidence, metric: RetrievalMetric) -> Score:
    try:
        value = judged.value(metric)
    except NoVerdict as error:
        return Score(metric.name, None, reason=printable(str(error)))
    return Score(metric.name, value, evidence=evidence.of(metric, value))
