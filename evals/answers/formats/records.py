"""Files to records: JSON Lines, JSON, CSV, Parquet; pages of an API are their members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.files import MOST_BYTES
from rag_evals.evals.base.messages import display_path, kind_name, short_repr
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.foreign_files import (
    YAML,
    PlacedEntries,
    entries,
    first_character,
    is_object,
    json_object,
)
from rag_evals.evals.questions.formats.foreign_question import Note
from rag_evals.evals.questions.formats.tables.csv_files import TABLES, read_rows
from rag_evals.evals.questions.formats.tables.huggingface import SUFFIXES as PARQUET
from rag_evals.evals.questions.formats.tables.huggingface import table_rows

JSON = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*JSON, *TABLES, *PARQUET, *YAML)
# What APIs and tools call the list that holds what is asked for.
_PAGES = ("data", "traces", "spans", "runs", "items", "observations", "scores", "results")

PlacedRecords = Iterator[tuple[str, dict[str, Any] | Fault]]


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that may hold records: the file itself, or all of a folder, sorted."""
    if not path.is_dir():
        return (path,)
    found = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return tuple(sorted(file for file in found if not _is_hidden(file.relative_to(path))))


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def read_records(path: Path) -> PlacedRecords:
    """Yield each record of a file with its place, or what is wrong there; one is held at a time.

    A file that is one JSON value, in many lines, is read whole.

    Raises:
        UsageError: pyarrow is needed and not installed.
    """
    try:
        if problem := _problem(path):
            yield display_path(path), Fault((problem,))
            return
        for place, value in _entries(path):
            if not isinstance(value, Note):
                yield from _members(place, value)
    except QuestionFileError as error:
        yield "", Fault((str(error),))


def _problem(path: Path) -> str | None:
    """Return why a file is not read; it is gone through more than once, and a pipe only once."""
    if path.exists() and not path.is_file():
        return "it is no plain file: write it to one first"
    is_large = path.suffix.lower() == ".json" and path.exists() and path.stat().st_size > MOST_BYTES
    if is_large and (is_object(path) or first_character(path) == "["):
        return (
            f"it has more than {MOST_BYTES // 10**6:,} MB, and JSON is read whole: JSON Lines have no bound"
        )
    return None


def _entries(path: Path) -> PlacedEntries:
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return read_rows(path)
    if suffix in PARQUET:
        return ((f"{display_path(path)}: row {number}", row) for number, row in enumerate(table_rows(path)))
    if suffix in JSON and is_object(path):
        return iter([(display_path(path), json_object(path))])
    return entries(path)


def _members(place: str, value: object) -> PlacedRecords:
    """Yield a record, or the members of a page of them."""
    if isinstance(value, Fault):
        yield place, value
    elif not isinstance(value, dict):
        yield place, Fault((f"not an object but {kind_name(value)} ({short_repr(value)})",))
    elif (name := _page(value)) is None:
        yield place, value
    else:
        for number, member in enumerate(value[name]):
            yield from _members(f"{place}: {name}[{number}]", member)


def _page(value: Mapping[str, Any]) -> str | None:
    """Return the name of the list that a page of an API holds, None for what is a record by itself."""
    if any(name in value for name in ("id", "info", "trace_id", "traceId", "request_id", "run_type")):
        return None
    return next((name for name in _PAGES if isinstance(value.get(name), list)), None)
