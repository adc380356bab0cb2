"""Questions as rows of a table of ours: every key of a question file is a column."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evals.entries import Fault, parse_text
from evals.formats.items import Item, ours_of
from evals.questions import Question

# In CSV each of these is JSON in a cell; of Parquet the first two have types of their own.
LISTS = ("sources", "tags")
OBJECTS = ("thresholds", "provenance")
COLUMNS = ("id", "question", "reference", "answerable", *LISTS, *OBJECTS, "digest")


def is_own(names: Sequence[str]) -> bool:
    """Tell whether a table with these columns is one of ours; others may have been added."""
    return set(COLUMNS) <= set(names)


def row_of(question: Question) -> dict[str, Any]:
    """Give a question as a row; what it does not have is None."""
    line = ours_of(question)
    return {column: line.get(column) for column in COLUMNS} | {"answerable": question.answerable}


def own_item(row: Mapping[str, Any]) -> Item | Fault:
    """Give the item of a row of ours, its lists and objects as they are or as JSON."""
    problems: list[str] = []
    question = parse_text(row, "question", problems, is_required=True) or ""
    reference = parse_text(row, "reference", problems)
    more = {"id": row.get("id"), "digest": row.get("digest"), "answerable": row.get("answerable")}
    for column in (*LISTS, *OBJECTS):
        more[column] = _value(row, column, problems)
    if problems:
        return Fault(tuple(problems))
    return Item(question=question, reference=reference, more=more, is_ours=True)


def _value(row: Mapping[str, Any], column: str, problems: list[str]) -> Any:
    cell = row.get(column)
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        problems.append(f'"{column}" is not JSON')
        return None
