"""Which format a file has, by its name and its first entry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.entries import Fault, shown
from evals.errors import QuestionFileError, UsageError, printable
from evals.formats import FORMATS, Format, beir, format_named
from evals.formats.csv_files import columns_of
from evals.formats.huggingface import shards_of
from evals.formats.reading import entries

_BEGINNING = 4096


def format_of(path: Path) -> Format:
    """Give the format of a file or folder.

    Raises:
        QuestionFileError: There is no such file, or it is a question file already.
        UsageError: Its format cannot be told.
    """
    if not path.exists():
        raise QuestionFileError(f"{printable(shown(path))}: no such file or folder")
    name = _of_folder(path) if path.is_dir() else _of_file(path)
    if name is None:
        known = ", ".join(form.name for form in FORMATS)
        raise UsageError(
            f"{printable(shown(path))}: which format it has cannot be told; say --format with one of {known}"
        )
    return format_named(name)


def _of_folder(path: Path) -> str | None:
    if beir.is_folder(path):
        return "beir"
    return "huggingface" if shards_of(path) else None


def _of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return "huggingface"
    if suffix in (".csv", ".tsv"):
        return _of_keys(dict.fromkeys(columns_of(path), "")) or "csv"
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _of_json(path)
    return None


def _of_json(path: Path) -> str | None:
    if path.suffix.lower() == ".json" and _first_character(path) == "{":
        return "llamaindex"  # the only one here that is one object
    first = next((value for _, value in entries(path) if not isinstance(value, Fault)), None)
    if isinstance(first, dict) and "question" in first and "id" in first:
        raise QuestionFileError(f"{shown(path)} is a question file already: it can be used as it is")
    return _of_keys(first) if isinstance(first, dict) else None


def _of_keys(keys: Mapping[str, Any]) -> str | None:
    if "user_input" in keys:
        return "ragas"
    has_golden = "input" in keys and keys.keys() & {"expected_output", "actual_output", "context"}
    return "deepeval" if has_golden or "scenario" in keys else None


def _first_character(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_BEGINNING).decode("utf-8-sig", "replace").lstrip()[:1]
