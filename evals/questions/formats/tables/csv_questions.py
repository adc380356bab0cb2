"""CSV: a table of ours, or anybody's whose columns are known or told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.messages import display_path
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_text
from rag_evals.evals.questions.formats.cells import parse_cell
from rag_evals.evals.questions.formats.foreign_question import ForeignQuestion, PlacedItems, ours_of
from rag_evals.evals.questions.formats.table_columns import chosen_columns, column_notes, item_of
from rag_evals.evals.questions.formats.tables.csv_files import column_names, read_rows, write_rows
from rag_evals.evals.questions.question import Question


def read(path: Path, columns: Mapping[str, str]) -> PlacedItems:
    """Yield the rows of a table, one at a time; a table of ours is read as such unless columns are told.

    Raises:
        UsageError: A column that was told is not there, or none is known to hold the question.
    """
    names = column_names(path)
    is_ours = is_own(names) and not columns
    parts = {path: path.partition(".")[0] for path in columns.values() if path not in names}
    nested = {top for top in parts.values() if top in names}
    known = (*names, *(path for path, top in parts.items() if top in nested))
    chosen = {} if is_ours else chosen_columns(columns, known, display_path(path))
    if not is_ours:
        yield from ((display_path(path), note) for note in column_notes(chosen, columns, names))
    for place, row in read_rows(path):
        if not isinstance(row, dict):
            yield place, row
            continue
        objects = {name: _object(row.get(name)) for name in nested}
        yield place, own_item(_answerable(row)) if is_ours else item_of(row | objects, chosen)


def _object(cell: str | None) -> Any:
    """Return the object or list that a cell holds, of which a part was asked for."""
    try:
        return parse_cell(cell or "")
    except ValueError:
        return None


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a table of ours; a text that a spreadsheet would run gets an apostrophe before it."""
    write_rows(path, COLUMNS, (_cells(question_row(question)) for question in questions))


def _cells(row: Mapping[str, Any]) -> dict[str, str | None]:
    cells = {name: cell if isinstance(cell, str) else None for name, cell in row.items()}
    for name in (*LISTS, *OBJECTS, "answerable"):
        cells[name] = None if row[name] is None else json.dumps(row[name], ensure_ascii=False)
    return cells


def _answerable(row: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a row with a truth for its word; spreadsheets write it in capitals."""
    word = row.get("answerable")
    truths = {"true": True, "false": False}
    return {**row, "answerable": truths.get(word.strip().casefold(), word) if word else None}


# In CSV each of these is JSON in a cell; of Parquet the first two have types of their own.
LISTS = ("sources", "tags")
OBJECTS = ("thresholds", "provenance")
COLUMNS = ("id", "question", "reference", "answerable", *LISTS, *OBJECTS, "digest")


def is_own(names: Sequence[str]) -> bool:
    """Return whether a table with these columns is one of ours; others may have been added."""
    return set(COLUMNS) <= set(names)


def question_row(question: Question) -> dict[str, Any]:
    """Return a question as a row; what it does not have is None."""
    line = ours_of(question)
    return {column: line.get(column) for column in COLUMNS} | {"answerable": question.answerable}


def own_item(row: Mapping[str, Any]) -> ForeignQuestion | Fault:
    """Return the item of a row of ours, its lists and objects as they are or as JSON."""
    problems: list[str] = []
    question = parse_text(row, "question", problems, is_required=True) or ""
    reference = parse_text(row, "reference", problems)
    more = {"id": row.get("id"), "digest": row.get("digest"), "answerable": row.get("answerable")}
    for column in (*LISTS, *OBJECTS):
        more[column] = _value(row, column, problems)
    if problems:
        return Fault(tuple(problems))
    return ForeignQuestion(question=question, reference=reference, more=more, is_ours=True)


def _value(row: Mapping[str, Any], column: str, problems: list[str]) -> Any:
    cell = row.get(column)
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        problems.append(f'"{column}" is not JSON')
        return None
