"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`.

Layout: the README of github.com/beir-cellar/beir, and `beir/datasets/data_loader.py` of beir 2.2.0. A query's
`metadata` is read by nobody there, and holds what is ours. The format has no place for a right answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.entries import Fault, parse_object, parse_text, shown
from evals.errors import QuestionFileError, UsageError
from evals.formats.items import OURS, Item, imported_fields, ours_of, parse_ours, passages_of
from evals.formats.qrels import Judged, read_qrels, split_file
from evals.formats.reading import json_lines, objects
from evals.formats.writing import new_folder
from evals.questions import Question
from rag.answer import Context
from rag.identity import digest

NAME = "beir"
_QUERIES, _CORPUS, _QRELS = "queries.jsonl", "corpus.jsonl", "qrels"


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder of this layout."""
    return (path / _QUERIES).is_file()


def read(path: Path, _columns: Mapping[str, str]) -> Iterator[tuple[str, Item | Fault]]:
    """Yield the queries that a passage is judged relevant to, of the split `test` or of the only one.

    Queries and judgements are held; the corpus is gone through once, and only what is judged is kept.

    Raises:
        QuestionFileError: A file is missing.
    """
    missing = [name for name in (_QUERIES, _CORPUS) if not (path / name).is_file()]
    if missing:
        raise QuestionFileError(f"{shown(path)}: no {' and no '.join(missing)}, which a BEIR folder has")
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
    found = {question.id: passages_of(question) for question in questions}
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


def _item(entry: Mapping[str, Any], judged: Judged, passages: Mapping[str, Context]) -> Item | Fault:
    problems: list[str] = []
    id = parse_text(entry, "_id", problems, is_required=True) or ""
    text = parse_text(entry, "text", problems, is_required=True) or ""
    metadata = parse_object(entry, "metadata", problems) or {}
    ours = parse_ours(metadata, problems)
    if problems:
        return Fault(tuple(problems))
    relevant = (passages.get(name) for name in judged.relevant.get(id, ()))
    reference = (ours or {}).get("reference")
    return Item(
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
    """Give an id by content; a name could hold what parts the columns of qrels."""
    return f"passage-{digest([passage.document, passage.start, passage.text])[:12]}"


def _write_lines(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
