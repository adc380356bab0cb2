"""Tables whose columns are called as their makers liked: which column holds what, and rows to items."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import NAMED, kind_name, listing, quoted, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import text_problem
from rag_evals.evals.questions.formats.cells import (
    RunTogetherError,
    is_nothing,
    parse_printed,
    paths_of,
    plain_text,
    value_at,
)
from rag_evals.evals.questions.formats.foreign_files import QUESTION_NAMES, PlacedEntries, objects
from rag_evals.evals.questions.formats.foreign_question import ForeignQuestion, Note, PlacedItems
from rag_evals.evals.questions.formats.passages import chosen_passages, passages_of

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "question": QUESTION_NAMES,
        "reference": (
            *("reference", "reference_answer", "ground_truth", "ground_truths", "expected_output"),
            *("expected_answer", "expected", "ideal", "ideal_answer", "correct_answer", "gold_answer"),
            *("answer", "answers.text", "answers", "answer_text", "target", "response", "completion"),
            "output",
        ),
        "contexts": (*("contexts", "reference_contexts", "context", "passage", "passages", "paragraphs"),),
        "document": ("document", "source_file"),
        "page": ("page",),
        "tags": ("tags",),
        "answerable": ("answerable", "is_answerable", "is_impossible"),
        "id": ("id", "_id", "question_id", "query_id"),
    }
)
"""What of a question a column can hold, and the names by which it is known, in any case."""

# Beside a system's answer the contexts are what that system found, as in an evaluation's table of ragas 0.1.
_FOUND = ("contexts", "context")
_ANSWERS = {"answer", "response"}
_TRUTHS = {"ground_truth", "ground_truths"}
SUPPORTING = "supporting_facts"
# So MS MARCO says that no passage tells.
_NO_ANSWER = "No Answer Present."
_PARTS = ("text", "value", "answer", "answers")


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


def items_of(rows: Callable[[], PlacedEntries], given: Mapping[str, str], place: str) -> PlacedItems:
    """Yield the items of rows that are objects; they are gone through once before, for all their names.

    Raises:
        UsageError: As `chosen_columns` does.
    """
    found = (row for _, row in rows() if isinstance(row, dict))
    names = list(dict.fromkeys(path for row in found for path in paths_of(row)))
    columns = chosen_columns(given, names, place) if names else {}
    yield from ((place, note) for note in column_notes(columns, given, names))
    for where, row in objects(rows()):
        yield where, item_of(row, columns) if isinstance(row, dict) else row


def chosen_columns(given: Mapping[str, str], names: Sequence[str], place: str) -> dict[str, str]:
    """Return the columns by what they hold: those that were asked for, else those of known names.

    Args:
        given: What `--map` says. What it does not name is still looked for by known names.
        names: The columns that there are; `a.b` is the part b of the column a.
        place: The file, for messages.

    Raises:
        UsageError: A column that was asked for is not there, or none holds the question.
    """
    missing = [f"{field}={column}" for field, column in given.items() if not _is_there(column, names)]
    there = f"its columns are {', '.join(map(quoted, names)) or 'none'}"
    if missing:
        raise UsageError(listing(f"{place}: no such column; {there}:", missing))
    chosen = dict(given)
    by_name = {_plain(name): name for name in reversed(names)}
    for field, known in KNOWN.items():
        fitting = [by_name[name] for name in known if by_name.get(name) not in (None, *given.values())]
        if not fitting and field in ("question", "reference"):
            fitting = _nested(known, names)
        if field not in chosen and fitting:
            chosen[field] = fitting[0]
    if "contexts" not in given and _plain(chosen.get("contexts", "")) in _FOUND and _is_evaluated(names):
        del chosen["contexts"]
    if "question" not in chosen:
        hint = _NO_HEADER if any(name.endswith("?") for name in names) else ""
        raise UsageError(f"{place}: no column holds the question; {there}; say --map question=COLUMN{hint}")
    return chosen


_NO_HEADER = ", or put a line of names such as question,answer before the first"


def column_notes(chosen: Mapping[str, str], given: Mapping[str, str], names: Sequence[str]) -> Iterator[Note]:
    """Yield which columns were taken for what by a name that is not their own, and which were not read."""
    guessed = [f"{field} from {quoted(name)}" for field, name in chosen.items() if _plain(name) != field]
    if taken := [text for text in guessed if text.partition(" ")[0] not in given]:
        yield Note("", f"read: {', '.join(taken)}")
    used = {name.partition(".")[0] for name in (*chosen.values(), SUPPORTING)}
    tops = [name for name in names if name and name.partition(".")[0] == name and name not in used]
    if tops:
        more = f" and {len(tops) - NAMED:,} more" if len(tops) > NAMED else ""
        found = [name for name in tops if _plain(name) in _FOUND and _is_evaluated(names)]
        why = f"; what a system found for its answer is taken by --map contexts={found[0]}" if found else ""
        yield Note("", f"not read: {', '.join(map(quoted, tops[:NAMED]))}{more}{why}")


def _is_evaluated(names: Iterable[str]) -> bool:
    """Return whether a table has a system's answers beside the right ones."""
    plain = set(map(_plain, names))
    return not plain.isdisjoint(_ANSWERS) and not plain.isdisjoint(_TRUTHS)


def _plain(name: str) -> str:
    """Return a name in the form in which the known ones are: `Ground Truth` is ground_truth."""
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _is_there(column: str, names: Sequence[str]) -> bool:
    """Return whether a column is there; `a.0` is a member of the list a."""
    return column in names or re.sub(r"\.\d+(?=\.|$)", "", column) in names


def _nested(known: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the one part of an object that has a known name, as in `inputs.question`."""
    for name in known:
        fitting = [path for path in names if "." in path and _plain(path.rpartition(".")[2]) == name]
        if len(fitting) == 1:
            return fitting
    return []


def item_of(row: Mapping[str, Any], columns: Mapping[str, str]) -> ForeignQuestion | Fault:
    """Return the item of a row, whose cells are by the names of their columns."""
    problems: list[str] = []
    cells = {field: value_at(row, column) for field, column in columns.items()}
    given = _printed(cells.get("reference"), columns.get("reference", ""), problems)
    answers = cells["reference"] = _answers(given)
    text = {
        field: _text(cells.get(field), columns.get(field, ""), problems, may_be_number=field != "question")
        for field in ("question", "reference", "id", "document")
    }
    passages = passages_of(cells.get("contexts"), columns.get("contexts", ""), problems)
    page = _page(cells.get("page"), columns.get("page", ""), problems)
    more: dict[str, Any] = {}
    if tags := _tags(cells.get("tags"), columns.get("tags", ""), problems):
        more["tags"] = tags
    if not _is_answerable(cells.get("answerable"), columns.get("answerable", ""), problems):
        more["answerable"] = False
    is_empty = given == [] or (isinstance(given, Mapping) and not answers)
    if is_empty or text["reference"] == _NO_ANSWER:
        more["answerable"] = False  # so SQuAD 2 says that the passage does not tell
        text["reference"] = None
    if text["question"] is None and not problems:
        problems.append(f"missing {quoted(columns.get('question', 'question'))}")
    if problems:
        return Fault(tuple(problems))
    contexts, notes = chosen_passages(passages, row.get(SUPPORTING), text["document"] or "", page)
    if len(answers) > 1:
        notes = (*notes, Note("question", "with several right answers: the first is the reference"))
    return ForeignQuestion(
        question=text["question"] or "",
        reference=text["reference"],
        contexts=contexts,
        id=text["id"],
        more=more,
        notes=notes,
    )


def _answers(cell: object) -> list[Any]:
    """Return the right answers of a cell: all of a list, that of an object under its usual names."""
    if isinstance(cell, Mapping):
        key = next((name for name in _PARTS if name in cell), None)
        return _answers(cell[key]) if key else [cell]
    members = cell if isinstance(cell, list) else [cell]
    found: list[Any] = []
    for answer in members:
        one = _answers(answer)[:1] if isinstance(answer, Mapping) else [answer]
        found += [text for text in one if not is_nothing(text) and text not in found]
    return found


def _printed(cell: object, column: str, problems: list[str]) -> object:
    """Return the texts, or the object with an answer, that a text is the print of, another cell as it is."""
    try:
        value = parse_printed(cell)
    except RunTogetherError as error:
        problems.append(f"{quoted(column)} {error}")
        return None
    is_texts = isinstance(value, list) and all(isinstance(member, str | None) for member in value)
    is_object = isinstance(value, dict) and not value.keys().isdisjoint(_PARTS)
    return value if is_texts or is_object else cell


def _text(cell: object, column: str, problems: list[str], *, may_be_number: bool = True) -> str | None:
    """Return a text; of several, such as the answers of SQuAD, the first; a number as it is written."""
    cell = next(iter(_answers(cell)), None)
    if may_be_number or (isinstance(cell, int) and not isinstance(cell, bool)):
        cell = plain_text(cell)
    if is_nothing(cell):
        return None
    if problem := text_problem(cell):
        problems.append(f"{quoted(column)} {problem}")
        return None
    return str(cell)


def _tags(cell: object, column: str, problems: list[str]) -> list[str]:
    listed = _printed(cell, column, problems)
    cell = re.split(r"[,;]", listed) if isinstance(listed, str) else listed
    found = []
    for number, tag in enumerate(cell if isinstance(cell, list) else [cell]):
        if is_nothing(tag):
            continue
        if problem := text_problem(tag):
            problems.append(f"{quoted(column)}[{number}] {problem}")
        else:
            found.append(str(tag).strip())
    return found


_WORDS: Mapping[str, bool] = MappingProxyType(
    dict.fromkeys(("true", "yes", "y", "t", "1"), True) | dict.fromkeys(("false", "no", "n", "f", "0"), False)
)


def _is_answerable(cell: object, column: str, problems: list[str]) -> bool:
    if is_nothing(cell):
        return True
    value = _WORDS.get(str(plain_text(cell)).strip().casefold())
    if value is None:
        problems.append(f"{quoted(column)} is not true or false but {kind_name(cell)} ({short_repr(cell)})")
    return bool(value) is not _plain(column).endswith("is_impossible")


def _page(cell: object, column: str, problems: list[str]) -> int | None:
    text = plain_text(cell)
    if is_nothing(text):
        return None
    value = int(text) if isinstance(text, str) and text.strip().isdecimal() else 0
    if value < 1:
        problems.append(f"{quoted(column)} is not a page but {kind_name(cell)} ({short_repr(cell)})")
        return None
    return value
