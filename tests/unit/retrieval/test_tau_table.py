"""The table of how figures move with tau."""

from __future__ import annotations

from rag_evals.evals.questions.question import Source
from rag_evals.evals.retrieval.tau_table import TAUS, TauRow, tau_table
from rag_evals.rag.answer import Span

from rag_evals import Question

QUESTIONS = [
    (Question("half", "?", sources=(Source("t", start=0, end=100),)), [Span("t", start=50, end=150)]),
    (Question("whole", "?", sources=(Source("t", start=0, end=100),)), [Span("t", start=0, end=150)]),
    (Question("nothing", "?", sources=(Source("t", start=0, end=100),)), []),
    (Question("unknown", "?"), [Span("t", start=0, end=150)]),
    (Question("none", "?", answerable=False), [Span("t", start=0, end=150)]),
]


def test_means_fall_with_tau():
    """What found nothing counts as 0; questions without sources, or not to be answered, do not."""
    table = tau_table(QUESTIONS, ["retrieval.hit@1", "retrieval.recall"])
    assert [row.tau for row in table] == list(TAUS)
    assert table[4] == TauRow(0.5, (2 / 3, 0.5), (3, 3))
    assert table[5] == TauRow(0.6, (1 / 3, 0.5), (3, 3))
    assert tau_table(QUESTIONS[3:], ["retrieval.hit@1"], [0.5]) == (TauRow(0.5, (None,), (0,)),)
