"""Passages looked up in documents: word for word, whatever the white space."""

from __future__ import annotations

import pytest
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.question import Source
from rag_evals.rag.answer import Context
from rag_evals.rag.documents.document import Document

LONG = "Each token is processed by two of eight experts."
PDF = Document("papers/a.pdf", f"First page.\n\n{LONG} More words. Two.", (0, 13), "a" * 64)
COPY = Document(
    "copy.md", "# Notes\n\nEach token\nis processed by  two of eight\nexperts. Two.", (), "b" * 64
)


@pytest.fixture
def passage_search() -> PassageSearch:
    return PassageSearch([PDF, COPY])


@pytest.mark.parametrize("text", [LONG, LONG.replace(" ", "\n\t "), f"  {LONG}\n"])
def test_found_with_page_and_place(passage_search, text):
    """The source has the document's own words, its page and its offsets."""
    assert passage_search.find(Context(text)) == Source("papers/a.pdf", 2, 13, 13 + len(LONG), LONG)


@pytest.mark.parametrize("name", ["copy.md", "/home/ann/docs/copy.md", "C:\\docs\\copy.md"])
def test_the_named_document_comes_first(passage_search, name):
    """A path of another machine names the document that is called so."""
    found = passage_search.find(Context(LONG, name))
    assert found == Source("copy.md", None, 9, 58, "Each token\nis processed by  two of eight\nexperts.")
    assert COPY.text[9:58] == found.quote


def test_a_document_of_another_name_does_no_harm(passage_search):
    """What does not stand in the named document, or in one that is not there, may stand elsewhere."""
    assert (
        passage_search.find(Context("First page. Each token is processed", "copy.md")).document
        == "papers/a.pdf"
    )
    assert passage_search.find(Context(LONG, "gone.md")).document == "papers/a.pdf"


def test_a_few_words_have_to_stand_in_one_place(passage_search):
    """A name may stand anywhere: it is no passage unless it is unique, in the document if one is named."""
    assert passage_search.find(Context("Two.")) is None
    assert passage_search.find(Context("Two.", "copy.md")) == Source("copy.md", None, 59, 63, "Two.")
    assert passage_search.find(Context("More words.")) == Source("papers/a.pdf", 2, 62, 73, "More words.")


@pytest.mark.parametrize("text", ["", " \n", "Each token is processed by three of eight experts."])
def test_what_stands_nowhere(passage_search, text):
    assert passage_search.find(Context(text)) is None


def test_no_passage_runs_over_two_documents():
    passage_search = PassageSearch([Document("a", "one two", (), ""), Document("b", "three four", (), "")])
    assert passage_search.find(Context("one two three four")) is None
    assert passage_search.find(Context("three four")) == Source("b", None, 0, 10, "three four")
