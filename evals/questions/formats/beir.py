"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`.

Layout: the README of github.com/beir-cellar/beir, and `beir/datasets/data_loader.py` of beir 2.2.0. A query's
`metadata` is read by nobody there, and holds what is ours. The format has no place for a right answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, printable, quoted, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_object, parse_text
from rag_evals.evals.questions.formats.csv_files import read_rows
from rag_evals.evals.questions.formats.foreign_files import json_lines, new_folder, objects
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
from rag_evals.rag.identity import digest

NAME = "beir"
_QUERIES, _CORPUS, _QRELS = "queries.jsonl", "corpus.jsonl", "qrels"


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder of this layout."""
    return (path / _QUERIES).is_file()


def read(path: Path, _columns: Mapping[str, str]) -> Iterator[tuple[str, ForeignQuestion | Fault]]:
    """Yield the queries that a passage is judged relevant to, of the split `test` or of the only one.

    Queries and judgements are held; the corpus is gone through once, and only what is judged is kept.

    Raises:
        QuestionFileError: A file is missing.
    """
    missing = [name for name in (_QUERIES, _CORPUS) if not (path / name).is_file()]
    if missing:
        raise QuestionFileError(
            f"{display_path(path)}: no {' and no '.join(missing)}, which a BEIR folder has"
        )
    judged = Judged()
    yield from read_qrels(split_file(path / _QRELS), judged)
    passages: dict[str, Context] = {}
    yield from _read_corpus(path / _CORPUS, judged, passages)
    seen: set[str] = set()
    for place, entry in objects(json_lines(path / _QUERIES)):
        outcome = entry if isinstance(entry, Fault) else _item(entry, judged, passages)
        if isinstance(outcome, Fault):
            yield place, outcome
            continue
        seen.add(str(entry["_id"] if isinstance(entry, dict) else ""))
        if outcome.contexts or outcome.is_ours:
            yield place, outcome
    yield from judged.dangling(seen, passages)


def write(questions: Sequence[Question], path: Path) -> None:
    """Write a folder whose corpus is the passages of the questions.

    Raises:
        UsageError: No question has a source with its words: there would be nothing to find.
    """
    found = {question.id: question_passages(question) for question in questions}
    if not any(found.values()):
        raise UsageError(
            "nothing to write as BEIR: no question has a source with a quote, "
            "and a retriever is judged by the passages that it finds"
        )
    with new_folder(path) as folder:
        _write_lines(folder / _QUERIES, map(_query, questions))
        corpus = {_passage_id(passage): passage for passages in found.values() for passage in passages}
        _write_lines(folder / _CORPUS, (_passage(id, passage) for id, passage in corpus.items()))
        (folder / _QRELS).mkdir()
        rows = [f"{id}\t{_passage_id(p)}\t1\n" for id, passages in found.items() for p in passages]
        lines = "".join(dict.fromkeys(rows))
        (folder / _QRELS / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}", "utf-8")


def _read_corpus(path: Path, judged: Judged, passages: dict[str, Context]) -> Iterator[tuple[str, Fault]]:
    for place, entry in objects(json_lines(path)):
        problems: list[str] = []
        if isinstance(entry, Fault):
            yield place, entry
            continue
        id = parse_text(entry, "_id", problems, is_required=True)
        if id in judged.passages:
            text = parse_text(entry, "text", problems, is_required=True, may_be_blank=True)
            about = parse_object(entry, "metadata", problems) or {}
            document = about.get("document")
            passages[id] = Context(text or "", document if isinstance(document, str) else id)
        if problems:
            yield place, Fault(tuple(problems))


def _item(
    entry: Mapping[str, Any], judged: Judged, passages: Mapping[str, Context]
) -> ForeignQuestion | Fault:
    problems: list[str] = []
    id = parse_text(entry, "_id", problems, is_required=True) or ""
    text = parse_text(entry, "text", problems, is_required=True) or ""
    metadata = parse_object(entry, "metadata", problems) or {}
    ours = parse_ours(metadata, problems)
    if problems:
        return Fault(tuple(problems))
    relevant = (passages.get(name) for name in judged.relevant.get(id, ()))
    reference = (ours or {}).get("reference")
    return ForeignQuestion(
        question=text,
        reference=reference,
        contexts=tuple(passage for passage in relevant if passage and passage.text.strip()),
        id=id,
        fields={"metadata": metadata} if metadata else {},
        more=ours or {},
        is_ours=ours is not None,
    )


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


_QUERY, _PASSAGE, _SCORE = "query-id", "corpus-id", "score"


@dataclass(slots=True)
class Judged:
    """What was judged relevant, filled while the file is read.

    Attributes:
        relevant: Ids of the passages by id of the query, in the order of the file.
        passages: Ids of all of them.
        places: Where each query and each passage first stands.
    """

    relevant: dict[str, list[str]] = field(default_factory=dict)
    passages: set[str] = field(default_factory=set)
    places: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, query: str, passage: str, place: str) -> None:
        """Note that a passage answers a query."""
        self.relevant.setdefault(query, []).append(passage)
        self.passages.add(passage)
        self.places.setdefault(("query", query), place)
        self.places.setdefault(("passage", passage), place)

    def dangling(self, queries: Collection[str], passages: Collection[str]) -> Iterator[tuple[str, Fault]]:
        """Yield a Fault for each query and passage that is judged but not there."""
        known = {"query": ("queries.jsonl", queries), "passage": ("corpus.jsonl", passages)}
        for (kind, id), place in self.places.items():
            file, ids = known[kind]
            if id not in ids:
                yield place, Fault((f"{kind} {quoted(id)} is not in {file}",))


def split_file(folder: Path) -> Path:
    """Return the judgements of the split `test`, or of the only one that there is.

    Raises:
        QuestionFileError: There are none, or several without `test`.
    """
    files = sorted(folder.glob("*.tsv"))
    test = folder / "test.tsv"
    if test in files:
        return test
    if len(files) == 1:
        return files[0]
    found = f"only {printable(', '.join(file.name for file in files))}" if files else "no file"
    raise QuestionFileError(
        f"{display_path(folder)}: no test.tsv, but {found}: keep one file of judgements there"
    )


def read_qrels(path: Path, judged: Judged) -> Iterator[tuple[str, Fault]]:
    """Fill `judged` with what is judged above 0; yield a Fault for each line that is no judgement."""
    for place, row in read_rows(path):
        if isinstance(row, Fault):
            yield place, row
            continue
        query, passage, score = (row.get(key) for key in (_QUERY, _PASSAGE, _SCORE))
        if not (query and passage):
            yield place, Fault((f'no "{_QUERY}" and "{_PASSAGE}" in it',))
        elif not _is_whole(score):
            yield place, Fault((f'"{_SCORE}" is not a whole number but {short_repr(score)}',))
        elif int(score or 0) > 0:
            judged.add(query, passage, place)


def _is_whole(text: str | None) -> bool:
    return text is not None and text.removeprefix("-").isdecimal()
