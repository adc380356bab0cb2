"""Tables whose columns are called as their makers liked: which column holds what, and rows to items."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import kind_name, listing, quoted, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import text_problem
from rag_evals.evals.questions.formats.foreign_files import RunTogetherError, parse_cell_list
from rag_evals.evals.questions.formats.foreign_question import ForeignQuestion
from rag_evals.rag.answer import Context

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "question": ("question", "query", "user_input", "input", "prompt"),
        "reference": (
            "reference",
            "reference_answer",
            "ground_truth",
            "expected_output",
            "expected_answer",
            "answer",
            "answers.text",
        ),
        "contexts": ("contexts", "reference_contexts", "context", "passage"),
        "document": ("document", "source_file"),
        "page": ("page",),
        "tags": ("tags",),
        "answerable": ("answerable",),
        "id": ("id", "_id", "question_id", "query_id"),
    }
)
"""What of a question a column can hold, and the names by which it is known, in any case."""


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """Parse `question=Q,reference=A` into columns by what they hold; a column's name may hold a comma.

    Raises:
        UsageError: Something is not of this form, or is given twice.
    """
    found: dict[str, str] = {}
    parts = [part for text in texts for part in re.split(rf",(?=\s*(?:{'|'.join(KNOWN)})\s*=)", text)]
    for part in parts:
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not (equals and column) or name not in KNOWN:
            raise UsageError(
                f"--map {quoted(part)} is not FIELD=COLUMN, with FIELD one of {', '.join(KNOWN)}"
            )
        if name in found:
            raise UsageError(f"--map gives {name} twice: {quoted(found[name])} and {quoted(column)}")
        found[name] = column
    return found


def chosen_columns(given: Mapping[str, str], names: Sequence[str], place: str) -> dict[str, str]:
    """Return the columns by what they hold: those that were asked for, else those of known names.

    Args:
        given: What `--map` says. What it does not name is still looked for by known names.
        names: The columns that there are; `a.b` is the part b of the column a.
        place: The file, for messages.

    Raises:
        UsageError: A column that was asked for is not there, or none holds the question.
    """
    missing = [f"{field}={column}" for field, column in given.items() if column not in names]
    there = f"its columns are {', '.join(map(quoted, names)) or 'none'}"
    if missing:
        raise UsageError(listing(f"{place}: no such column; {there}:", missing))
    chosen = dict(given)
    by_name = {name.casefold(): name for name in reversed(names)}
    for field, known in KNOWN.items():
        fitting = [by_name[name] for name in known if by_name.get(name) not in (None, *given.values())]
        if field not in chosen and fitting:
            chosen[field] = fitting[0]
    if "question" not in chosen:
        raise UsageError(f"{place}: no column holds the question; {there}; say --map question=COLUMN")
    return chosen


def item_of(row: Mapping[str, Any], columns: Mapping[str, str]) -> ForeignQuestion | Fault:
    """Return the item of a row, whose cells are by the names of their columns."""
    problems: list[str] = []
    cells = {field: row.get(column) for field, column in columns.items()}
    text = {
        field: _text(cells.get(field), columns.get(field, ""), problems)
        for field in ("question", "reference", "id", "document")
    }
    contexts = _texts(cells.get("contexts"), columns.get("contexts", ""), problems)
    page = _page(cells.get("page"), columns.get("page", ""), problems)
    more: dict[str, Any] = {}
    if tags := _tags(cells.get("tags"), columns.get("tags", ""), problems):
        more["tags"] = tags
    if not _is_answerable(cells.get("answerable"), columns.get("answerable", ""), problems):
        more["answerable"] = False
    if cells.get("reference") == []:
        more["answerable"] = False  # so SQuAD 2 says that the passage does not tell
    if text["question"] is None and not problems:
        problems.append(f"missing {quoted(columns['question'])}")
    if problems:
        return Fault(tuple(problems))
    document = text["document"] or ""
    return ForeignQuestion(
        question=text["question"] or "",
        reference=text["reference"],
        contexts=tuple(Context(passage, document, page) for passage in contexts),
        id=text["id"],
        more=more,
    )


def _text(cell: object, column: str, problems: list[str]) -> str | None:
    """Return a text; of several, such as the answers of SQuAD, the first; a number as it is written."""
    if isinstance(cell, list):
        cell = cell[0] if cell else None
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if problem := text_problem(cell):
        problems.append(f"{quoted(column)} {problem}")
        return None
    return str(cell)


def _texts(cell: object, column: str, problems: list[str]) -> list[str]:
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = parse_cell_list(cell.strip())
        except RunTogetherError as error:
            problems.append(f"{quoted(column)} {error}")
            return []
        except ValueError:
            cell = [cell]  # a passage may begin with a bracket
    members = cell if isinstance(cell, list) else [] if cell is None else [cell]
    for number, member in enumerate(members):
        if problem := text_problem(member, may_be_blank=True):
            problems.append(f"{quoted(column)}[{number}] {problem}")
    return [member for member in members if isinstance(member, str) and member.strip()]


def _tags(cell: object, column: str, problems: list[str]) -> list[str]:
    if isinstance(cell, str) and not cell.lstrip().startswith("["):
        cell = re.split(r"[,;]", cell)
    return [tag.strip() for tag in _texts(cell, column, problems)]


_WORDS: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)


def _is_answerable(cell: object, column: str, problems: list[str]) -> bool:
    value = _WORDS.get(cell.strip().casefold()) if isinstance(cell, str) else cell
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return True
    if not isinstance(value, bool):
        problems.append(f"{quoted(column)} is not true or false but {kind_name(cell)} ({short_repr(cell)})")
    return bool(value)


def _page(cell: object, column: str, problems: list[str]) -> int | None:
    value = int(cell) if isinstance(cell, str) and cell.strip().isdecimal() else cell
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        problems.append(f"{quoted(column)} is not a page but {kind_name(cell)} ({short_repr(cell)})")
        return None
    return value
