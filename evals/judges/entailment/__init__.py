"""Trained judges: entailment models, and language models that are asked in the words they were trained on."""

from rag_evals.evals.judges.entailment.scorer import EntailmentScorer
from rag_evals.evals.judges.entailment.windows import context_windows

__all__ = ["EntailmentScorer", "context_windows"]
