"""Windows of trained judges: passages together, as long a piece as the makers of each give it."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.entailment.windows import windows_for
from rag_evals.rag.answer import Context
from rag_evals.rag.retrieval.entailment import FORMS, Form

PASSAGES = (Context("A a. B b.", "a.md"), Context("C c.", "c.md"), Context("D d.", "d.md"))


def words(text: str) -> int:
    return len(text.split())


def texts(form: Form, room: int, question: str = "") -> list[str]:
    return [window.text for window in windows_for(form, PASSAGES, question, room, words)]


def test_passages_that_fit_are_one_document():
    """A trained judge reads passages one behind the other, as its makers join documents."""
    assert texts(FORMS["minicheck"], 100) == ["A a. B b.\nC c.\nD d."]


def test_what_does_not_fit_is_cut_between_sentences():
    """Each window has as many whole sentences as there is room for."""
    assert texts(FORMS["minicheck"], 4) == ["A a. B b.", "C c.\nD d."]


def test_cross_encoders_of_inference_read_each_passage_alone():
    """Those were trained on single premises."""
    assert texts(FORMS["nli"], 100) == ["A a. B b.", "C c.", "D d."]


@pytest.mark.parametrize(("form", "most"), [("minicheck", 400), ("minicheck-flan-t5", 500), ("factcg", 550)])
def test_no_window_is_longer_than_the_makers(form, most):
    """Tokens or words, whichever its makers count, beside the room that the model has."""
    long = Context(" ".join(f"Sentence {n}." for n in range(1000)))
    found = windows_for(FORMS[form], [long], "", 1900, lambda text: 3 * words(text) // 2)
    sizes = [words(window.text) for window in found]
    in_words = FORMS[form].window_words == most
    assert max(sizes) <= (most if in_words else most * 2 // 3 + 1)
    assert max(sizes) > 0.9 * (most if in_words else most * 2 // 3)


def test_the_question_stands_around_the_passages():
    """LettuceDetect is shown question and passages, numbered in each window; they take room too."""
    form = FORMS["lettucedetect"]
    (whole,) = texts(form, 100, "Which?")
    assert whole == (
        "Briefly answer the following question:\nWhich?\n"
        "Bear in mind that your response should be strictly based on the following 3 passages:\n"
        "passage 1: A a. B b.\npassage 2: C c.\npassage 3: D d.\n"
        "In case the passages do not contain the necessary information to answer the question, please reply "
        'with: "Unable to answer based on given passages."\noutput:'
    )
    first, second = texts(form, 8, "Which?")
    assert "following 1 passages:\npassage 1: A a. B b.\nIn case" in first
    assert "following 2 passages:\npassage 1: C c.\npassage 2: D d.\nIn case" in second


def test_the_closest_piece_of_a_window():
    """Of passages that are read together the one that shares most words with the claim is shown."""
    (window,) = windows_for(FORMS["factcg"], PASSAGES, "", 100, words)
    assert window.closest("c and C").document == "c.md"
    assert window.closest("nothing").document == "a.md"
