"""CSV as spreadsheets and libraries write it: rows by column name, whatever the delimiter and the BOM."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import count_of, display_path, quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.foreign_files import new_file, unreadable

_DELIMITERS = ",;\t|"
_SAMPLE = 65536
# csv refuses longer cells, 131,072 characters unless told; a passage may be longer.
_MOST_CHARACTERS = 2**31 - 1


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Raises:
        QuestionFileError: The file cannot be read, or a name stands twice in its first line.
    """
    sample, encoding = _sample(path)
    names = _header(sample.decode(encoding, "replace"))[0]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        several = ", ".join(map(quoted, twice))
        raise QuestionFileError(f"{display_path(path)}:1: more than one column is called {several}")
    return names


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, str | None] | Fault]]:
    """Yield each row with its place; an empty cell is None. One row is held at a time.

    Raises:
        QuestionFileError: The file cannot be read, or a name stands twice in its first line.
    """
    names = column_names(path)
    sample, encoding = _sample(path)
    delimiter, skipped = _header(sample.decode(encoding, "replace"))[1:]
    before = csv.field_size_limit(_MOST_CHARACTERS)
    try:
        yield from _rows(path, names, encoding, delimiter, skipped)
    finally:
        csv.field_size_limit(before)  # csv keeps one for the whole process


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV with a header; a missing value is an empty cell."""
    with new_file(path) as file:
        # Every cell in quotes: with this line end csv takes a lone carriage return for harmless.
        writer = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def _rows(
    path: Path, names: Sequence[str], encoding: str, delimiter: str, skipped: int
) -> Iterator[tuple[str, dict[str, str | None] | Fault]]:
    name = display_path(path)
    reader = csv.reader(
        itertools.islice(_lines(path, encoding), skipped, None), delimiter=delimiter, strict=True
    )
    line = skipped
    try:
        for number, cells in enumerate(reader):
            place, line = f"{name}:{line + 1}", skipped + reader.line_num
            if number and any(cells):
                yield place, _row(names, cells)
    except csv.Error as error:
        yield f"{name}:{skipped + reader.line_num}", Fault((f"not CSV: {error}",))
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02X}"
        yield (
            f"{name}:{skipped + reader.line_num + 1}",
            Fault((f"not {encoding.removesuffix('-sig').upper()} text ({byte})",)),
        )


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str | None] | Fault:
    if len(cells) != len(names):
        return Fault((f"{count_of(len(cells), 'cell')}, but the first line names {len(names)}",))
    return {name: cell or None for name, cell in zip(names, cells, strict=True) if name}


def _header(sample: str) -> tuple[tuple[str, ...], str, int]:
    """Return the names of the columns, the delimiter, and how many lines stand before them.

    The delimiter is that which parts the first line into most names; Excel's own line `sep=;` tells it.
    """
    first, _, rest = sample.partition("\n")
    told = first.strip().lower().removeprefix("sep=")
    if first.lower().startswith("sep=") and len(told) == 1:
        return _names(rest, told), told, 1
    best = max(_DELIMITERS, key=lambda delimiter: len(_names(sample, delimiter)))
    return _names(sample, best), best, 0


def _names(sample: str, delimiter: str) -> tuple[str, ...]:
    try:
        found = next(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in found)


def _sample(path: Path) -> tuple[bytes, str]:
    """Return the beginning of a file and its encoding: Excel's "Unicode text" is UTF-16."""
    try:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
    except OSError as error:
        raise QuestionFileError(unreadable(path, error)) from error
    is_utf16 = sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return sample, "utf-16" if is_utf16 else "utf-8-sig"


def _lines(path: Path, encoding: str) -> Iterator[str]:
    if encoding == "utf-16":
        with path.open(encoding=encoding, newline="") as file:
            yield from file
        return
    with path.open("rb") as raw:
        # Decoded line by line, so that a byte that is no text has its line.
        for number, line in enumerate(raw):
            yield line.decode("utf-8" if number else encoding)
