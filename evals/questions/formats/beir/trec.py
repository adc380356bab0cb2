"""TREC qrels: a line a judgement, `query 0 document grade`, with the queries in a file beside it.

What is judged is a document as a whole, so that a question's sources are documents; what a source says
beside, and that it is an alternative, has no place there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import count_of, display_path
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.beir.folder import no_match, plain_queries
from rag_evals.evals.questions.formats.beir.qrels import Judged, grade_text, read_qrels
from rag_evals.evals.questions.formats.foreign_files import new_file, raw_lines
from rag_evals.evals.questions.formats.foreign_question import ForeignQuestion, PlacedItems
from rag_evals.evals.questions.question import Question

NAME = "trec-qrels"
SUFFIXES = (".qrels", ".qrel", ".trec", ".txt", ".tsv")
# Files of these endings are judgements by their name; the others have to be said to be.
NAMED = (".qrels", ".qrel", ".trec")
_QUERIES = ("queries.jsonl", "queries.tsv", "topics.tsv")


def read(path: Path, columns: Mapping[str, str]) -> PlacedItems:
    """Yield the queries that are judged, with the documents that are judged for them; 0 is a judgement, too.

    Raises:
        QuestionFileError: There are no queries in the folder of the file, nor in the one above.
        UsageError: Columns are told, and the file has no names for any.
    """
    if columns:
        raise UsageError(f"--map: {NAME} has the same four columns always")
    folders = (path.parent, path.parent.parent)
    queries = next((f / name for f in folders for name in _QUERIES if (f / name).is_file()), None)
    if queries is None:
        raise QuestionFileError(
            f"{display_path(path)}: no {', '.join(_QUERIES)} beside it: judgements name queries by their ids "
            "only (a line of queries.tsv is an id, a tab and the question)"
        )
    judged = Judged()
    yield from read_qrels(path, judged, with_zero=True)
    seen: set[str] = set()
    for place, item in _queries(queries):
        if isinstance(item, ForeignQuestion):
            grades = judged.relevant.get(item.id or "")
            seen.add(item.id or "")
            if grades:
                yield place, replace(item, more={**item.more, "sources": _sources(grades)})
        else:
            yield place, item
    if judged.relevant and seen.isdisjoint(judged.relevant):
        yield display_path(path), Fault((no_match(judged, seen, queries.name),))
    yield from judged.missing({"question": (queries.name, seen)})


def _queries(path: Path) -> PlacedItems:
    """Yield the queries of a file: objects as BEIR has them, or an id, a tab and the question a line."""
    if path.suffix == ".jsonl":
        yield from plain_queries(path)
        return
    for number, raw in raw_lines(path):
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip("\r\n")
        id, tab, question = text.partition("\t")
        place = f"{display_path(path)}:{number}"
        if tab and question.strip():
            yield place, ForeignQuestion(question.strip(), id=id.strip())
        elif text.strip():
            yield place, Fault(("not an id, a tab and a question",))


def _sources(grades: Mapping[str, float]) -> list[dict[str, object]]:
    return [
        {"document": name} if grade == 1 else {"document": name, "relevance": grade}
        for name, grade in grades.items()
    ]


def write(questions: Sequence[Question], path: Path) -> None:
    """Write the judgements of questions.

    Raises:
        UsageError: No question has a source.
    """
    lines = [
        f"{question.id} 0 {_column(name)} {grade_text(grade)}\n"
        for question in questions
        for name, grade in _grades(question).items()
    ]
    if not lines:
        raise UsageError("nothing to write as judgements: no question has a source")
    with new_file(path) as file:
        file.writelines(lines)


def notes(questions: Sequence[Question]) -> Iterator[str]:
    """Yield what the reader of the file should know."""
    grades = [grade for question in questions for grade in _grades(question).values()]
    names = {source.document for question in questions for source in question.sources}
    bare = sum(not question.sources for question in questions)
    if bare:
        yield f"{count_of(bare, 'question')} without a source: not judged"
    if spaced := [name for name in names if _column(name) != name]:
        yield f"{count_of(len(spaced), 'document')} with white space in the name: written as %20 and the like"
    if odd := sum(not grade.is_integer() for grade in grades):
        yield f"{count_of(odd, 'grade')} with a fraction: trec_eval reads whole numbers"
    if any(source.any_of for question in questions for source in question.sources):
        yield "alternatives (any_of) are judged each on its own"


def _grades(question: Question) -> dict[str, float]:
    """Return what each document is worth: as much as the best source in it."""
    grades: dict[str, float] = {}
    for source in question.sources:
        grade = 1.0 if source.relevance is None else source.relevance
        grades[source.document] = max(grade, grades.get(source.document, 0.0))
    return grades


def _column(name: str) -> str:
    """Return a document's name without white space, which parts the columns."""
    return re.sub(r"\s", lambda space: quote(space[0]), name)
