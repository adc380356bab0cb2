"""Questions as lines of a question file, in one form; their hashes are over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag_evals.rag.answer import Message
from rag_evals.rag.identity import digest


def question_to_json(question: Question) -> dict[str, Any]:
    """Return a question as a line of a question file has it; what says nothing is left out.

    `load_questions` reads the same question from it.
    """
    line: dict[str, Any] = {
        "id": question.id,
        "question": question.question,
        **conversation_to_json(question),
    }
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


def conversation_to_json(question: Question) -> dict[str, Any]:
    """Return where in a conversation a question stands and what was said before; nothing outside of one."""
    line: dict[str, Any] = {}
    if question.conversation is not None:
        line["conversation"] = question.conversation
    if question.turn is not None:
        line["turn"] = question.turn
    if question.history:
        line["history"] = messages_to_json(question.history)
    return line


def messages_to_json(history: Iterable[Message]) -> list[dict[str, str]]:
    """Return messages as everybody writes them."""
    return [{"role": message.role, "content": message.content} for message in history]


def _source_to_json(source: Source) -> dict[str, Any]:
    parts = {name: getattr(source, name) for name in Source.__dataclass_fields__}
    return {name: part for name, part in parts.items() if part is not None}


def to_line(value: Mapping[str, Any]) -> str:
    """Return a question as JSON in one line, fit for a terminal: what cannot be printed is escaped."""
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


def escaped(line: str) -> str:
    """Return a line of JSON with all that cannot be printed as JSON's own escapes."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def questions_digest(questions: Iterable[Question]) -> str:
    """Return SHA-256 over questions, the same in whatever order they stand."""
    ordered = sorted(questions, key=lambda question: question.id)
    return digest([question_to_json(question) for question in ordered])


def short_digest(question: Question) -> str:
    """Return the first 16 digits of a question's hash: enough to tell that it is another one."""
    return digest(question_to_json(question))[:16]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the answer to a question stands.

    Attributes:
        document: Name of the document, as the corpus has it.
        page: Page, counted from 1.
        start: Offset of the first character in the document's text.
        end: Offset behind the last character.
        quote: The words themselves.
        relevance: How much finding it is worth beside the other sources; None for 1. At 0 it was judged to be
            of no use.
        any_of: Label of alternatives: of the sources that have the same one, any will do.
    """

    document: str
    page: int | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None
    relevance: float | None = None
    any_of: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a question file; curated and generated questions look alike.

    Attributes:
        id: Unique over all files of a run, and fit to be a pytest id.
        question: The text that is asked.
        reference: The answer that would be right.
        sources: Where that answer stands.
        tags: Words to select and group by.
        answerable: False when the right answer is that the documents do not say.
        thresholds: Pairs of metric and threshold that overrule the run's own, sorted by metric; pairs, as a
            mapping could be changed, or not be hashed and pickled.
        provenance: How the question came to be, as the file says it; not to be changed.
        history: What was said before the question. In a question file only the first turn of a conversation
            has some: that of a later one are the earlier turns, with the answers that the run gives.
        conversation: Name of the conversation that it is a turn of.
        turn: Which turn, from 1.
    """

    id: str
    question: str
    reference: str | None = None
    sources: tuple[Source, ...] = ()
    tags: tuple[str, ...] = ()
    answerable: bool = True
    thresholds: tuple[tuple[str, float], ...] = ()
    provenance: Mapping[str, Any] | None = field(default=None, hash=False)
    history: tuple[Message, ...] = ()
    conversation: str | None = None
    turn: int | None = None

    @property
    def cluster(self) -> str:
        """What it has in common with questions that are alike: its conversation, or its first document."""
        if self.conversation is not None:
            return f"conversation {self.conversation}"
        return self.sources[0].document if self.sources else ""

    @property
    def wanted(self) -> tuple[tuple[Source, ...], ...]:
        """What has to be found: of each group of alternatives one; sources of no use are left out."""
        groups: dict[object, list[Source]] = {}
        for number, source in enumerate(self.sources):
            if source.relevance != 0:
                groups.setdefault(number if source.any_of is None else source.any_of, []).append(source)
        return tuple(map(tuple, groups.values()))
