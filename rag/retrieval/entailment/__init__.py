"""Entailment models and trained judges: how probable it is that one text follows from another."""

from rag_evals.rag.retrieval.entailment.forms import FORMS, NLI, Form
from rag_evals.rag.retrieval.entailment.load import load_entailment
from rag_evals.rag.retrieval.entailment.model import EntailmentModel
from rag_evals.rag.retrieval.entailment.pair_classifier import Labels, labels_of
from rag_evals.rag.retrieval.entailment.verdicts import Ask, Entailment, Entailments

__all__ = [
    "FORMS",
    "NLI",
    "Ask",
    "Entailment",
    "EntailmentModel",
    "Entailments",
    "Form",
    "Labels",
    "labels_of",
    "load_entailment",
]
