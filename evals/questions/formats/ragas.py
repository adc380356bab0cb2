"""Test sets of ragas: one sample a row, as JSON Lines, a JSON list or CSV.

Those of 0.1 have `question`, `ground_truth` or `ground_truths`, `contexts`, and `metadata` with one for each
context. Schema of later ones, which are written: `SingleTurnSample` (`ragas/dataset_schema.py`) and `Testset`
(`ragas/testset/synthesizers/testset_schema.py`) of ragas 0.4.3. A row is a sample and the name of its
synthesizer; keys that the sample does not know are passed over, so what is ours travels along.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_text
from rag_evals.evals.questions.formats.cells import (
    is_nothing,
    parse_answer,
    parse_cell,
    parse_cell_list,
)
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
    Note,
    PlacedItems,
    imported_fields,
    ours_of,
    parse_ours,
    question_passages,
)
from rag_evals.evals.questions.formats.passages import without_hop
from rag_evals.evals.questions.formats.table_columns import item_of
from rag_evals.evals.questions.formats.tables.csv_files import TABLES, read_rows, write_rows
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context

NAME = "ragas"
_FIELDS = ("synthesizer_name", "persona_name", "query_style", "query_length")
_COLUMNS = ("user_input", "reference_contexts", "reference", *_FIELDS, OURS)
_TRUTHS = ("ground_truth", "ground_truths")
_OLD_FIELDS = ("evolution_type",)


def read(path: Path) -> PlacedItems:
    """Yield the samples of a test set; JSON Lines and CSV are read one sample at a time."""
    for place, entry in objects(rows(path)):
        if isinstance(entry, dict):
            yield place, _old_item(entry) if is_old(entry) else _item(entry)
        else:
            yield place, entry


def rows(path: Path) -> PlacedEntries:
    """Yield the samples as they stand in the file."""
    return _parsed_rows(path) if path.suffix.lower() in TABLES else entries(path)


def is_old(keys: Container[str]) -> bool:
    """Return whether a sample with these keys is one of ragas 0.1."""
    return "question" in keys and "contexts" in keys and any(truth in keys for truth in _TRUTHS)


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a test set, in the form that the suffix names.

    `Testset.from_jsonl` reads JSON Lines, `Testset.from_list` the JSON list. A list in a cell of CSV is JSON,
    which `ast.literal_eval` reads as well.
    """
    rows = map(_row, questions)
    if path.suffix.lower() == ".csv":
        write_rows(path, _COLUMNS, (_cells(row) for row in rows))
        return
    with new_file(path) as file:
        if path.suffix.lower() == ".json":
            json.dump(list(rows), file, ensure_ascii=False, indent=2)
        else:
            file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _item(entry: dict[str, Any]) -> ForeignQuestion | Fault:
    if isinstance(entry.get("user_input"), list):
        return Fault(('"user_input" is a conversation of several turns; only single questions can be read',))
    problems: list[str] = []
    question = parse_text(entry, "user_input", problems, is_required=True) or ""
    reference = parse_answer(entry, "reference", problems)
    contexts = parse_texts(entry, "reference_contexts", problems)
    fields = {key: text for key in _FIELDS if (text := parse_text(entry, key, problems, may_be_blank=True))}
    ours = parse_ours(entry, problems)
    if problems:
        return Fault(tuple(problems))
    return ForeignQuestion(
        question=question,
        reference=reference,
        contexts=tuple(Context(text if ours else without_hop(text)) for text in contexts or ()),
        fields=fields,
        more=ours or {},
        is_ours=ours is not None,
    )


def _old_item(entry: dict[str, Any]) -> ForeignQuestion | Fault:
    """Return the item of a sample of 0.1; beside an answer its contexts are what the system found."""
    truth = next((key for key in _TRUTHS if not is_nothing(entry.get(key))), _TRUTHS[0])
    columns = {"question": "question", "reference": truth}
    is_evaluated = not is_nothing(entry.get("answer"))
    columns |= {} if is_evaluated else {"contexts": "contexts"}
    item = item_of({**entry, "contexts": _named_contexts(entry)}, columns)
    if isinstance(item, Fault):
        return item
    fields = {key: entry[key] for key in _OLD_FIELDS if isinstance(entry.get(key), str)}
    found = entry["contexts"] if is_evaluated else []
    left_out = Note(
        "passage",
        "that a system found for its answer left out (--map contexts=contexts takes them)",
        len(found) if isinstance(found, list) else 1,
    )
    return replace(item, fields=fields, notes=(*item.notes, *([left_out] if left_out.count else [])))


def _named_contexts(entry: Mapping[str, Any]) -> Any:
    """Return the contexts with the files that `metadata` names, where it has one for each."""
    contexts, metadata = entry.get("contexts"), entry.get("metadata")
    if not (isinstance(contexts, list) and isinstance(metadata, list) and len(metadata) == len(contexts)):
        return contexts
    return [
        {"text": text, "metadata": about} if isinstance(text, str) else text
        for text, about in zip(contexts, metadata, strict=True)
    ]


def _row(question: Question) -> dict[str, Any]:
    fields = imported_fields(question, NAME)
    kind = (question.provenance or {}).get("kind")
    row: dict[str, Any] = {
        "user_input": question.question,
        "reference_contexts": [passage.text for passage in question_passages(question)],
        "reference": question.reference,
        **{key: fields.get(key) for key in _FIELDS},
        OURS: ours_of(question, "question", "reference"),
    }
    # `Testset.from_list` asks for it in every row.
    row["synthesizer_name"] = fields.get("synthesizer_name") or kind or "rag-evals"
    return {key: value for key, value in row.items() if value is not None}


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    lists = {key: json.dumps(row[key], ensure_ascii=False) for key in ("reference_contexts", OURS)}
    return {**row, **lists}


def _parsed_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a CSV with lists and objects in the place of the texts that hold them."""
    for place, row in read_rows(path):
        if not isinstance(row, dict):
            yield place, row
            continue
        try:
            yield place, {key: _value(key, cell) for key, cell in row.items()}
        except ValueError as error:
            yield place, Fault((str(error),))


def _value(key: str, cell: str | None) -> Any:
    if not cell:
        return None
    try:
        if key in ("reference_contexts", "contexts", "ground_truths"):
            return parse_cell_list(cell)
        if key == "metadata":
            return parse_cell(cell)
        return json.loads(cell) if key == OURS else cell
    except (ValueError, RecursionError) as error:
        if key == "metadata":
            return cell
        problem = "is not JSON" if key == OURS else str(error)
        raise ValueError(f'"{key}" {problem}') from error
