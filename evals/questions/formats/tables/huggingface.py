"""Parquet as Hugging Face's datasets library reads and writes it: a file, or a folder of shards.

A folder of its `save_to_disk`, of streams of Arrow, is read too.

Layout: huggingface.co/docs/datasets/repository_structure; in a folder `data`, `SPLIT-00000-of-00001.parquet`.
Tried with datasets 5.0.1. Needs pyarrow, the extra `tables`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.questions.formats.foreign_files import new_export_path, new_folder
from rag_evals.evals.questions.formats.foreign_question import PlacedItems
from rag_evals.evals.questions.formats.table_columns import (
    SUPPORTING,
    chosen_columns,
    column_notes,
    item_of,
)
from rag_evals.evals.questions.formats.tables.csv_questions import (
    COLUMNS,
    OBJECTS,
    is_own,
    own_item,
    question_row,
)
from rag_evals.evals.questions.question import Question

if TYPE_CHECKING:
    import pyarrow

_BATCH = 1000
SUFFIXES = (".parquet", ".arrow")
_SHARD = "test-00000-of-00001.parquet"


def shards_of(path: Path) -> tuple[Path, ...]:
    """Return the Parquet files at a path, else those of Arrow; those of a folder sorted by name."""
    if not path.is_dir():
        return (path,)
    found = (sorted(file for file in path.rglob(f"*{suffix}") if file.is_file()) for suffix in SUFFIXES)
    return tuple(next((files for files in found if files), ()))


def dotted_columns(path: Path) -> tuple[str, ...]:
    """Return the columns of a file, the parts of structured ones, and of lists of such, as `column.part`.

    Raises:
        QuestionFileError: It is no Parquet file.
        UsageError: pyarrow is not installed.
    """
    schema, _ = _opened(path)
    return tuple(name for field in schema for name in _paths(field.name, field.type))


def read(path: Path, columns: Mapping[str, str]) -> PlacedItems:
    """Yield the rows of all shards, some at a time; tables of ours are read as such unless columns are told.

    Raises:
        UsageError: A column that was told is not there, or none is known to hold the question; there is no
            Parquet file, or pyarrow is not installed.
    """
    shards = shards_of(path)
    if not shards:
        raise QuestionFileError(f"{display_path(path)}: no .parquet file in this folder")
    for shard in shards:
        names = dotted_columns(shard)
        is_ours = is_own(names) and not columns
        chosen = {} if is_ours else chosen_columns(columns, names, display_path(shard))
        if not is_ours and shard == shards[0]:
            yield from ((display_path(shard), note) for note in column_notes(chosen, columns, names))
        for number, row in enumerate(_rows(shard, COLUMNS if is_ours else (*chosen.values(), SUPPORTING))):
            place = f"{display_path(shard)}: row {number}"
            yield place, own_item(_without_none(row)) if is_ours else item_of(row, chosen)


def table_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of one file with all their columns, some at a time.

    Raises:
        QuestionFileError: It is no Parquet file, or a damaged one.
        UsageError: pyarrow is not installed.
    """
    schema, _ = _opened(path)
    return _rows(path, schema.names)


def write(questions: Sequence[Question], path: Path) -> None:
    """Write one file, or with a path without suffix a folder that `load_dataset` takes for a split `test`."""
    if path.suffix:
        with new_export_path(path) as scratch:
            _write(questions, scratch)
        return
    with new_folder(path) as folder:
        (folder / "data").mkdir()
        _write(questions, folder / "data" / _SHARD)


def _write(questions: Sequence[Question], path: Path) -> None:
    pyarrow, parquet = _arrow()
    rows = [question_row(question) for question in questions]
    for row in rows:
        row |= {name: json.dumps(row[name], ensure_ascii=False) for name in OBJECTS if row[name] is not None}
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=_schema(pyarrow)), path)


def _schema(pyarrow: Any) -> pyarrow.Schema:
    """Return the types; fixed, as a column without a value would have none."""
    text, whole, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    source = {"document": text, "page": whole, "start": whole, "end": whole, "quote": text}
    source |= {"relevance": number, "any_of": text}
    special = {
        "answerable": pyarrow.bool_(),
        "tags": pyarrow.list_(text),
        "sources": pyarrow.list_(pyarrow.struct(list(source.items()))),
    }
    return pyarrow.schema([(name, special.get(name, text)) for name in COLUMNS])


def _rows(path: Path, wanted: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows with the wanted columns only; of a structured one the whole."""
    pyarrow, _ = _arrow()
    schema, read_batches = _opened(path)
    there = set(schema.names)
    columns = sorted({name if name in there else name.partition(".")[0] for name in wanted} & there)
    batches = read_batches(columns)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, pyarrow.ArrowException) as error:
            raise QuestionFileError(f"{printable(display_path(path))}: a damaged Parquet file") from error
        if batch is None:
            return
        yield from batch.to_pylist()


def _without_none(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose sources say only what they know: to Parquet every row has every part."""
    sources = row.get("sources")
    if not isinstance(sources, list):
        return dict(row)
    told = [{k: v for k, v in s.items() if v is not None} if isinstance(s, dict) else s for s in sources]
    return {**row, "sources": told}


def _paths(name: str, kind: Any) -> list[str]:
    inner = kind
    while hasattr(inner, "value_type"):
        inner = inner.value_type
    fields = list(inner) if str(inner).startswith("struct") else []
    return [name, *(path for field in fields for path in _paths(f"{name}.{field.name}", field.type))]


def _opened(path: Path) -> tuple[pyarrow.Schema, Callable[[list[str]], Iterator[Any]]]:
    """Return the schema of a file, and what yields its batches with the named columns."""
    pyarrow, parquet = _arrow()
    is_arrow = path.suffix.lower() == ".arrow"
    try:
        if is_arrow:
            stream = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
            return stream.schema, lambda columns: (batch.select(columns) for batch in stream)
        opened = parquet.ParquetFile(path)
        return opened.schema_arrow, lambda columns: opened.iter_batches(batch_size=_BATCH, columns=columns)
    except (OSError, pyarrow.ArrowException) as error:
        kind = "an Arrow stream, as save_to_disk writes it" if is_arrow else "a Parquet file"
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"not {kind}"
        raise QuestionFileError(f"{printable(display_path(path))}: {reason}") from error


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'rag-evals[tables]'"
        ) from error
    return pyarrow, parquet
