"""The words that a real model finds unsupported: what a claim puts in the place of what a passage says."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.choice import ChoiceScorer
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context

pytestmark = pytest.mark.model

QUESTION = Question("experts", "How many experts does the router choose?")
PASSAGE = Context("The router of Mixtral sends each token to two of eight experts in Grenoble.", "moe.pdf")


def unsupported(llm, text: str) -> tuple[str, ...]:
    (item,) = (
        ChoiceScorer(llm).read(["faithfulness"], QUESTION, Answer(text, (PASSAGE,)))["faithfulness"].items
    )
    return item.unsupported


def test_what_the_passage_does_not_say_is_named(llm):
    """A claim in the passage's own words has no unsupported words; in another each changed word is named."""
    assert unsupported(llm, "The router of Mixtral sends each token to two of eight experts.") == ()
    named = unsupported(llm, "The router of Mixtral sends each volcano to nine accountants.")
    assert {"volcano", "accountants"} <= set(named) <= {"volcano", "nine", "accountants"}


def test_words_are_the_same_each_time(llm):
    """With a warm cache as with a cold one."""
    one, two = (unsupported(llm, "The router of Mixtral sends two volcanoes to Grenoble.") for _ in range(2))
    assert one == two
    assert "volcanoes" in one
