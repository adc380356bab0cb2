"""Files to raw entries with their places, line by line where the format allows."""

from __future__ import annotations

import ast
import io
import json
import shutil
import tempfile
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rag_evals.evals.base import files
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, kind_name, printable, short_repr
from rag_evals.evals.questions.entries import Fault, read_entries, readers_for
from rag_evals.evals.questions.fields import parse_list, text_problem

PlacedEntries = Iterator[tuple[str, Any]]  # place, and the entry's value or a Fault


def json_lines(path: Path) -> PlacedEntries:
    """Yield every line of a JSON Lines file; no more than one is held at a time."""
    read_line = readers_for("questions")[".jsonl"]
    for number, raw in _raw_lines(path):
        place = f"{display_path(path)}:{number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield (
                place,
                Fault((f"not UTF-8 text (byte 0x{raw[error.start]:02X} at column {error.start + 1})",)),
            )
            continue
        for _, value in read_line(text):
            yield place, value


def json_list(path: Path) -> PlacedEntries:
    """Yield every member of a JSON list; the file is read whole."""
    return read_entries(path, "files of questions", {path.suffix.lower(): readers_for("questions")[".json"]})


def entries(path: Path) -> PlacedEntries:
    """Yield the entries of a `.jsonl`, `.ndjson` or `.json` file."""
    return json_list(path) if path.suffix.lower() == ".json" else json_lines(path)


def json_object(path: Path) -> Any:
    """Read one JSON value; the file is read whole.

    Raises:
        QuestionFileError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise QuestionFileError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise QuestionFileError(f"{display_path(path)}: not UTF-8 text (at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise QuestionFileError(
            f"{display_path(path)}:{error.lineno}: invalid JSON at column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise QuestionFileError(f"{display_path(path)}: invalid JSON: {printable(str(error))}") from error


def objects(found: PlacedEntries) -> Iterator[tuple[str, dict[str, Any] | Fault]]:
    """Yield the entries that are objects; any other is a Fault."""
    for place, value in found:
        if isinstance(value, dict | Fault):
            yield place, value
        else:
            yield place, Fault((f"not an object but {kind_name(value)} ({short_repr(value)})",))


def parse_texts(entry: Mapping[str, Any], key: str, problems: list[str]) -> tuple[str, ...] | None:
    """Return the texts under a key, None when there are none; blank ones are left out."""
    if entry.get(key) is None:
        return None
    texts = parse_list(entry, key, "texts", problems)
    for number, text in enumerate(texts):
        if problem := text_problem(text, may_be_blank=True):
            problems.append(f"{key}[{number}] {problem}")
    return tuple(text for text in texts if isinstance(text, str) and text.strip())


class RunTogetherError(ValueError):
    """Raised for a list as NumPy prints it: nothing parts its texts, which Python would read as one."""


def parse_cell_list(cell: str) -> list[Any]:
    """Return the list that a cell of a table holds, as JSON or as Python writes it.

    Raises:
        RunTogetherError: It holds a list as NumPy prints it.
        ValueError: It holds no list.
    """
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = _python_list(cell)
    if not isinstance(value, list):
        raise ValueError("is not a list")
    return value


def _python_list(cell: str) -> Any:
    try:
        value = ast.literal_eval(cell)
        tokens = list(tokenize.generate_tokens(io.StringIO(cell).readline))
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise ValueError("is not a list, neither in JSON nor in Python") from error
    kinds = [token.type for token in tokens if token.type not in (tokenize.NL, tokenize.NEWLINE)]
    if any(kinds[at : at + 2] == [tokenize.STRING] * 2 for at in range(len(kinds))):
        raise RunTogetherError("is a list as NumPy prints it, without commas; write it as JSON")
    return value


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise QuestionFileError(unreadable(path, error)) from error


def unreadable(path: Path, error: OSError) -> str:
    """Return why a file cannot be read."""
    reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    return f"{printable(display_path(path))}: {reason}"


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Yield a file to write text to, which takes its place at `path` when all went well."""
    with new_export_path(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def new_export_path(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write, which takes its place at `path` when all went well.

    Raises:
        UsageError: The folder of `path` is missing or cannot be written to.
    """
    try:
        with files.new_path(path) as scratch:
            yield scratch
    except OSError as error:
        raise UsageError(_refused(path, error)) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which takes its place at `path` when all went well.

    Raises:
        UsageError: `path` is a folder with something in it, or the folder around it cannot be written to.
    """
    try:
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.replace(path)
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refused(path: Path, error: OSError) -> str:
    return f"{printable(display_path(path))}: cannot be written: {error.strerror}"
