"""Answers drawn from a run: by strata, with weights, the same every time, and what cannot be drawn."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.calibration.labels.draw import allocated, band_of, draw
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context, Message


def evaluation(
    n: int, value: float | None = 0.9, pipeline: str = "baseline", text: str = "", **scores: float | None
) -> Evaluation:
    given = {"faithfulness": value, **scores}
    return Evaluation(
        Question(f"q{n}", f"Question {n}?", sources=(Source(f"d{n % 6}.md"),)),
        pipeline,
        Answer(text or f"Answer {n} of {pipeline}.", (Context("A passage."), Context(" "))),
        tuple(Score(metric, v, reason="" if v is not None else "no key") for metric, v in given.items()),
        dict.fromkeys(given, 0.5),
    )


def run_of(*evaluations: Evaluation) -> Run:
    return Run("run", RunHeader(), (), evaluations)


# Nine of ten answers score high, as in most runs.
SKEWED = [
    evaluation(n, 0.95 if n % 10 else 0.1, pipeline) for n in range(100) for pipeline in ("baseline", "other")
]


def test_small_strata_are_drawn_more_often():
    """Of twenty low scores in two hundred a sample of forty has more than its four, and weights say it."""
    drawn = draw(run_of(*SKEWED), size=40)
    low = [one for one in drawn.answers if band_of(one.evaluation, "faithfulness") == 0]
    assert (len(drawn.answers), len(low)) == (40, 10)
    assert drawn.counts == {"faithfulness": (40, 200)}
    assert sum(one.weights["faithfulness"] for one in drawn.answers) == pytest.approx(200)
    assert {one.weights["faithfulness"] for one in low} == {2.0}


def test_in_proportion():
    """Each stratum in its share: all stand for as many."""
    drawn = draw(run_of(*SKEWED), size=40, in_proportion=True)
    assert Counter(band_of(one.evaluation, "faithfulness") for one in drawn.answers) == {3: 36, 0: 4}
    assert {one.weights["faithfulness"] for one in drawn.answers} == {5.0}


def test_the_same_whatever_the_order():
    """By the seed alone; another one draws others, and no order tells a score."""
    shuffled = random.Random(0).sample(SKEWED, len(SKEWED))
    first, second = draw(run_of(*SKEWED), size=40), draw(run_of(*shuffled), size=40)
    assert first == second
    other = draw(run_of(*SKEWED), size=40, seed=1)
    assert other.digest != first.digest
    assert {a.name for a in other.answers} != {a.name for a in first.answers}


def test_draws_of_several_metrics_overlap():
    """An answer has one number by chance: what one metric draws the other does too, where it may."""
    run = run_of(*(evaluation(n, 0.9, relevancy=0.9) for n in range(50)))
    drawn = draw(run, size=10)
    assert len(drawn.answers) == 10
    assert all(one.weights == {"faithfulness": 5.0, "relevancy": 5.0} for one in drawn.answers)
    assert drawn.metrics == ("faithfulness", "relevancy")
    assert draw(run, ["relevancy"], size=10).metrics == ("relevancy",)


def test_a_sample_of_all():
    """More than there are is all there are, and each stands for itself."""
    drawn = draw(run_of(*SKEWED), size=1000)
    assert len(drawn.answers) == 200
    assert {one.weights["faithfulness"] for one in drawn.answers} == {1.0}


def test_what_cannot_be_drawn():
    """An answer without a verdict or a text, one that cannot be written, and one that is there twice."""
    run = run_of(
        *(evaluation(n) for n in range(5)),
        evaluation(0),
        evaluation(5, None),
        evaluation(6, text="half \ud800"),
        Evaluation(Question("q7", "So?"), "baseline", None, (), {}, error="OSError: gone"),
    )
    drawn = draw(run)
    assert drawn.counts == {"faithfulness": (5, 5)}
    assert drawn.left_out == (
        "1 evaluation with half of a surrogate pair, which is no character",
        "1 evaluation without an answer: the pipeline raised",
        "faithfulness: 1 answer without a verdict",
    )


def test_names_are_unique():
    """Two answers to one question, as repeats give them, are told apart."""
    names = [one.name for one in draw(run_of(evaluation(1), evaluation(1, text="Another."))).answers]
    assert names == ["baseline q1", "baseline q1 (2)"]


def test_sources():
    """From five documents on answers of one document are alike; before, answers to one question."""
    by_document = draw(run_of(*(evaluation(n) for n in range(12))))
    assert {one.source for one in by_document.answers} == {f"d{n}.md" for n in range(6)}
    by_question = draw(run_of(*(evaluation(n) for n in range(4))))
    assert {one.source for one in by_question.answers} == {f"q{n}" for n in range(4)}


def test_turns_of_a_conversation_are_alike():
    """What was said before is seen by people and tells answers apart; their source is the conversation."""
    plain = evaluation(1)
    before = (Message("user", "And one?"),)
    turn = replace(plain, question=replace(plain.question, history=before, conversation="c", turn=2))
    drawn = draw(run_of(plain, turn))
    assert sorted(one.source for one in drawn.answers) == ["c", "q1"]


@pytest.mark.parametrize(
    ("evaluations", "options", "message"),
    [
        (
            [],
            {},
            "run run has no answer with a verdict that people could judge: run its questions with metrics "
            "such as faithfulness, relevancy, correctness, refusal, context_relevancy, context_recall",
        ),
        (
            SKEWED,
            {"metrics": ["faithfullness"]},
            "unknown metric 'faithfullness', did you mean 'faithfulness'?",
        ),
        (
            SKEWED,
            {"metrics": ["refusal", "relevancy"]},
            "run run has no verdict of refusal, relevancy: it has those of faithfulness",
        ),
        (
            SKEWED,
            {"metrics": ["retrieval.mrr"]},
            "retrieval.mrr is not for people to judge: known are faithfulness, relevancy, correctness, "
            "refusal, context_relevancy, context_recall",
        ),
        (SKEWED, {"size": 0}, "--sample 0: draw at least 1 answer"),
        (
            SKEWED,
            {"size": 3},
            "--sample 3: faithfulness has 4 strata, pipelines by how the judge scored: draw at least 4 "
            "answers, one of each",
        ),
    ],
)
def test_wrong_calls(evaluations, options, message):
    with pytest.raises(UsageError) as caught:
        draw(run_of(*evaluations), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(("value", "band"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.74, 2), (0.75, 3), (1.0, 3)])
def test_bands(value, band):
    """Two below the threshold and two from it on."""
    assert band_of(evaluation(0, value), "faithfulness") == band


@pytest.mark.parametrize("in_proportion", [True, False])
def test_allocation(in_proportion):
    """One at least, never more than there are, all that is wanted."""
    rng = random.Random(3)
    for _ in range(200):
        sizes = {("p", n): rng.randint(1, 60) for n in range(rng.randint(1, 8))}
        count = rng.randint(len(sizes), 120)
        found = allocated(sizes, count, in_proportion=in_proportion)
        assert all(1 <= found[name] <= size for name, size in sizes.items())
        assert sum(found.values()) == min(count, sum(sizes.values()))
