"""CSV as spreadsheets and libraries write it: rows by column name, whatever the delimiter and the BOM."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag_evals.evals.base.cells import cell_text, text_of_cell
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import count_of, display_path, quoted
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.foreign_files import new_file, unreadable
from rag_evals.evals.questions.formats.foreign_question import Note

_DELIMITERS = ",;\t|"
TABLES = (".csv", ".tsv")
_SAMPLE = 65536
# csv refuses longer cells, 131,072 characters unless told; a passage may be longer.
_MOST_CHARACTERS = 2**31 - 1

if TYPE_CHECKING:
    import _csv

PlacedRows = Iterator[tuple[str, "dict[str, str | None] | Fault | Note"]]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file is written.

    Attributes:
        names: The names of its columns.
        delimiter: What parts its cells.
        skipped: How many lines stand before the names.
        encoding: Its encoding.
    """

    names: tuple[str, ...]
    delimiter: str
    skipped: int
    encoding: str


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Raises:
        QuestionFileError: The file cannot be read, or a name stands twice in its first line.
    """
    return _layout(path).names


def read_rows(path: Path) -> PlacedRows:
    """Yield each row with its place; an empty cell is None. One row is held at a time.

    Raises:
        QuestionFileError: The file cannot be read, or a name stands twice in its first line.
    """
    layout = _layout(path)
    before = csv.field_size_limit(_MOST_CHARACTERS)
    try:
        if layout.encoding == _WESTERN:
            yield display_path(path), Note("", f"not UTF-8: read as Windows-1252, as in {_sample_word(path)}")
        yield from _rows(path, layout)
    finally:
        csv.field_size_limit(before)  # csv keeps one for the whole process


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV with a header; a missing value is an empty cell, and no spreadsheet calculates one."""
    with new_file(path) as file:
        # Every cell in quotes: with this line end csv takes a lone carriage return for harmless.
        writer = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {n: cell_text(cell) if isinstance(cell, str) else cell for n, cell in row.items()}
            )


def _rows(path: Path, layout: _Layout) -> PlacedRows:
    name = display_path(path)
    reader = _reader(path, layout, is_quoted=_is_quoted(path, layout))
    is_header, line = True, layout.skipped
    while True:
        place = f"{name}:{line + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # csv reads on with the next line, if there is one.
            is_open = "unexpected end" in str(error)
            why = "a quote that opens here is never closed: all behind it is lost" if is_open else str(error)
            yield place, Fault((f"not CSV: {why}",))
            cells = []
        except UnicodeDecodeError as error:
            yield f"{name}:{layout.skipped + reader.line_num + 1}", Fault((_no_text(layout.encoding, error),))
            return
        if cells is None:
            return
        line = layout.skipped + reader.line_num
        if not is_header and any(cell.strip() for cell in cells):
            yield place, _row(layout.names, cells)
        is_header = False


def _no_text(encoding: str, error: UnicodeDecodeError) -> str:
    byte = f"byte 0x{error.object[error.start]:02X}"
    name = encoding.removesuffix("-sig").upper()
    return f"not {name} text ({byte}): nothing from here on is read; save the file as UTF-8"


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str | None] | Fault:
    """Return a row; cells without a name may be missing, and blank ones be too many."""
    is_short = not any(names[len(cells) :])
    if any(cell.strip() for cell in cells[len(names) :]) or not is_short:
        return Fault((f"{count_of(len(cells), 'cell')}, but the first line names {len(names)}",))
    return {name: text_of_cell(cell) or None for name, cell in zip(names, cells, strict=False) if name}


class _Unquoted(csv.excel):
    """Cells as they stand, quotes and all."""

    quoting = csv.QUOTE_NONE


def _reader(path: Path, layout: _Layout, *, is_quoted: bool = True) -> _csv.Reader:
    lines = itertools.islice(_lines(path, layout.encoding), layout.skipped, None)
    dialect: type[csv.Dialect] = csv.excel if is_quoted else _Unquoted
    return csv.reader(lines, dialect, delimiter=layout.delimiter, strict=True)


def _is_quoted(path: Path, layout: _Layout) -> bool:
    """Return whether quotes hold cells together: between tabs many tools write them as they stand."""
    if layout.delimiter != "\t":
        return True
    try:
        return all(True for _ in _reader(path, layout))
    except csv.Error:
        return False
    except UnicodeDecodeError:
        return True  # told when the rows are read


def _layout(path: Path) -> _Layout:
    encoding = _encoding(path)
    try:
        next(_lines(path, encoding), "")
    except UnicodeDecodeError as error:
        raise QuestionFileError(f"{display_path(path)}:1: {_no_text(encoding, error)}") from error
    sample = _sample(path).decode(encoding, "replace")
    names, delimiter, skipped = _header(sample)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        several = ", ".join(map(quoted, twice))
        raise QuestionFileError(
            f"{display_path(path)}:{skipped + 1}: more than one column is called {several}"
        )
    return _Layout(names, delimiter, skipped, encoding)


def _header(sample: str) -> tuple[tuple[str, ...], str, int]:
    """Return the names of the columns, the delimiter, and how many lines stand before them.

    The delimiter is that which parts the first line into most names; Excel's own line `sep=;` tells it.
    """
    first, _, rest = sample.partition("\n")
    told = first.strip().lower().removeprefix("sep=")
    if first.lower().startswith("sep=") and len(told) == 1:
        return _names(rest, told), told, 1
    best = max(_DELIMITERS, key=lambda delimiter: len(_names(sample, delimiter)))
    names = _names(sample, best)
    if first.startswith("#") and rest:  # a remark, unless what follows is parted as it is
        below, delimiter, skipped = _header(rest)
        if len(below) > len(names):
            return below, delimiter, skipped + 1
    return names, best, 0


def _names(sample: str, delimiter: str) -> tuple[str, ...]:
    sample = sample if "\n" in sample else sample.replace("\r", "\n")
    try:
        found = next(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in found)


def _sample(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SAMPLE)
    except OSError as error:
        raise QuestionFileError(unreadable(path, error)) from error


_WESTERN = "cp1252"
_BEYOND_ASCII = re.compile(r"\S*[^\x00-\x7f]\S*")


def _encoding(path: Path) -> str:
    """Return the encoding of a file: Excel writes UTF-16, and Windows-1252 in Western Europe.

    What is neither, such as Cyrillic in one byte a letter, is taken for UTF-8, and refused where it is not.
    """
    if _sample(path).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        with path.open(encoding="utf-8-sig") as file:
            for _ in file:
                pass
    except UnicodeDecodeError:
        return _WESTERN if _is_western(path) else "utf-8-sig"
    return "utf-8-sig"


def _is_western(path: Path) -> bool:
    """Return whether words with letters beyond ASCII have others too, as they do in Western Europe alone."""
    try:
        text = path.read_text(_WESTERN)
    except UnicodeDecodeError:
        return False
    words = [word for word in re.findall(r"[^\W\d_]{2,}", text) if not word.isascii()]
    others = [word for word in words if sum(c > "\x7f" for c in word) * 2 > len(word)]
    return len(others) * 2 <= len(words) and not any(c in text for c in "\x00\x1b")


def _sample_word(path: Path) -> str:
    found = _BEYOND_ASCII.search(path.read_text(_WESTERN))
    return quoted(found.group()[:40]) if found else ""


def _lines(path: Path, encoding: str) -> Iterator[str]:
    if encoding == "utf-16":
        with path.open(encoding=encoding, newline="") as file:
            yield from file
        return
    with path.open("rb") as raw:
        # Excel for the Mac ends lines with a carriage return alone.
        beginning = raw.read(_SAMPLE)
        is_mac = b"\r" in beginning and b"\n" not in beginning
        raw.seek(0)
        lines = (line + b"\n" for line in raw.read().split(b"\r")) if is_mac else raw
        # Decoded line by line, so that a byte that is no text has its line.
        for number, line in enumerate(lines):
            yield line.decode("utf-8" if number and encoding == "utf-8-sig" else encoding)
