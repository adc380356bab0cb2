"""Where the tokens of a text stand in it."""

from __future__ import annotations

import pytest
from rag_evals.rag.llm.local.llama_cpp import token_spans


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("Two run.", [b"Two", b" run", b"."], ["Two", " run", "."]),
        ("für ❤", [b"f", b"\xc3", b"\xbcr", b" \xe2\x9d", b"\xa4"], ["f", "ü", "ür", " ❤", "❤"]),
        ("Two run.", [b" Two", b" run", b"."], ["Two", " run", "."]),
        ("Two run.", [b"two", b" run", b"."], []),
        ("", [], []),
    ],
    ids=["plain", "characters in pieces", "a blank before it", "another spelling", "nothing"],
)
def test_spans(text, pieces, expected):
    """Each token has the characters that it spells, or is a part of."""
    assert [text[start:end] for start, end in token_spans(text, pieces)] == expected
