"""Strata: the values of a field by which logged answers are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_evals.evals.answers.logged_answer import LoggedAnswer
from rag_evals.rag.identity import canonical


def values_of(logged: LoggedAnswer) -> dict[str, str]:
    """Return the values of the fields by which answers can be told apart, as texts, by field.

    Those of objects in the metadata are named with dots.
    """
    question = logged.question
    named = {
        "answerable": question.answerable,
        "feedback": logged.feedback,
        "model": logged.model,
        "tags": ", ".join(sorted(question.tags)) or None,
        "time": logged.time,
        "trace": logged.trace,
    }
    return {
        name: _text(value) for name, value in (*_flat(logged.metadata), *named.items()) if value is not None
    }


def _flat(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in metadata.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)
