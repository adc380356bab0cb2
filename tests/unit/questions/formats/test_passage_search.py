"""Passages looked up in documents: word for word, whatever the white space."""

from __future__ import annotations

import pytest
from rag_evals.evals.questions.formats.passage_search import Shelf
from rag_evals.evals.questions.question import Source
from rag_evals.rag.answer import Context
from rag_evals.rag.documents.document import Document

LONG = "Each token is processed by two of eight experts."
PDF = Document("papers/a.pdf", f"First page.\n\n{LONG} More words. Two.", (0, 13), "a" * 64)
COPY = Document(
    "copy.md", "# Notes\n\nEach token\nis processed by  two of eight\nexperts. Two.", (), "b" * 64
)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf([PDF, COPY])


@pytest.mark.parametrize("text", [LONG, LONG.replace(" ", "\n\t "), f"  {LONG}\n"])
def test_found_with_page_and_place(shelf, text):
    """The source has the document's own words, its page and its offsets."""
    assert shelf.find(Context(text)) == Source("papers/a.pdf", 2, 13, 13 + len(LONG), LONG)


@pytest.mark.parametrize("name", ["copy.md", "/home/ann/docs/copy.md", "C:\\docs\\copy.md"])
def test_the_named_document_comes_first(shelf, name):
    """A path of another machine names the document that is called so."""
    found = shelf.find(Context(LONG, name))
    assert found == Source("copy.md", None, 9, 58, "Each token\nis processed by  two of eight\nexperts.")
    assert COPY.text[9:58] == found.quote


def test_a_document_of_another_name_does_no_harm(shelf):
    """What does not stand in the named document, or in one that is not there, may stand elsewhere."""
    assert shelf.find(Context("First page. Each token is processed", "copy.md")).document == "papers/a.pdf"
    assert shelf.find(Context(LONG, "gone.md")).document == "papers/a.pdf"


def test_a_few_words_have_to_stand_in_one_place(shelf):
    """A name may stand anywhere: it is no passage unless it is unique, in the document if one is named."""
    assert shelf.find(Context("Two.")) is None
    assert shelf.find(Context("Two.", "copy.md")) == Source("copy.md", None, 59, 63, "Two.")
    assert shelf.find(Context("More words.")) == Source("papers/a.pdf", 2, 62, 73, "More words.")


@pytest.mark.parametrize("text", ["", " \n", "Each token is processed by three of eight experts."])
def test_what_stands_nowhere(shelf, text):
    assert shelf.find(Context(text)) is None


def test_no_passage_runs_over_two_documents():
    shelf = Shelf([Document("a", "one two", (), ""), Document("b", "three four", (), "")])
    assert shelf.find(Context("one two three four")) is None
    assert shelf.find(Context("three four")) == Source("b", None, 0, 10, "three four")
