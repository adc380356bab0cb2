"""Fingerprints and keys in letters: bundled judge cards and everyone's caches are found by them."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from rag_evals.evals.engine.reuse import scores_key
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges import prompts
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import HOW, JUDGE_WORDINGS, ChoiceScorer
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.documents.read import PAGES, read_documents
from rag_evals.rag.identity import digest

TASK = Task(
    FakePipeline({"How many?": "Two."}),
    Question("q", "How many?", reference="Two."),
    FakeJudge({"faithfulness": 0.9}),
    ("faithfulness", "relevancy"),
    "named",
)
ANSWER = Answer("Two.", (Context("Two of eight.", "a.pdf", 3),))


def test_the_wordings_of_the_choice_judge():
    """Another wording, one more, or another order orphans every card: each takes a quarter of an hour."""
    scorer = ChoiceScorer(ScriptedLLM())
    wordings = digest(scorer.identity["wordings"])
    assert wordings == "54632b37cee9ab6d9a6b9244cc16062c0b1a79224a5c130d6ce0a6650e103513"
    assert scorer.fingerprint == "652abee7103936c976b4fcfa11dd8b97473ad2da68fb25ef6b4bba0964137b64"
    fingerprint = CalibratedJudge(scorer).fingerprint
    assert fingerprint == "cb7598d7dd8484c6620c17e75fadcfebed6fe6227250efb33d5cd46e3eefeb05"


def test_every_metric_can_be_read():
    """What the catalogue has, the choice judge reads; the order is that of reports."""
    assert tuple(HOW) == tuple(METRICS)


def test_another_value_of_the_module_changes_no_fingerprint(monkeypatch):
    """What counts is named, not whatever the module happens to hold."""
    before = ChoiceScorer(ScriptedLLM()).fingerprint
    monkeypatch.setattr(prompts, "NEW", prompts.Wording("Reply", "Is it new?"), raising=False)
    assert ChoiceScorer(ScriptedLLM()).fingerprint == before


def test_no_wording_is_left_out():
    """A wording that is asked and not in the fingerprint would leave old verdicts in the cache."""
    held = [value for value in vars(prompts).values() if isinstance(value, prompts.Wording)]
    assert set(held) == set(JUDGE_WORDINGS)


def test_the_keys_of_the_cache():
    """An answer and a judgement that were made before are found under these."""
    assert TASK.answer_key == "66fb595ad0473d6134c8e05e8f7b514725005347e0b6c6c9d054b7e72a07a11c"
    assert scores_key(TASK, ANSWER) == "c628083bec03cbc2e8415941d97defaff25cbaeb9cc0ff1e3c4e7fe09d3a951d"


class Kept(dict):
    """A memory in a dictionary."""

    def recall(self, kind, keys):
        return {key: self[kind, key] for key in keys if (kind, key) in self}

    def keep(self, kind, items):
        self.update({(kind, key): data for key, data in items.items()})


def test_the_key_of_a_document(tmp_path):
    """The text of a file is kept under its suffix, its bytes, the libraries, and a number of our own."""
    (tmp_path / "a.md").write_bytes(b"Two of eight.\r\n")
    kept = Kept()
    (first,) = read_documents(tmp_path, kept).documents
    sha256 = hashlib.sha256(b"Two of eight.\r\n").hexdigest()
    libraries = map(version, ("pypdf", "lxml", "mammoth", "python-pptx"))
    key = PAGES, digest([".md", sha256, *libraries, "", 2])
    assert kept == {key: b'{"pages": ["Two of eight.\\n"], "remarks": []}'}
    kept[key] = b'{"pages": ["As it was read before."], "remarks": [["no text", "an image", [2]]]}'
    again = read_documents(tmp_path, kept)
    (second,) = again.documents
    assert (first.text, second.text) == ("Two of eight.\n", "As it was read before.")
    assert [str(remark) for remark in again.remarks] == ["a.md: page 2: an image"]
