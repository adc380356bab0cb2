"""Judgements of relevance: BEIR's table with names, the same without, TREC's four columns, JSON Lines."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import count_of, display_path, printable, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.cells import plain_text
from rag_evals.evals.questions.formats.foreign_files import json_lines, objects, raw_lines
from rag_evals.evals.questions.formats.foreign_question import Note

QRELS = "qrels"
_QUERY, _PASSAGE, _SCORE = "query-id", "corpus-id", "score"
_SUFFIXES = (".tsv", ".txt", ".qrel", ".qrels", ".trec", ".csv", ".jsonl")


@dataclass(slots=True)
class Judged:
    """What was judged relevant, filled while the file is read.

    Attributes:
        relevant: What each passage is worth, by its id, by the id of the query, in the order of the file.
        passages: Ids of all of them.
        places: Where each query and each passage first stands.
    """

    relevant: dict[str, dict[str, float]] = field(default_factory=dict)
    passages: set[str] = field(default_factory=set)
    places: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, query: str, passage: str, grade: float, place: str) -> bool:
        """Note what a passage is worth for a query; return whether it was another grade before.

        Of two grades the higher one stays.
        """
        grades = self.relevant.setdefault(query, {})
        before = grades.get(passage)
        grades[passage] = max(grade, before or 0.0)
        self.passages.add(passage)
        self.places.setdefault(("question", query), place)
        self.places.setdefault(("passage", passage), place)
        return before not in (None, grade)

    def missing(self, known: Mapping[str, tuple[str, Collection[str]]]) -> Iterator[tuple[str, Note]]:
        """Yield a Note for each query and passage that is judged but not there; ArguAna has such.

        `known` are the file and the ids of what is there, of `question` and of `passage`.
        """
        for (kind, id), place in self.places.items():
            file, ids = known.get(kind, ("", (id,)))
            if id not in ids:
                yield place, Note(kind, f"judged and not in {file}: left out")


def split_file(set_folder: Path) -> Path:
    """Return the judgements of the split `test`, or of the only one that there is.

    They are in the folder `qrels`, or beside the queries in files that are called so.

    Raises:
        QuestionFileError: There are none, or several without `test`.
    """
    folder = set_folder / QRELS
    candidates = folder.glob("*") if folder.is_dir() else set_folder.glob(f"{QRELS}*")
    files = sorted(file for file in candidates if file.suffix in _SUFFIXES and file.is_file())
    tests = [file for file in files if file.stem.removeprefix(QRELS).lstrip("._-") == "test"]
    if len(tests) == 1 or len(files) == 1:
        return (tests or files)[0]
    found = f"only {printable(', '.join(file.name for file in files))}" if files else "no file"
    raise QuestionFileError(
        f"{display_path(folder)}: no test.tsv, but {found}: keep one file of judgements there"
    )


def read_qrels(path: Path, judged: Judged, *, with_zero: bool = False) -> Iterator[tuple[str, Fault | Note]]:
    """Fill `judged` with what is judged above 0; yield a Fault for each line that is no judgement.

    TREC has grades below 0 for spam: they are counted, and say no more than 0. With `with_zero` also what is
    of no use is kept.
    """
    for place, row in _rows(path):
        if not isinstance(row, dict):
            yield place, row
            continue
        query, passage = (plain_text(row.get(key)) for key in (_QUERY, _PASSAGE))
        score = str(row.get(_SCORE, ""))
        if not (query and passage):
            yield place, Fault((f'no "{_QUERY}" and "{_PASSAGE}" in it',))
        elif not _is_number(score):
            yield place, Fault((f'"{_SCORE}" is not a number but {short_repr(score)}',))
            continue
        grade = max(0.0, float(score))
        if float(score) < 0:
            yield place, Note("judgement", "below 0: taken for 0, of no use")
        if (grade or with_zero) and judged.add(str(query), str(passage), grade, place):
            yield place, Note("passage", "judged twice with different scores: the higher one is taken")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | Fault | Note]]:
    if path.suffix == ".jsonl":
        yield from objects(json_lines(path))
        return
    names: Sequence[str] = ()
    for number, raw in raw_lines(path):
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip("\r\n")
        if not text.strip():
            continue
        cells = [cell.strip() for cell in _parted(text)]
        if number == 1 and (named := _names(cells)):
            names = named
            continue
        names = names or _NAMELESS.get(len(cells), ())
        place = f"{display_path(path)}:{number}"
        if len(cells) == len(names):
            yield place, dict(zip(names, cells, strict=True))
        else:
            expected = f"but the first line names {len(names)}" if names else "not 3 or 4"
            yield place, Fault((f"{count_of(len(cells), 'cell')}, {expected}",))


_NAMELESS: Mapping[int, Sequence[str]] = {
    3: (_QUERY, _PASSAGE, _SCORE),
    4: (_QUERY, "iteration", _PASSAGE, _SCORE),
}
_QUERIES = re.compile(r"(query|q|topic)[-_]?(id)?|topic[-_]?no")
_PASSAGES = re.compile(r"(corpus|doc|document|passage|c|p|d|docno)[-_]?(id|no)?")
_SCORES = re.compile(r"score|rel|relevance|label|judg[e]?ment")


def _parted(text: str) -> list[str]:
    """Return the cells of a line: between tabs, else commas, else white space, as TREC has them."""
    return text.split("\t") if "\t" in text else text.split(",") if text.count(",") >= 2 else text.split()


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """Return what the columns of a first line hold, nothing when it is a judgement already."""
    if any(map(_is_number, cells[2:])):
        return ()
    found = []
    for cell in cells:
        forms = ((_QUERY, _QUERIES), (_PASSAGE, _PASSAGES), (_SCORE, _SCORES))
        found.append(next((name for name, form in forms if form.fullmatch(cell.casefold())), cell))
    return tuple(found) if {_QUERY, _PASSAGE, _SCORE} <= set(found) else ()


def grade_text(grade: float) -> str:
    """Return a grade as judgements have it: whole, where it is."""
    return f"{grade:.0f}" if grade.is_integer() else repr(grade)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
