"""Question files that are written again: what is not changed stays as it was, comments and own keys too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.questions.entries import plain_lines
from rag_evals.evals.questions.question import Question, escaped, question_to_json, to_line

LINES = (".jsonl", ".ndjson")
WRITABLE = (*LINES, ".json")

# What becomes of questions by id; None takes one away.
Changes = Mapping[str, Question | None]


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A question file as it was read.

    Attributes:
        path: The file.
        data: Its bytes.
    """

    path: Path
    data: bytes

    def with_changes(self, changes: Changes) -> str:
        """Return what the file holds after `changes`; its questions must have been read without an error."""
        text = self.data.decode("utf-8")
        if not changes:
            return text
        return _json(text, changes) if self.path.suffix.lower() == ".json" else _lines(text, changes)


def read_writable(path: Path) -> QuestionFile:
    """Read a question file that is to be written again.

    Raises:
        QuestionFileError: It cannot be read, or is of a form that would lose something by it.
    """
    if path.suffix.lower() not in WRITABLE:
        raise QuestionFileError(
            printable(
                f"{display_path(path)} cannot be written again without losing its form: files ending in "
                f"{', '.join(WRITABLE)} can; save the questions as one of these"
            )
        )
    try:
        return QuestionFile(path, path.read_bytes())
    except OSError as error:
        raise QuestionFileError(
            printable(f"{display_path(path)}: cannot be read: {error.strerror}")
        ) from error


def _lines(text: str, changes: Changes) -> str:
    rows = text.split("\n")
    gone = set()
    for number, line in plain_lines(text.removeprefix("\ufeff")):
        value = parse_json(line)
        if value["id"] not in changes:
            continue
        question = changes[value["id"]]
        if question is None:
            gone.add(number - 1)
            continue
        mark = "\ufeff" if number == 1 and text.startswith("\ufeff") else ""
        ending = "\r" if rows[number - 1].endswith("\r") else ""
        rows[number - 1] = f"{mark}{to_line(_merged(value, question))}{ending}"
    return "\n".join(row for n, row in enumerate(rows) if n not in gone)


def _json(text: str, changes: Changes) -> str:
    values = [
        _merged(value, changed) if (changed := changes.get(value["id"])) else value
        for value in parse_json(text.removeprefix("\ufeff"))
        if changes.get(value["id"], value) is not None
    ]
    lines = json.dumps(values, indent=2, ensure_ascii=False).split("\n")
    return "".join(f"{escaped(line)}\n" for line in lines)


def _merged(value: Mapping[str, Any], question: Question) -> dict[str, Any]:
    """Return the new form of an entry in its own order, with the keys that are its author's own."""
    new = question_to_json(question)
    old_sources, sources = value.get("sources") or [], new.get("sources") or []
    if sources and len(old_sources) == len(sources):
        new["sources"] = [_joined(old, now) for old, now in zip(old_sources, sources, strict=True)]
    return _joined(value, new)


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: new.get(key, value) for key, value in old.items() if key in new or key.startswith("x-")}
    return {**kept, **new}
