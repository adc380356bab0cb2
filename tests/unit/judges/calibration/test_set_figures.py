"""The figures of a set of labels: sentences against what people marked, people's agreement, floors."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.set_figures import (
    Agreement,
    Held,
    agreement,
    figures_by_set,
    floors_of,
    is_marked,
)
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Answer, Context

TEXT = "It rains. It snows."
EXAMPLE = Labelled(
    Question("q", "Does it rain or snow?"),
    Answer(TEXT, (Context("It rains today."),)),
    (("faithfulness", 0),),
    "s",
    spans=((13, 18),),
    set="mine",
)


def held(n: int, values: tuple[float, float], **changes) -> Held:
    """Return an answer of two sentences with their scores; in those of odd number the second is marked."""
    spans = ((13, 18),) if n % 2 else ()
    example = replace(EXAMPLE, source=f"s{n // 4}", spans=spans, **changes)
    claims = (ClaimScore("It rains.", values[0], 0, 9), ClaimScore("It snows.", values[1], 10, 19))
    return Held(example, 1 - n % 2, min(values), min(values) >= 0.5, claims)


@pytest.mark.parametrize(
    ("start", "end", "marked"),
    [(0, 9, False), (10, 19, True), (18, 19, False), (12, 14, True), (0, 14, True)],
)
def test_what_is_marked(start, end, marked):
    """A sentence is marked that shares a letter or digit with a mark."""
    assert is_marked(EXAMPLE, start, end) is marked


def test_a_blank_that_is_marked_marks_nothing():
    """People drag a mark a little too far: the stop and the blank behind a sentence are not the next one."""
    assert not is_marked(replace(EXAMPLE, spans=((3, 10),)), 9, 19)


def test_sentences_against_marks():
    """Each sentence is right or wrong by the marks; its score and verdict are its own."""
    answers = [held(n, (0.9, 0.2 if n % 2 else 0.8)) for n in range(20)]
    (figures,) = figures_by_set("faithfulness", answers, 0.5)
    assert (figures.name, figures.sources) == ("mine", 5)
    found = figures.sentences
    assert found is not None
    assert (found.count, found.positives, found.auroc.value) == (40, 30, 1.0)
    assert (found.balanced_accuracy.value, found.found, found.precision) == (1.0, 1.0, 1.0)
    # The first sentence is in the passage, the second is not: which of them are marked, words half tell.
    assert found.floors == {"words found": pytest.approx(5 / 6), "brevity": 0.5}
    assert found.beyond == pytest.approx(1 / 6)


def test_what_fails_and_what_is_wrong():
    """Of the wrong sentences half fail; of those that fail half are wrong."""
    values = {0: (0.9, 0.8), 1: (0.9, 0.2), 2: (0.3, 0.8), 3: (0.9, 0.7)}
    (figures,) = figures_by_set("faithfulness", [held(n, values[n % 4]) for n in range(20)], 0.5)
    assert figures.sentences is not None
    assert (figures.sentences.found, figures.sentences.precision) == (0.5, 0.5)


def test_answers_without_marks_have_no_sentences():
    """Where nobody looked, and for metrics that read no sentences, nothing is known of sentences."""
    answers = [held(n, (0.9, 0.2 if n % 2 else 0.8)) for n in range(20)]
    unmarked = [replace(one, example=replace(one.example, spans=None)) for one in answers]
    assert figures_by_set("faithfulness", unmarked, 0.5)[0].sentences is None
    assert figures_by_set("relevancy", answers, 0.5)[0].sentences is None
    assert figures_by_set("faithfulness", answers[:8], 0.5)[0].sentences is None  # four are wrong


def test_a_set_of_one_class():
    """A set in which every answer is right has no figures of its own."""
    (figures,) = figures_by_set("faithfulness", [held(n, (0.9, 0.8)) for n in range(0, 20, 2)], 0.5)
    assert figures.answers is None


def test_nothing_fails():
    """Where no answer fails there is no share of those that do."""
    (figures,) = figures_by_set("relevancy", [held(n, (0.9, 0.8)) for n in range(20)], 0.5)
    assert figures.answers is not None
    assert (figures.answers.found, figures.answers.precision) == (0.0, None)


def rated(*ratings: int) -> Labelled:
    return replace(EXAMPLE, ratings=(("faithfulness", ratings),))


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        ([], None),
        ([EXAMPLE, rated(1)], None),
        ([rated(1, 1), rated(1, 1, 1)], Agreement(2, 1.0, None)),
        ([rated(1, 1), rated(0, 0), rated(1)], Agreement(2, 1.0, 1.0)),
        ([rated(1, 0), rated(1, 0)], Agreement(2, 0.0, -1.0)),
        ([rated(1, 1, 0), rated(1, 1, 1)], Agreement(2, pytest.approx(2 / 3), pytest.approx(-0.2))),
    ],
)
def test_how_far_people_agree(examples, expected):
    """The share of pairs that say the same, and what it is beyond chance; one person agrees with nobody."""
    assert agreement("faithfulness", examples) == expected
    assert agreement("relevancy", examples) is None


@pytest.mark.parametrize(
    ("metric", "floors"),
    [
        # Of "rain", "snow" in the answer the passage has one; its second sentence has none.
        ("faithfulness", (0.5, 0.0, -4.0)),
        # The reference in the answer.
        ("correctness", (1.0, 1.0, -4.0)),
        # The question's words in the context.
        ("context_relevancy", (0.5, 0.5, -3.0)),
        ("context_recall", (1.0, 1.0, -2.0)),
    ],
)
def test_floors(metric, floors):
    """Each metric compares what it is about: answer and contexts, or reference and answer, and so on."""
    example = replace(EXAMPLE, question=replace(EXAMPLE.question, reference="It rains."))
    assert tuple(floors_of(metric, example).values()) == pytest.approx(floors)


def test_floors_without_words():
    """An empty answer has none of the words."""
    assert tuple(floors_of("relevancy", replace(EXAMPLE, answer=Answer(""))).values()) == (0.0, 0.0, 0.0)
