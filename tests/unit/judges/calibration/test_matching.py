"""Labels and the answers of a run: which are of which, and why some are of none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.labelling import Labelling
from rag_evals.evals.judges.calibration.labels.matching import (
    RunAnswers,
    Stray,
    judged_value,
    should_pass,
    stray_line,
    strays_of,
)
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Message

CONTEXTS = (Context("One."), Context(" "), Context("Two."))


def evaluation(pipeline: str = "baseline", text: str = "So.", question: str = "Why?") -> Evaluation:
    claims = (ClaimScore("One.", 0.2), ClaimScore("Two.", 0.8))
    scores = (Score("faithfulness", 0.9), Score("context_relevancy", 0.5, claims=claims))
    return Evaluation(Question("q1", question), pipeline, Answer(text, CONTEXTS), scores, {})


def labelled(*contexts: str, by: Labelling | None = None, metric: str = "faithfulness") -> Labelled:
    answer = Answer("So.", tuple(map(Context, contexts)))
    return Labelled(Question("baseline q1", "Why?"), answer, ((metric, 1),), "q1", by=by)


DRAWN = Labelling(run="r1", pipeline="baseline", question_id="q1")


def test_what_was_not_drawn_is_found_by_question_and_answer():
    """Whatever its contexts and pipeline."""
    run = [evaluation(), evaluation("other"), evaluation(text="Other.")]
    assert RunAnswers(run).of(labelled("Something else.")) == run[:2]


def test_what_was_drawn_has_its_passages_and_its_pipeline():
    """Blank passages, which nobody was shown, do not count."""
    run = [evaluation(), evaluation("other")]
    assert RunAnswers(run).of(labelled("One.", "Two.", by=DRAWN)) == run[:1]
    assert RunAnswers(run).of(labelled("Two.", by=DRAWN)) == []
    assert RunAnswers(run).of(labelled("Two.", by=DRAWN, metric="context_relevancy")) == run[:1]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (evaluation(text="Other."), "the answer is another now"),
        (evaluation(question="What?"), "the question is another now"),
        (evaluation("other", text="Other."), "the answer is another now"),
        (evaluation("other", question="What?"), "no such question"),
        (
            replace(evaluation(), answer=Answer("So.", (Context("Three."),))),
            "the passages are others now",
        ),
        (
            replace(evaluation(), question=Question("q1", "Why?", history=(Message("user", "And?"),))),
            "what was said before is another now",
        ),
    ],
)
def test_why_a_label_is_of_no_answer(now, why):
    one = labelled("One.", "Two.", by=DRAWN)
    assert strays_of(RunAnswers([now]), [one, one]) == [Stray("baseline q1", "r1", why)]


def test_the_line_of_strays():
    """What is gone, by why, and the run that was labelled."""
    strays = [
        Stray("a", "r1", "no such question"),
        Stray("b", None, "the answer is another now"),
        Stray("c", "r1", "no such question"),
    ]
    assert stray_line(strays, 40) == (
        "labels: 3 of 40 answers are not in this run (labelled in run r1): no such question: a, c; "
        "the answer is another now: b"
    )


def test_what_the_judge_says():
    """Of an answer its score, of a passage what it says of that passage."""
    one = evaluation()
    assert judged_value(one, "faithfulness", labelled("One.")) == 0.9
    assert judged_value(one, "context_relevancy", labelled("Two.", metric="context_relevancy")) == 0.8
    assert judged_value(one, "correctness", labelled("One.")) is None


def test_a_decline_passes_where_there_is_no_answer():
    """Everywhere else a label is what should pass."""
    one = evaluation()
    unanswerable = replace(one, question=replace(one.question, answerable=False))
    assert [should_pass("refusal", one, 1), should_pass("refusal", unanswerable, 1)] == [0, 1]
    assert should_pass("faithfulness", one, 1) == 1
