"""Relevance judgements as BEIR has them: a query, a passage and a number a line, parted by tabs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evals.entries import Fault, quoted, shown, told
from evals.errors import QuestionFileError, printable
from evals.formats.csv_files import read_rows

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
    """Give the judgements of the split `test`, or of the only one that there is.

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
    raise QuestionFileError(f"{shown(folder)}: no test.tsv, but {found}: keep one file of judgements there")


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
            yield place, Fault((f'"{_SCORE}" is not a whole number but {told(score)}',))
        elif int(score or 0) > 0:
            judged.add(query, passage, place)


def _is_whole(text: str | None) -> bool:
    return text is not None and text.removeprefix("-").isdecimal()
