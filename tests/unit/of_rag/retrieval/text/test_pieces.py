"""Sentences as they are searched: whole, in order, and with nothing between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.retrieval.text.pieces import SHORTEST, sentence_pieces
from rag_evals.rag.retrieval.text.terms import words_of

PRIMER = Path(__file__).parents[5] / "fixtures/corpus/primer.pdf"


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_pieces(text)]


def test_sentences_of_a_document():
    """Of a real document no letter is left out, and no piece is too short to say something."""
    (document,) = read_documents(PRIMER).documents
    places = sentence_pieces(document.text)
    between = zip([0, *(end for _, end in places)], [*(start for start, _ in places), None], strict=True)
    assert len(places) > 300
    assert {document.text[end:start].strip() for end, start in between} == {""}
    assert all(document.text[start:end].strip() == document.text[start:end] for start, end in places)
    assert min(len(words_of(document.text[start:end])) for start, end in places) >= SHORTEST


def test_a_heading_is_of_the_sentence_behind_it():
    text = (
        "# Serving\n\n5.1 Memory\n\nAll eight experts have to be held in memory. No. "
        "Each is as large as the next."
    )
    assert pieces(text) == [
        "# Serving\n\n5.1 Memory\n\nAll eight experts have to be held in memory.",
        "No. Each is as large as the next.",
    ]


def test_what_is_short_at_the_end_is_of_the_sentence_before():
    text = "All eight experts have to be held in memory. See below.\n\n7\n"
    assert pieces(text) == ["All eight experts have to be held in memory. See below.\n\n7"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", []), (" \n ", []), ("a", ["a"]), (" Hi.\n- x\n", ["Hi.\n- x"]), ("* * *\n---", ["* * *\n---"])],
)
def test_texts_with_next_to_nothing(text, found):
    assert pieces(text) == found


def test_scripts_without_blanks():
    """Words are counted by their letters where no blanks part them."""
    text = "路由器把每个词元发送给两个专家。专家一共有八个,分布在每一层。"
    assert pieces(text) == ["路由器把每个词元发送给两个专家。", "专家一共有八个,分布在每一层。"]
