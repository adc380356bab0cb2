"""DeepEval's goldens: a JSON list, JSON Lines or CSV, as `EvaluationDataset.save_as` writes them.

Schema: `Golden` (`deepeval/dataset/golden.py`) and `dataset.py` of deepeval 4.3.1. `additional_metadata` is
for whatever its users like, and holds what is ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_object, parse_text
from rag_evals.evals.questions.formats.cells import parse_answer
from rag_evals.evals.questions.formats.foreign_files import (
    PlacedEntries,
    entries,
    new_file,
    objects,
    parse_texts,
)
from rag_evals.evals.questions.formats.foreign_question import (
    OURS,
    ForeignQuestion,
    PlacedItems,
    imported_fields,
    ours_of,
    parse_ours,
    question_from,
    question_passages,
)
from rag_evals.evals.questions.formats.passage_search import file_name
from rag_evals.evals.questions.formats.tables.csv_files import TABLES, read_rows, write_rows
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context

NAME = "deepeval"
# What parts the passages of one cell (`dataset/utils.py`); the library has no way to write it in a passage.
DELIMITER = "|"
_METADATA = "additional_metadata"
_TEXTS = ("name", "comments", "source_file")
_COLUMNS = ("input", "expected_output", "context", *_TEXTS, _METADATA)


def read(path: Path) -> PlacedItems:
    """Yield the goldens of a file; JSON Lines and CSV are read one golden at a time."""
    for place, entry in objects(rows(path)):
        yield place, _item(entry) if isinstance(entry, dict) else entry


def rows(path: Path) -> PlacedEntries:
    """Yield the goldens as they stand in the file."""
    return _parsed_rows(path) if path.suffix.lower() in TABLES else entries(path)


def write(questions: Sequence[Question], path: Path) -> None:
    """Write goldens, in the form that the suffix names."""
    rows = map(_row, questions)
    if path.suffix.lower() == ".csv":
        write_rows(path, _COLUMNS, map(_cells, rows))
        return
    with new_file(path) as file:
        if path.suffix.lower() == ".json":
            json.dump(list(rows), file, ensure_ascii=False, indent=4)
        else:
            file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _item(entry: dict[str, Any]) -> ForeignQuestion | Fault:
    if entry.get("scenario"):
        return Fault(
            ('"scenario" makes it a conversation of several turns; only single questions can be read',)
        )
    problems: list[str] = []
    question = parse_text(entry, "input", problems, is_required=True) or ""
    reference = parse_answer(entry, "expected_output", problems)
    fields: dict[str, Any] = {
        key: text for key in _TEXTS if (text := parse_text(entry, key, problems, may_be_blank=True))
    }
    metadata = parse_object(entry, _METADATA, problems) or {}
    ours = parse_ours(metadata, problems)
    contexts = _contexts(entry, ours, problems)
    if problems:
        return Fault(tuple(problems))
    document = file_name(fields.get("source_file", ""))
    return ForeignQuestion(
        question=question,
        reference=reference,
        contexts=tuple(Context(text, document) for text in contexts),
        fields=fields | ({_METADATA: metadata} if metadata else {}),
        more=ours or {},
        is_ours=ours is not None,
    )


def _contexts(
    entry: Mapping[str, Any], ours: Mapping[str, Any] | None, problems: list[str]
) -> tuple[str, ...]:
    """Return the passages; in a cell, and in its JSON Lines, the library joins them."""
    joined = entry.get("context")
    if not isinstance(joined, str):
        return parse_texts(entry, "context", problems) or ()
    own = _own_passages(ours)
    if DELIMITER.join(own) == joined:
        return own  # a passage of ours may hold the delimiter
    return tuple(part for part in joined.split(DELIMITER) if part.strip())


def _own_passages(ours: Mapping[str, Any] | None) -> tuple[str, ...]:
    whole = question_from({**(ours or {}), "question": "?"}) if ours else None
    return tuple(p.text for p in question_passages(whole)) if isinstance(whole, Question) else ()


def _row(question: Question) -> dict[str, Any]:
    fields = imported_fields(question, NAME)
    metadata = fields.get(_METADATA)
    ours = ours_of(question, "question", "reference")
    return {
        "input": question.question,
        "expected_output": question.reference,
        "context": [passage.text for passage in question_passages(question)] or None,
        "name": fields.get("name") or question.id,
        "comments": fields.get("comments"),
        "source_file": fields.get("source_file") or next((s.document for s in question.sources), None),
        _METADATA: {**(metadata if isinstance(metadata, dict) else {}), OURS: ours},
    }


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    joined = DELIMITER.join(row["context"]) if row["context"] else None
    return {**row, "context": joined, _METADATA: json.dumps(row[_METADATA], ensure_ascii=False)}


def _parsed_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for place, row in read_rows(path):
        cell = row.get(_METADATA) if isinstance(row, dict) else None
        if not isinstance(row, dict) or cell is None:
            yield place, row
            continue
        try:
            yield place, {**row, _METADATA: json.loads(cell)}
        except (ValueError, RecursionError):
            yield place, Fault((f'"{_METADATA}" is not JSON',))
