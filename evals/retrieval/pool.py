"""Pools: passages that pipelines found and no source says anything of, for people to label.

A pool is JSON Lines, a passage a line, the one that is most worth a look first. A person writes a number at
`relevance`; what has one becomes a source of its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import count_of, kind_name, listing, printable, quoted
from rag_evals.evals.questions.entries import Fault, gather, read_entries, readers_for
from rag_evals.evals.questions.fields import (
    check_keys,
    check_span,
    parse_number,
    parse_object,
    parse_text,
    parse_whole_number,
)
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.question_set import edited
from rag_evals.evals.questions.rewrite import LINES
from rag_evals.evals.retrieval.judged_retrieval import DEFAULT_TAU, JudgedRetrieval
from rag_evals.rag.answer import Context

# Of reciprocal rank fusion: how much less the first ranks weigh against each other than 1, 1/2, 1/3.
_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class PooledPassage:
    """A passage that pipelines found for a question and that no source says anything of.

    Attributes:
        question: The question.
        passage: The passage.
        found: At which rank, from 1, each pipeline found it that did.
    """

    question: Question
    passage: Context
    found: Mapping[str, int]

    @property
    def weight(self) -> float:
        """How much it is worth a look: more where more pipelines found it, and earlier."""
        return sum(1 / (_CONSTANT + rank) for rank in self.found.values())

    def to_json(self) -> dict[str, Any]:
        """Return it as a line of a pool, not yet labelled."""
        passage = self.passage
        return {
            "question_id": self.question.id,
            "question": self.question.question,
            "relevance": None,
            "passage": passage.text,
            "document": passage.document,
            "page": passage.page,
            "start": passage.start,
            "end": passage.end,
            "found": dict(self.found),
        }


def pooled_passages(
    found: Iterable[tuple[Question, str, Sequence[Context]]], depth: int, tau: float = DEFAULT_TAU
) -> list[PooledPassage]:
    """Return the passages that no source says anything of, the one that is most worth a look first.

    Args:
        found: The first passages of each pipeline for each question, best first, with the pipeline's name;
            questions that the documents do not answer are passed over.
        depth: How many of the passages of a pipeline are looked at.
        tau: Share of a source that makes a passage known.
    """
    pooled: dict[tuple[object, ...], PooledPassage] = {}
    for question, pipeline, passages in found:
        if not question.answerable:
            continue
        first = list(passages[:depth])
        judged = JudgedRetrieval(question, {"contexts": first}, tau)
        for rank in judged.unjudged(None):
            passage = first[rank]
            key = (question.id, *_identity(passage))
            known = pooled.get(key)
            at = {**(known.found if known else {})}
            at[pipeline] = min(rank + 1, at.get(pipeline, rank + 1))
            pooled[key] = PooledPassage(question, known.passage if known else passage, at)
    return sorted(pooled.values(), key=lambda one: -one.weight)


def _identity(passage: Context) -> tuple[object, ...]:
    """Return what two pipelines' passages have in common when they are the same one."""
    if passage.start is None or passage.end is None:
        return passage.document, " ".join(passage.text.split())
    return passage.document, passage.start, passage.end


@dataclass(frozen=True, slots=True)
class Label:
    """A line of a pool.

    Attributes:
        question_id: Id of the question.
        question: Its text when the passage was found.
        source: What becomes of the passage.
        place: File and line.
        is_given: Whether a person labelled it.
    """

    question_id: str
    question: str
    source: Source
    place: str
    is_given: bool


_KEYS = (
    *("question_id", "question", "relevance", "passage", "document"),
    *("page", "start", "end", "found", "any_of"),
)


def read_labels(path: Path) -> tuple[tuple[Label, ...], int]:
    """Read a pool: what is labelled, and how many lines are not.

    Raises:
        QuestionFileError: It cannot be read, or lines are wrong; each is named.
    """
    readers = {name: reader for name, reader in readers_for("passages").items() if name in LINES}
    entries = read_entries(path, "pools", readers)
    outcomes = (
        (place, value if isinstance(value, Fault) else _label(value, place)) for place, value in entries
    )
    lines, problems = gather(outcomes, lambda line: line.place)
    if problems:
        headline = f"{count_of(len(problems), 'problem')} in a pool:"
        raise QuestionFileError(listing(headline, map(printable, problems)))
    labels = tuple(line for line in lines if line.is_given)
    return labels, len(lines) - len(labels)


def _label(value: object, place: str) -> Label | Fault:
    if not isinstance(value, dict):
        return Fault((f"not an object but {kind_name(value)}",))
    problems: list[str] = []
    check_keys(value, _KEYS, problems)
    relevance = parse_number(value, "relevance", 0, problems)
    text = parse_text(value, "passage", problems, is_required=True, may_be_blank=True) or ""
    document = parse_text(value, "document", problems, may_be_blank=True) or ""
    start, end = (parse_whole_number(value, key, 0, problems) for key in ("start", "end"))
    check_span(start, end, problems)
    parse_object(value, "found", problems)
    # A passage that was cleaned or joined is not its document's text, character by character.
    is_text = start is None or end is None or end - start == len(text)
    source = Source(
        document,
        parse_whole_number(value, "page", 1, problems),
        start,
        end,
        text if is_text and text.strip() else None,
        None if relevance == 1 else relevance,
        parse_text(value, "any_of", problems),
    )
    label = Label(
        parse_text(value, "question_id", problems, is_required=True) or "",
        parse_text(value, "question", problems, is_required=True) or "",
        source,
        place,
        is_given=relevance is not None,
    )
    if relevance is not None and not document.strip():
        problems.append('no "document" in it, and a source has one: write the name, or leave "relevance" out')
    return Fault(tuple(problems)) if problems else label


def labelled_questions(questions: Sequence[Question], labels: Sequence[Label]) -> dict[str, Question]:
    """Return the questions that labels change, with their new sources, by id.

    A source that stands at the very place of a passage gets what its label says.

    Raises:
        QuestionFileError: A label is of no such question, of another text, or of one that the documents do
            not answer; each is named.
    """
    known = {question.id: question for question in questions}
    changed: dict[str, Question] = {}
    problems = []
    for label in labels:
        question = changed.get(label.question_id) or known.get(label.question_id)
        problem = _problem(question, label)
        if question is None or problem:
            problems.append(f"{label.place}: {problem}")
        else:
            changed[question.id] = replace(question, sources=_with(question.sources, label.source))
    if problems:
        headline = f"{count_of(len(problems), 'label')} fit no question, so nothing was changed:"
        raise QuestionFileError(listing(headline, map(printable, problems)))
    return {id: edited(one) for id, one in changed.items() if one != known[id]}


def _problem(question: Question | None, label: Label) -> str | None:
    if question is None:
        return f"no question {quoted(label.question_id)}"
    if question.question != label.question:
        return f"question {quoted(question.id)} is now another: {quoted(question.question)}"
    if not question.answerable and label.source.relevance != 0:
        return f'question {quoted(question.id)} has "answerable": false, and a passage that answers it'
    return None


def _with(sources: tuple[Source, ...], new: Source) -> tuple[Source, ...]:
    """Return sources with a new one; in place of one that stands at the very same place."""
    known = [_place(source) for source in sources]
    if _place(new) not in known:
        return (*sources, new)
    at = known.index(_place(new))
    told = replace(sources[at], relevance=new.relevance, any_of=new.any_of or sources[at].any_of)
    return (*sources[:at], told, *sources[at + 1 :])


def _place(source: Source) -> tuple[object, ...]:
    is_placed = source.start is not None and source.end is not None
    return (source.document, source.start, source.end) if is_placed else (source.document, source.quote)
