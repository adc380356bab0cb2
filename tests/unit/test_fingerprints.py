"""Fingerprints and keys in letters: bundled judge cards and everyone's caches are found by them."""

from __future__ import annotations

from evals.judges.choice import ChoiceReader
from evals.judges.reading import ReadingJudge
from evals.questions import Question
from evals.remembering import Task, answer_key, scores_key
from evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag.answer import Answer, Context
from rag.identity import digest

TASK = Task(
    FakePipeline({"How many?": "Two."}),
    Question("q", "How many?", reference="Two."),
    FakeJudge({"faithfulness": 0.9}),
    ("faithfulness", "relevancy"),
    "named",
)
ANSWER = Answer("Two.", (Context("Two of eight.", "a.pdf", 3),))


def test_the_wordings_of_the_choice_judge():
    """Another wording, one more, or another order would orphan every card: each takes a quarter of an hour."""
    reader = ChoiceReader(ScriptedLLM())
    wordings = digest(reader.identity["wordings"])
    assert wordings == "05a7feb1348bc1e664357ef1f9e55444e13e7bba86433fd31e6f1559ea66421c"
    assert reader.fingerprint == "0ec22d4d46a3630101c5b82d7132356ca3c504387e45f850b5be028b51182f54"
    fingerprint = ReadingJudge(reader).fingerprint
    assert fingerprint == "95f86cf0718ba6ed7a53dc2a7f190907ab4bfa1200da869192f60c83bcfc27ac"


def test_the_keys_of_the_cache():
    """An answer and a judgement that were made before are found under these."""
    assert answer_key(TASK) == "66fb595ad0473d6134c8e05e8f7b514725005347e0b6c6c9d054b7e72a07a11c"
    assert scores_key(TASK, ANSWER) == "c628083bec03cbc2e8415941d97defaff25cbaeb9cc0ff1e3c4e7fe09d3a951d"
