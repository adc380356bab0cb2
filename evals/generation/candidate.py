"""Passages and candidates: where a question is taken from, and the question that was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.load import parse_question
from rag_evals.evals.questions.question import Question, question_to_json

KINDS = (
    "fact",
    "number",
    "list",
    "definition",
    "comparison",
    "paraphrase",
    "unanswerable",
    "false_premise",
    "distractor",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that a question is written from.

    Attributes:
        document: Name of the document.
        sha256: Hash of the document's bytes, in hexadecimal.
        page: Page on which it begins, counted from 1; None for formats without pages.
        start: Offset of the first character in the document's text.
        end: Offset behind the last character.
        text: The characters from `start` to `end`.
        section: The heading it stands under; "" for none.
    """

    document: str
    sha256: str
    page: int | None
    start: int
    end: int
    text: str
    section: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that a model wrote and that was found valid; rules decide whether it is kept.

    Attributes:
        question: The question, with its reference, sources and provenance.
        kind: One of `KINDS`.
        passage: What it was written from.
        other: The second passage of a comparison, or the similar one of a distractor; else None.
        number: Which item of the run it is, counted from 0.
    """

    question: Question
    kind: str
    passage: Passage
    other: Passage | None
    number: int


def candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    """Return `candidate` as JSON holds it."""
    return {
        "question": question_to_json(candidate.question),
        "kind": candidate.kind,
        "passage": passage_to_json(candidate.passage),
        "other": passage_to_json(candidate.other) if candidate.other else None,
        "number": candidate.number,
    }


def candidate_from_json(value: dict[str, Any]) -> Candidate:
    """Return what `candidate_to_json` was given.

    Raises:
        KeyError: Something is missing.
        TypeError: Something has another shape.
        ValueError: The question is none.
    """
    other = value["other"]
    return Candidate(
        question=_parsed(value["question"]),
        kind=value["kind"],
        passage=Passage(**value["passage"]),
        other=Passage(**other) if other else None,
        number=value["number"],
    )


def passage_to_json(passage: Passage) -> dict[str, Any]:
    """Return `passage` as JSON holds it."""
    return {name: getattr(passage, name) for name in Passage.__dataclass_fields__}


def _parsed(value: object) -> Question:
    question = parse_question(value)
    if isinstance(question, Fault):
        raise ValueError("; ".join(question.problems))
    return question
