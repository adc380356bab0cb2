"""Test sets of ragas: one sample a row, as JSON Lines, a JSON list or CSV.

Schema: `SingleTurnSample` (`ragas/dataset_schema.py`) and `Testset` (`ragas/testset/synthesizers/
testset_schema.py`) of ragas 0.4.3. A row is a sample and the name of its synthesizer; keys that the sample
does not know are passed over, so what is ours travels along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_text
from rag_evals.evals.questions.formats.csv_files import read_rows, write_rows
from rag_evals.evals.questions.formats.foreign_files import (
    entries,
    new_file,
    objects,
    parse_cell_list,
    parse_texts,
)
from rag_evals.evals.questions.formats.foreign_question import (
    OURS,
    ForeignQuestion,
    imported_fields,
    ours_of,
    parse_ours,
    question_passages,
)
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context

NAME = "ragas"
_FIELDS = ("synthesizer_name", "persona_name", "query_style", "query_length")
_COLUMNS = ("user_input", "reference_contexts", "reference", *_FIELDS, OURS)
# Before each passage of a question over several (`multi_hop/base.py`); no words of the document.
_HOP = re.compile(r"^<\d+-hop>\s*")


def read(path: Path, _columns: Mapping[str, str]) -> Iterator[tuple[str, ForeignQuestion | Fault]]:
    """Yield the samples of a test set; JSON Lines and CSV are read one sample at a time."""
    is_csv = path.suffix.lower() == ".csv"
    for place, entry in objects(_parsed_rows(path) if is_csv else entries(path)):
        yield place, entry if isinstance(entry, Fault) else _item(entry)


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
    reference = parse_text(entry, "reference", problems, may_be_blank=True)
    contexts = parse_texts(entry, "reference_contexts", problems)
    fields = {key: text for key in _FIELDS if (text := parse_text(entry, key, problems, may_be_blank=True))}
    ours = parse_ours(entry, problems)
    if problems:
        return Fault(tuple(problems))
    return ForeignQuestion(
        question=question,
        reference=reference if reference and reference.strip() else None,
        contexts=tuple(Context(text if ours else _HOP.sub("", text, count=1)) for text in contexts or ()),
        fields=fields,
        more=ours or {},
        is_ours=ours is not None,
    )


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
        if isinstance(row, Fault):
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
        if key == "reference_contexts":
            return parse_cell_list(cell)
        return json.loads(cell) if key == OURS else cell
    except (ValueError, RecursionError) as error:
        problem = "is not JSON" if key == OURS else str(error)
        raise ValueError(f'"{key}" {problem}') from error
