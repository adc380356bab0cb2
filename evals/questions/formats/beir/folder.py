"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`.

Layout: the README of github.com/beir-cellar/beir, and `beir/datasets/data_loader.py` of beir 2.2.0. A query's
`metadata` is read by nobody there, and holds what is ours. The format has no place for a right answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_object, parse_text
from rag_evals.evals.questions.formats.beir.qrels import QRELS, Judged, grade_text, read_qrels, split_file
from rag_evals.evals.questions.formats.cells import plain_text
from rag_evals.evals.questions.formats.foreign_files import json_lines, new_folder, objects
from rag_evals.evals.questions.formats.foreign_question import (
    OURS,
    ForeignQuestion,
    Note,
    PlacedItems,
    graded_passages,
    imported_fields,
    ours_of,
    parse_ours,
)
from rag_evals.evals.questions.formats.table_columns import items_of
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context
from rag_evals.rag.identity import digest

NAME = "beir"
_QUERIES, _CORPUS = "queries.jsonl", "corpus.jsonl"


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder of this layout."""
    return (path / _QUERIES).is_file()


def read(path: Path, columns: Mapping[str, str]) -> PlacedItems:
    """Yield the queries that a passage is judged relevant to, of the split `test` or of the only one.

    Queries and judgements are held; the corpus is gone through once, and only what is judged is kept. What is
    judged and not there is counted: published sets have such. The columns told are those of `queries.jsonl`.

    Raises:
        QuestionFileError: A file is missing.
    """
    missing = [name for name in (_QUERIES, _CORPUS) if not (path / name).is_file()]
    if missing:
        raise QuestionFileError(
            f"{display_path(path)}: no {' and no '.join(missing)}, which a BEIR folder has"
        )
    judged = Judged()
    yield from read_qrels(split_file(path), judged)
    passages: dict[str, Context] = {}
    yield from _read_corpus(path / _CORPUS, judged, passages)
    seen: set[str] = set()
    yield from ((place, item) for place, item in _queries(path / _QUERIES, columns, judged, passages, seen))
    if judged.relevant and seen.isdisjoint(judged.relevant):
        yield display_path(path), Fault((no_match(judged, seen, _QUERIES),))
    yield from judged.missing({"question": (_QUERIES, seen), "passage": (_CORPUS, passages)})


def _queries(
    path: Path,
    columns: Mapping[str, str],
    judged: Judged,
    passages: Mapping[str, Context],
    seen: set[str],
) -> PlacedItems:
    """Yield the queries with the passages that answer them; the ids of all queries are added to `seen`."""
    found = (
        items_of(lambda: json_lines(path), {"id": "_id", **columns}, display_path(path))
        if columns
        else plain_queries(path)
    )
    for place, item in found:
        if not isinstance(item, ForeignQuestion):
            yield place, item
            continue
        id = item.id or ""
        seen.add(id)
        relevant = judged.relevant.get(id, {})
        there = [(passages[name], grade) for name, grade in relevant.items() if name in passages]
        told = [(passage, grade) for passage, grade in there if passage.text.strip()]
        asked = replace(item, contexts=tuple(p for p, _ in told), grades=tuple(g for _, g in told))
        if asked.contexts or asked.is_ours:
            yield place, asked
        elif relevant:
            yield place, Note("question", "left out: no passage that answers it is there")


def plain_queries(path: Path) -> PlacedItems:
    """Yield the queries of a file with the keys that BEIR has."""
    return ((place, _item(e) if isinstance(e, dict) else e) for place, e in objects(json_lines(path)))


def no_match(judged: Judged, seen: Collection[str], file: str) -> str:
    """Return that judgements are of other queries than those in `file`, with an id of each."""
    here, there = (short_repr(next(iter(ids), "")) for ids in (judged.relevant, seen))
    return f"no query of the judgements is in {file}: ids there are such as {there}, here {here}"


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a folder whose corpus is the passages of the questions.

    Raises:
        UsageError: No question has a source with its words: there would be nothing to find.
    """
    found = {question.id: graded_passages(question) for question in questions}
    if not any(found.values()):
        raise UsageError(
            "nothing to write as BEIR: no question has a source with a quote, "
            "and a retriever is judged by the passages that it finds"
        )
    with new_folder(path) as folder:
        _write_lines(folder / _QUERIES, map(_query, questions))
        corpus = {_passage_id(passage): passage for passages in found.values() for passage, _ in passages}
        _write_lines(folder / _CORPUS, (_passage(id, passage) for id, passage in corpus.items()))
        (folder / QRELS).mkdir()
        rows = [
            f"{id}\t{_passage_id(passage)}\t{grade_text(grade)}\n"
            for id, passages in found.items()
            for passage, grade in passages
        ]
        lines = "".join(dict.fromkeys(rows))
        (folder / QRELS / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}", "utf-8")


def _read_corpus(path: Path, judged: Judged, passages: dict[str, Context]) -> PlacedItems:
    for place, entry in objects(json_lines(path)):
        problems: list[str] = []
        if not isinstance(entry, dict):
            yield place, entry
            continue
        id = parse_id(entry, problems)
        if id in judged.passages:
            text = parse_text(entry, "text", problems, is_required=True, may_be_blank=True)
            about = parse_object(entry, "metadata", problems) or {}
            document = about.get("document")
            passages[id] = Context(text or "", document if isinstance(document, str) else id)
        if problems:
            yield place, Fault(tuple(problems))


def _item(entry: Mapping[str, Any]) -> ForeignQuestion | Fault:
    problems: list[str] = []
    id = parse_id(entry, problems)
    text = parse_text(entry, "text", problems, is_required=True) or ""
    metadata = parse_object(entry, "metadata", problems) or {}
    ours = parse_ours(metadata, problems)
    if problems:
        return Fault(tuple(problems))
    reference = (ours or {}).get("reference")
    return ForeignQuestion(
        question=text,
        reference=reference,
        id=id,
        fields={"metadata": metadata} if metadata else {},
        more=ours or {},
        is_ours=ours is not None,
    )


def parse_id(entry: Mapping[str, Any], problems: list[str]) -> str:
    """Return the id of a query or passage, a number as text."""
    return parse_text({"_id": plain_text(entry.get("_id"))}, "_id", problems, is_required=True) or ""


def _query(question: Question) -> dict[str, Any]:
    metadata = imported_fields(question, NAME).get("metadata")
    ours = ours_of(question, "question")
    return {
        "_id": question.id,
        "text": question.question,
        "metadata": {**(metadata if isinstance(metadata, dict) else {}), OURS: ours},
    }


def _passage(id: str, passage: Context) -> dict[str, Any]:
    keys = ("document", "page", "start", "end")
    about = {key: value for key in keys if (value := getattr(passage, key)) not in (None, "")}
    return {"_id": id, "title": passage.document, "text": passage.text, "metadata": about}


def _passage_id(passage: Context) -> str:
    """Return an id by content; a name could hold what parts the columns of qrels."""
    return f"passage-{digest([passage.document, passage.start, passage.text])[:12]}"


def _write_lines(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
