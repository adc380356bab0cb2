"""LlamaIndex's labelled datasets: `LabelledRagDataset`, one JSON object in a file.

Schema: `llama_index/core/llama_dataset/base.py` and `rag.py` of llama-index-core 0.14.20; 0.14.22 and
later no longer have the module. Its models pass over keys that they do not know, so what is ours travels
along.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import display_path
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_object, parse_text
from rag_evals.evals.questions.formats.cells import parse_answer
from rag_evals.evals.questions.formats.foreign_files import (
    PlacedEntries,
    json_object,
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
    question_passages,
)
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context

NAME = "llamaindex"
_BY = ("query_by", "reference_answer_by")


def read(path: Path) -> PlacedItems:
    """Yield the examples of a dataset."""
    for place, entry in objects(rows(path)):
        yield place, _item(entry) if isinstance(entry, dict) else entry


def rows(path: Path) -> PlacedEntries:
    """Yield the examples as they stand in the file, which is read whole.

    Raises:
        QuestionFileError: It cannot be read, or is no dataset.
    """
    whole = json_object(path)
    examples = whole.get("examples") if isinstance(whole, dict) else None
    if not isinstance(examples, list):
        raise QuestionFileError(f'{display_path(path)}: no list "examples", which a LabelledRagDataset has')
    for number, example in enumerate(examples):
        yield f"{display_path(path)}: examples[{number}]", example


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a dataset that `LabelledRagDataset.from_json` reads.

    Characters beyond ASCII are escaped: the library opens the file in the encoding of the machine.
    """
    with new_file(path) as file:
        json.dump({"examples": [_example(question) for question in questions]}, file, indent=4)
        file.write("\n")


def _item(entry: dict[str, Any]) -> ForeignQuestion | Fault:
    problems: list[str] = []
    query = parse_text(entry, "query", problems, is_required=True) or ""
    answer = parse_answer(entry, "reference_answer", problems)  # blank: the model knows no missing answer
    contexts = parse_texts(entry, "reference_contexts", problems)
    fields = {key: by for key in _BY if (by := parse_object(entry, key, problems))}
    ours = parse_ours(entry, problems)
    if problems:
        return Fault(tuple(problems))
    return ForeignQuestion(
        question=query,
        reference=answer,
        contexts=tuple(map(Context, contexts or ())),
        fields=fields,
        more=ours or {},
        is_ours=ours is not None,
    )


def _example(question: Question) -> dict[str, Any]:
    fields = imported_fields(question, NAME)
    by = _made_by(question)
    return {
        "query": question.question,
        "query_by": fields.get("query_by", by),
        "reference_contexts": [passage.text for passage in question_passages(question)],
        "reference_answer": question.reference or "",
        "reference_answer_by": fields.get("reference_answer_by", by),
        OURS: ours_of(question, "question", "reference"),
    }


def _made_by(question: Question) -> dict[str, str] | None:
    """Return a `CreatedBy`: the model of a generated question; None when it is not known who wrote it."""
    provenance = question.provenance or {}
    if provenance.get("origin") == "generated":
        return {"model_name": str(provenance.get("llm") or ""), "type": "ai"}
    return {"model_name": "", "type": "human"} if provenance.get("origin") == "curated" else None
