"""Cells of tables: no spreadsheet calculates one, and each comes back as it was."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.cells import cell_text, text_of_cell

SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", "\t", "\r", "\n", "\r\n", " ", "\ufeff", "\n \t", "'", "''\n"])
def test_no_formula(before, sign):
    """Whatever white space and however many apostrophes are before the sign."""
    text = f"{before}{sign}1+1"
    assert cell_text(text) == f"'{text}"
    assert text_of_cell(cell_text(text)) == text


@pytest.mark.parametrize("text", ["", "a", "a=1", "'a", "' a", "1-1", "[]", '{"a": 1}', "\n", " a", "'"])
def test_other_texts(text):
    """They stay as they are, both ways."""
    assert cell_text(text) == text
    assert text_of_cell(text) == text
