"""CSV: a table of ours, or anybody's whose columns are known or told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.entries import Fault, shown
from evals.formats.columns import chosen_columns, item_of
from evals.formats.csv_files import columns_of, read_rows, write_rows
from evals.formats.items import Item
from evals.formats.own_table import COLUMNS, LISTS, OBJECTS, is_own, own_item, row_of
from evals.questions import Question

# What a spreadsheet takes for a formula when a cell begins with it; the last four are full-width forms.
_FORMULA = "=+\\-@\t\r\uff1d\uff0b\uff0d\uff20"
_WOULD_RUN = re.compile(f"'*[{_FORMULA}]")
_ESCAPED = re.compile(f"'+[{_FORMULA}]")


def read(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[str, Item | Fault]]:
    """Yield the rows of a table, one at a time; a table of ours is read as such unless columns are told.

    Raises:
        UsageError: A column that was told is not there, or none is known to hold the question.
    """
    names = columns_of(path)
    is_ours = is_own(names) and not columns
    chosen = {} if is_ours else chosen_columns(columns, names, shown(path))
    for place, row in read_rows(path):
        if isinstance(row, Fault):
            yield place, row
            continue
        plain = {name: _plain(cell) for name, cell in row.items()}
        yield place, own_item(_answerable(plain)) if is_ours else item_of(plain, chosen)


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a table of ours; a text that a spreadsheet would run gets an apostrophe before it."""
    write_rows(path, COLUMNS, (_cells(row_of(question)) for question in questions))


def _cells(row: Mapping[str, Any]) -> dict[str, str | None]:
    cells = {name: _safe(cell) if isinstance(cell, str) else None for name, cell in row.items()}
    for name in (*LISTS, *OBJECTS, "answerable"):
        cells[name] = None if row[name] is None else json.dumps(row[name], ensure_ascii=False)
    return cells


def _answerable(row: Mapping[str, str | None]) -> dict[str, Any]:
    """Give a row with a truth for its word; spreadsheets write it in capitals."""
    word = row.get("answerable")
    truths = {"true": True, "false": False}
    return {**row, "answerable": truths.get(word.strip().casefold(), word) if word else None}


def _safe(text: str) -> str:
    return f"'{text}" if _WOULD_RUN.match(text) else text


def _plain(cell: str | None) -> str | None:
    """Take the apostrophe off again; `_safe` adds one also before texts that begin with one."""
    return cell[1:] if cell and _ESCAPED.match(cell) else cell
