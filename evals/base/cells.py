"""Cells of tables that spreadsheets open: none of them is calculated."""

from __future__ import annotations

import re

# What a spreadsheet takes for a formula when a cell begins with it, white space aside; the last four are
# full-width forms. A tab or a carriage return is taken for the end of the cell before.
_FORMULA = "'*(?:[\t\r]|[\\s\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20])"
_WOULD_RUN = re.compile(_FORMULA)
_ESCAPED = re.compile(f"'{_FORMULA}")


def cell_text(text: str) -> str:
    """Return a text, with an apostrophe before it where a spreadsheet would calculate it."""
    return f"'{text}" if _WOULD_RUN.match(text) else text


def text_of_cell(cell: str) -> str:
    """Take the apostrophe of `cell_text` off again."""
    return cell[1:] if _ESCAPED.match(cell) else cell
