"""Other wordings of a question: what is asked of the model, and what of its reply is taken."""

from __future__ import annotations

import pytest
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.protocol import Completion
from rag_evals.rag.retrieval.retrievers.expansion import TASK, expand, wordings_in
from rag_evals.rag.tracing.spans import span

QUESTION = "Where can I find the code?"


def expanded(reply: str | Completion, count: int = 3) -> tuple[str, ...]:
    with span("expand") as step:
        return expand(ScriptedLLM(reply), QUESTION, count, step)[0]


def test_what_is_asked():
    """The question comes first, as in every prompt about it."""
    llm = ScriptedLLM("source code repository")
    with span("expand") as step:
        wordings, tokens = expand(llm, QUESTION, 3, step)
    assert wordings == ("source code repository",)
    assert llm.prompts[0].parts == (f"Question: {QUESTION}\n", TASK.format(count=3))
    assert tokens.generated == 3


@pytest.mark.parametrize(
    ("reply", "wordings"),
    [
        (
            "1. code repository\n2) where is the code\n(3) github",
            ("code repository", "where is the code", "github"),
        ),
        ('- "code repository"\n* “github”\n\n', ("code repository", "github")),
        ("github\nGitHub\nwhere can i find the code\n", ("github",)),
        ("8x7B weights\n3.5 GPT score", ("8x7B weights", "3.5 GPT score")),
        ("one\ntwo\nthree\nfour", ("one", "two", "three")),
        ("", ()),
        ("---\n?!\n", ()),
        ("源代码在哪里", ("源代码在哪里",)),
    ],
)
def test_what_of_a_reply_is_taken(reply, wordings):
    """Lines without their marks, each once, none that repeats the question, no more than asked for."""
    assert expanded(reply) == wordings


def test_a_line_that_was_cut_is_left_out():
    cut = Completion("code repository\nwhere the sour", Tokens(), finished=False)
    assert expanded(cut) == ("code repository",)
    assert expanded(Completion("where the sour", Tokens(), finished=False)) == ("where the sour",)


def test_a_hostile_reply_takes_linear_time():
    line = "1. " + '"' * 50_000
    assert wordings_in([line, " " * 50_000 + "x"], QUESTION) == ("x",)
