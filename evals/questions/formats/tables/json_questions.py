"""JSON, JSON Lines and YAML of questions and answers, whatever they are called and however they are nested.

Shapes read beside lists and lines: SQuAD (`data[].paragraphs[].qas[]`), all orients of `DataFrame.to_json`,
columns as `Dataset.to_dict` has them, rows as the viewer of Hugging Face gives them, the queries, corpus and
relevant_docs of LlamaIndex's `EmbeddingQAFinetuneDataset`, answers by question, a list under any one name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.base.messages import display_path, quoted
from rag_evals.evals.questions.formats.foreign_files import (
    QUESTION_NAMES,
    YAML,
    PlacedEntries,
    entries,
    is_object,
    is_question,
    json_object,
    yaml_value,
)
from rag_evals.evals.questions.formats.foreign_question import Note, PlacedItems
from rag_evals.evals.questions.formats.table_columns import items_of


def read(path: Path, columns: Mapping[str, str]) -> PlacedItems:
    """Yield the questions of a file; it is gone through twice, the first time for the names that it has.

    Raises:
        QuestionFileError: It cannot be read.
        UsageError: A column that was told is not there, or none is known to hold the question.
    """
    return items_of(lambda: rows(path), columns, display_path(path))


def rows(path: Path) -> PlacedEntries:
    """Yield the rows of a file with their places."""
    is_yaml = path.suffix.lower() in YAML
    whole = yaml_value(path) if is_yaml else json_object(path) if is_object(path) else None
    if not isinstance(whole, dict):
        yield from entries(path)
        return
    name = display_path(path)
    for place, row in _rows_of(whole):
        yield f"{name}: {place}" if place else name, row


def _rows_of(whole: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    values = list(whole.values())
    if is_question(whole):
        yield "", dict(whole)
    elif isinstance(whole.get("data"), list) and isinstance(whole.get("columns"), list):  # to_json, "split"
        names = list(map(str, whole["columns"]))
        for at, cells in enumerate(whole["data"]):
            yield f"data[{at}]", dict(zip(names, cells, strict=False)) if isinstance(cells, list) else cells
    elif all(isinstance(whole.get(name), dict) for name in ("queries", "corpus", "relevant_docs")):
        yield from _retrieval_rows(whole)
    elif names := _list_names(whole):
        for name in names:
            yield from _listed_rows(name, whole[name])
    elif values and all(isinstance(value, list) for value in values):  # a list a column
        yield from _column_rows({key: dict(enumerate(value)) for key, value in whole.items()})
    elif values and all(isinstance(value, dict) for value in values):
        # to_json, "columns" or "index"
        yield from _column_rows(whole) if not whole.keys().isdisjoint(QUESTION_NAMES) else whole.items()
    elif values and all(not isinstance(v, list | dict) for v in values) and any("?" in key for key in whole):
        for question, answer in whole.items():
            yield quoted(question), {"question": question, "answer": answer}
    else:
        yield "", dict(whole)


_SPLITS = {"train", "validation", "valid", "val", "dev", "test"}


def _list_names(whole: Mapping[str, Any]) -> list[str]:
    """Return the name of the only list of objects, or those of splits."""
    lists = [
        k for k, value in whole.items() if isinstance(value, list) and any(isinstance(v, dict) for v in value)
    ]
    return lists if len(lists) == 1 or _SPLITS.issuperset(lists) else []


def _listed_rows(name: str, members: list[Any]) -> Iterator[tuple[str, Any]]:
    for at, member in enumerate(members):
        place = f"{name}[{at}]"
        if isinstance(member, dict) and _is_squad(member.get("paragraphs")):
            yield from _squad_rows(place, member)
        elif isinstance(member, dict) and isinstance(member.get("row"), dict):
            yield place, member["row"]
        else:
            yield place, member


def _is_squad(paragraphs: object) -> bool:
    return isinstance(paragraphs, list) and all(isinstance(p, dict) and "qas" in p for p in paragraphs)


def _squad_rows(place: str, article: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for number, paragraph in enumerate(article["paragraphs"]):
        beside = {"context": paragraph.get("context"), "title": article.get("title")}
        asks = paragraph.get("qas") or ()
        for at, asked in enumerate(asks if isinstance(asks, list | tuple) else (asks,)):
            is_row = isinstance(asked, dict)
            yield f"{place}.paragraphs[{number}].qas[{at}]", {**beside, **asked} if is_row else asked


def _column_rows(columns: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for at in dict.fromkeys(at for column in columns.values() for at in column):
        yield f"row {at}", {key: column.get(at) for key, column in columns.items()}


def _retrieval_rows(whole: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    corpus, relevant = whole["corpus"], whole["relevant_docs"]
    for id, question in whole["queries"].items():
        judged = relevant.get(id)
        wanted = [str(doc) for doc in judged] if isinstance(judged, list | dict) else []
        passages = [{"id": doc, "text": corpus[doc]} for doc in wanted if doc in corpus]
        place = f"queries[{quoted(str(id))}]"
        if missing := len(wanted) - len(passages):
            yield place, Note("passage", "judged relevant that the corpus does not have", missing)
        yield place, {"id": id, "question": question, "contexts": passages}
