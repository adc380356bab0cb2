"""A logged answer, and the line of a log that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_evals.evals.questions.question import Question, question_to_json
from rag_evals.evals.runs.score import citation_to_json, context_to_json
from rag_evals.rag.answer import Answer, Context

Feedback = Literal["up", "down"]
# Under this name are the seconds and the tokens of an answer whose stages are not known.
STAGE = "answer"


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """An answer that a service gave, and what is known of it.

    Attributes:
        question: What was asked, with an id that no other line of the log has.
        answer: What was answered; its `contexts_known` is False where the log does not tell the passages.
        time: When, in the form of ISO 8601, as the log has it.
        model: The model that answered.
        feedback: What whoever asked thought of it: `up` or `down`.
        trace: Id of its trace, where it has one.
        metadata: Whatever else the log has of it; not to be changed.
    """

    question: Question
    answer: Answer = field(hash=False)
    time: str | None = None
    model: str | None = None
    feedback: Feedback | None = None
    trace: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


def logged_to_json(logged: LoggedAnswer) -> dict[str, Any]:
    """Return a logged answer as a line of a log has it; what says nothing is left out.

    `parse_logged` reads the same logged answer from it.
    """
    answer = logged.answer
    line = {**question_to_json(logged.question), "answer": answer.text}
    if answer.contexts_known:
        line["contexts"] = [_context_to_json(context) for context in answer.contexts]
    if answer.citations:
        line["citations"] = list(map(citation_to_json, answer.citations))
    for name in ("time", "model", "feedback", "trace"):
        if (value := getattr(logged, name)) is not None:
            line[name] = value
    if answer.seconds:
        line["seconds"] = sum(answer.seconds.values())
    if answer.tokens:
        line["tokens"] = {"read": answer.total.evaluated, "written": answer.total.generated}
    if logged.metadata:
        line["metadata"] = dict(logged.metadata)
    return line


def _context_to_json(context: Context) -> str | dict[str, Any]:
    """Return a passage: a text where nothing else is known of it. What else is a copy of it is left out."""
    known = {key: value for key, value in context_to_json(context).items() if value not in (None, "")}
    known.pop("copies", None)
    return context.text if known.keys() == {"text"} else known
