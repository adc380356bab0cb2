"""What a scorer read of labelled examples is kept, and read once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.readings import Readings
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens

EXAMPLE = Labelled(
    Question("q1", "How many\ud800?"), Answer("Two.", (Context("Two run."),)), (("faithfulness", 1),), "s"
)
ITEM = RawScore(
    "Two.",
    0.8,
    {"yes": 1.4},
    0,
    4,
    Context("Two run.", "moe.pdf", page=3),
    unsupported=("Two",),
    state=np.array([0.1, -2.5e-7, 6e4], dtype=np.float16),
)


class Reader:
    """A scorer that counts how often it reads, and fails when it is told to."""

    name, metrics = "reader", ("faithfulness", "refusal")

    def __init__(self, fingerprint: str = "f" * 64) -> None:
        self.fingerprint = fingerprint
        self.asked: list[tuple[str, bool]] = []

    def read(self, metrics, question, answer):
        self.asked += [(metric, question.answerable) for metric in metrics]
        return {metric: RawScores((ITEM,), Tokens(9, 2, 0), None) for metric in metrics}


def test_what_was_read_is_read_back(tmp_path):
    """All of it, to the last digit, in another process as well; the file is made with the first reading."""
    path, scorer = tmp_path / "readings.jsonl", Reader()
    assert not Readings(scorer, path).has("faithfulness", EXAMPLE)
    first, seconds = Readings(scorer, path).read("faithfulness", EXAMPLE)
    kept = Readings(scorer, path)
    assert kept.has("faithfulness", EXAMPLE)
    assert not kept.has("relevancy", EXAMPLE)
    again, same = kept.read("faithfulness", EXAMPLE)
    assert scorer.asked == [("faithfulness", True)]
    assert (again, same) == (first, seconds)
    assert np.array_equal(again.items[0].state, ITEM.state)
    assert len(path.read_text().splitlines()) == 1


def test_a_decline_is_read_as_of_a_question_without_an_answer(tmp_path):
    """What is labelled is whether the reply declines."""
    scorer = Reader()
    Readings(scorer).read("refusal", EXAMPLE)
    assert scorer.asked == [("refusal", False)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("example", "is_read_again"),
    [
        (replace(EXAMPLE, labels=(("faithfulness", 0),), source="t", spans=((0, 4),)), False),
        (replace(EXAMPLE, answer=replace(EXAMPLE.answer, text="Three.")), True),
        (replace(EXAMPLE, question=replace(EXAMPLE.question, question="What?")), True),
        (replace(EXAMPLE, answer=replace(EXAMPLE.answer, contexts=())), True),
    ],
)
def test_what_makes_an_example_another(tmp_path, example, is_read_again):
    """Whatever is read of it; its labels are not."""
    path, scorer = tmp_path / "readings.jsonl", Reader()
    Readings(scorer, path).read("faithfulness", EXAMPLE)
    Readings(scorer, path).read("faithfulness", example)
    assert len(scorer.asked) == (2 if is_read_again else 1)


def test_another_scorer_reads_anew(tmp_path):
    """A file may hold the readings of several."""
    path = tmp_path / "readings.jsonl"
    Readings(Reader(), path).read("faithfulness", EXAMPLE)
    other = Reader("0" * 64)
    Readings(other, path).read("faithfulness", EXAMPLE)
    assert other.asked == [("faithfulness", True)]


@pytest.mark.parametrize("damage", ['{"key": 1}\n', "[]\n", "\xff\n", '{"key": "k", "items": [{}]}\n'])
def test_damaged_lines_are_passed_over(tmp_path, damage):
    """So is the half line of a process that was killed; what is whole counts."""
    path, scorer = tmp_path / "readings.jsonl", Reader()
    Readings(scorer, path).read("faithfulness", EXAMPLE)
    path.write_bytes(damage.encode("latin-1") + path.read_bytes() + b'{"key": "')
    Readings(scorer, path).read("faithfulness", EXAMPLE)
    assert len(scorer.asked) == 1
    Readings(scorer, path).read("refusal", EXAMPLE)
    Readings(scorer, path).read("refusal", EXAMPLE)
    assert len(scorer.asked) == 2
