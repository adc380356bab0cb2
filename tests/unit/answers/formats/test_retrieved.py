"""Passages that retrievers give, in the forms in which libraries have them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rag_evals.evals.answers.formats.retrieved import passages_beside, passages_in

ONE = {"text": "One."}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["One."], [ONE]),
        ("One.", [ONE]),
        ({"documents": ["One."]}, [ONE]),
        ({"documents": [["One.", "Two."]], "distances": [[0.1, 0.2]]}, [ONE, {"text": "Two."}]),
        (json.dumps([{"page_content": "One."}]), [ONE]),
        (
            [{"content": "One.", "meta": {"file_path": "/srv/a.md"}, "score": 1}],
            [{**ONE, "document": "a.md", "score": 1}],
        ),
        (
            [{"node": {"text": "One.", "metadata": {"file_name": "a.md"}}, "score": 0.5}],
            [{**ONE, "document": "a.md", "score": 0.5}],
        ),
        ({"source_nodes": [{"node": {"text": "One."}}]}, [ONE]),
        (
            {"matches": [{"id": "7", "score": 0.5, "metadata": {"text": "One."}}]},
            [{**ONE, "document": "7", "score": 0.5}],
        ),
        ({"points": [{"payload": {"text": "One."}, "score": 0.25}]}, [{**ONE, "score": 0.25}]),
        ({"hits": {"hits": [{"_source": {"body": "One."}, "_score": 2.0}]}}, [{**ONE, "score": 2.0}]),
        ([{"content": {"text": "One."}}], [ONE]),
        (
            [{"document.content": "One.", "document.metadata": '{"source": "b/a.md"}'}],
            [{**ONE, "document": "b/a.md"}],
        ),
        ([{"lc": 1, "kwargs": {"page_content": "One."}}], [ONE]),
        ([{"context": "One.", "source": "C:\\docs\\a.md"}], [{**ONE, "document": "a.md"}]),
        ([{"text": "One."}, {"text": " "}, {"id": "2"}, "", 3], [ONE]),
        ([], []),
        ([[]], []),
        ("[]", []),
        ({"documents": []}, []),
    ],
)
def test_passages(value, expected):
    """Text, document and score of each; what has no text is left out."""
    assert passages_in(value) == expected


@pytest.mark.parametrize(
    "value", [None, 3, "", {}, {"x": 1}, [{"id": "1", "score": 0.5}], {"documents": [{"id": "1"}]}]
)
def test_passages_that_are_not_known(value):
    """Where no text is, nothing is known: it does not count as nothing found."""
    assert passages_in(value) is None


@pytest.mark.parametrize(
    ("about", "page"),
    [
        ({"page": 3}, 3),
        ({"page": 3, "total_pages": 9}, 4),  # LangChain's readers of PDF
        ({"page": 0}, 1),
        ({"page_label": "5", "page": 4, "total_pages": 9}, 5),
        ({"page_label": "iv", "page": 3, "total_pages": 9}, 4),
        ({"page_number": 2}, 2),
        ({"page": "7"}, 7),
        ({"page": -1}, None),
        ({"page": 2.5}, None),
        ({"page": True}, None),
        ({"page": "9" * 5000}, None),
        ({"page": 10**400}, None),
    ],
)
def test_pages(about, page):
    """Pages are counted from 1, whoever counted them."""
    passage = {"text": "One.", **({"page": page} if page else {})}
    assert passages_in([{"page_content": "One.", "metadata": about}]) == [passage]


def test_scores_that_are_none():
    """What is no number is no score."""
    for score in (float("nan"), float("inf"), 10**400, True, "0.5"):
        assert passages_in([{"text": "One.", "score": score}]) == [ONE]


def test_passages_beside_an_answer():
    """Names of an application's own output; any other list there is none of passages."""
    assert passages_beside({"answer": "So.", "context": ["One."]}) == [ONE]
    assert passages_beside('{"source_documents": [{"page_content": "One."}]}') == [ONE]
    assert passages_beside({"answer": "So.", "documents": ["One."]}) is None
    assert passages_beside("One.") is None


def test_depth():
    """What is nested without end is none, and takes no time."""
    value: Any = ["One."]
    for _ in range(90):
        value = {"documents": value}
    assert passages_in(value) is None
