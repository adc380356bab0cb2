"""Questions as lines of a question file, in one form; their hashes are over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from evals.questions import Question, Source
from rag.identity import digest


def question_to_json(question: Question) -> dict[str, Any]:
    """Give a question as a line of a question file has it; what says nothing is left out.

    `load_questions` reads the same question from it.
    """
    line: dict[str, Any] = {"id": question.id, "question": question.question}
    if question.reference is not None:
        line["reference"] = question.reference
    if not question.answerable:
        line["answerable"] = False
    if question.sources:
        line["sources"] = [_source_to_json(source) for source in question.sources]
    if question.tags:
        line["tags"] = list(question.tags)
    if question.thresholds:
        line["thresholds"] = dict(question.thresholds)
    if question.provenance is not None:
        line["provenance"] = dict(question.provenance)
    return line


def _source_to_json(source: Source) -> dict[str, Any]:
    parts = {name: getattr(source, name) for name in Source.__dataclass_fields__}
    return {name: part for name, part in parts.items() if part is not None}


def to_line(value: Mapping[str, Any]) -> str:
    """Give a question as JSON in one line, fit for a terminal: what cannot be printed is escaped."""
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


def escaped(line: str) -> str:
    """Give a line of JSON with all that cannot be printed as JSON's own escapes."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def questions_digest(questions: Iterable[Question]) -> str:
    """Give SHA-256 over questions, the same in whatever order they stand."""
    ordered = sorted(questions, key=lambda question: question.id)
    return digest([question_to_json(question) for question in ordered])


def short_digest(question: Question) -> str:
    """Give the first 16 digits of a question's hash: enough to tell that it is another one."""
    return digest(question_to_json(question))[:16]
