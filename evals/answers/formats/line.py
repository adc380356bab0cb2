"""The line of a logged answer that a record of another tool comes to, or why it comes to none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag_evals.evals.answers.formats.messages import Asked
from rag_evals.evals.answers.formats.retrieved import Passages


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why a record is no logged answer."""

    reason: str


def answer_line(
    asked: Asked | None, answer: str | None, contexts: Passages | None, **more: Any
) -> dict[str, Any] | Skipped:
    """Return the line of a logged answer, or why there is none.

    Args:
        asked: What was asked.
        answer: What was answered; an empty text is an answer.
        contexts: The passages; None where they are not known, empty where nothing was found.
        more: What else a line may have; what says nothing is left out.
    """
    if asked is None:
        return Skipped("no question found")
    if answer is None:
        return Skipped("no answer found")
    told = {"history": list(asked.history), **more}
    return {
        "question": asked.question,
        "answer": answer,
        **({} if contexts is None else {"contexts": contexts}),
        **{key: value for key, value in told.items() if value not in (None, [], {})},
    }
