"""Files to raw entries with their places, line by line where the format allows."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rag_evals.evals.base import files
from rag_evals.evals.base.bounds import bounded, check_yaml, parse_json
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.base.messages import display_path, kind_name, printable, short_repr
from rag_evals.evals.questions.entries import Fault, read_entries, readers_for, strict_decoder, yaml_loader
from rag_evals.evals.questions.fields import parse_list, text_problem
from rag_evals.evals.questions.formats.cells import is_nothing
from rag_evals.evals.questions.formats.foreign_question import Note

YAML = (".yaml", ".yml")
JSON = (".json", ".jsonl", ".ndjson", *YAML)
_READERS = readers_for("questions", nan=True)

QUESTION_NAMES = (
    *("question", "query", "user_input", "input", "prompt", "question_text", "query_text", "instruction"),
)
"""The names by which a question is known, those that are surest first."""

PlacedEntries = Iterator[tuple[str, Any]]  # place, and the entry's value, a Fault or a Note


def json_lines(path: Path) -> PlacedEntries:
    """Yield every line of a JSON Lines file; no more than one is held at a time."""
    read_line = _READERS[".jsonl"]
    for number, raw in raw_lines(path):
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
    return read_entries(path, "files of questions", {path.suffix.lower(): _READERS[".json"]})


def entries(path: Path) -> PlacedEntries:
    """Yield the entries of a list of JSON or YAML, or of JSON Lines; these may be in a file `.json` too."""
    if path.suffix.lower() in YAML:
        return read_entries(path, "files of questions", _READERS)
    is_list = path.suffix.lower() == ".json" and not _is_lines(path)
    return json_list(path) if is_list or first_character(path) == "[" else json_lines(path)


def is_object(path: Path) -> bool:
    """Return whether a file is one JSON object, in a line or in many, and no JSON Lines."""
    return first_character(path) == "{" and not _is_lines(path)


def _is_lines(path: Path) -> bool:
    """Return whether a file is JSON Lines: its first line is a value, and more follow or its name says so.

    One line alone is one of such lines when it is a question.
    """
    is_named = path.suffix.lower() != ".json"
    lines = (raw for _, raw in raw_lines(path) if raw.strip())
    first, more = _value(next(lines, b"")), next(lines, b"")
    if first is not None:
        return is_named or bool(more) or is_question(first)
    return is_named and _value(path.read_bytes()) is None


def is_question(value: object) -> bool:
    """Return whether a value is a question by one of the names that questions have."""
    return isinstance(value, dict) and any(isinstance(value.get(name), str) for name in QUESTION_NAMES)


def _value(data: bytes) -> Any:
    """Return a JSON value, None when it is none."""
    try:
        return parse_json(data.decode("utf-8-sig"))
    except ValueError:
        return None


def first_character(path: Path) -> str:
    """Return the first character of a file that is no white space."""
    _, raw = next(((number, raw) for number, raw in raw_lines(path) if raw.strip()), (0, b""))
    return raw.decode("utf-8-sig", "replace").lstrip()[:1]


def yaml_value(path: Path) -> Any:
    """Read one YAML value; None when it cannot be read, which is told where its entries are read."""
    import yaml

    try:
        text = path.read_bytes().decode("utf-8-sig")
        check_yaml(yaml.parse(text, yaml_loader()))
        return yaml_loader()(text).get_single_data()
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def json_object(path: Path) -> Any:
    """Read one JSON value; the file is read whole.

    Raises:
        QuestionFileError: It cannot be read, or is not JSON.
    """
    try:
        return bounded(strict_decoder(nan=True).decode(path.read_bytes().decode("utf-8-sig")))
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


def objects(found: PlacedEntries) -> Iterator[tuple[str, dict[str, Any] | Fault | Note]]:
    """Yield the entries that are objects; any other is a Fault."""
    for place, value in found:
        if isinstance(value, dict | Fault | Note):
            yield place, value
        else:
            yield place, Fault((f"not an object but {kind_name(value)} ({short_repr(value)})",))


def parse_texts(entry: Mapping[str, Any], key: str, problems: list[str]) -> tuple[str, ...] | None:
    """Return the texts under a key, None when there are none; those that say nothing are left out."""
    if is_nothing(entry.get(key)):
        return None
    texts = parse_list(entry, key, "texts", problems)
    for number, text in enumerate(texts):
        if not is_nothing(text) and (problem := text_problem(text, may_be_blank=True)):
            problems.append(f"{key}[{number}] {problem}")
    return tuple(text for text in texts if isinstance(text, str) and text.strip())


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file as they are, counted from 1.

    Raises:
        QuestionFileError: It cannot be read.
    """
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
