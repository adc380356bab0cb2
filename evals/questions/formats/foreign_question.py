"""Foreign questions: what a file says of one, and the question that is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.fields import parse_object
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.load import parse_question
from rag_evals.evals.questions.question import Question, Source, question_to_json
from rag_evals.evals.questions.question_set import edited
from rag_evals.rag.answer import Context
from rag_evals.rag.identity import digest

OURS = "rag_evals"
"""Where a file of another format holds what the format itself has no place for."""

IMPORTED = "imported"

# A mark of the texts that the format does hold: it tells whether they were changed there.
_MARK = "digest"
_UNFIT = re.compile(r"\s|\[|\]|::")
_MOST_WORDS = 40


@dataclass(frozen=True, slots=True)
class Note:
    """What became of parts of a file, said when all of it is read; alike ones are counted together.

    Attributes:
        noun: What there are `count` of; empty when the note is not about a number of things.
        text: What became of them.
        count: How many.
    """

    noun: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ForeignQuestion:
    """One question as a foreign file has it.

    Attributes:
        question: The text that is asked.
        reference: The right answer.
        contexts: The passages that it rests on, with document and page where they are known; None when the
            format says nothing of passages.
        grades: What each of them is worth; None where the format does not say.
        id: The file's own id, if it has one.
        fields: What else the file says; it is kept in the provenance.
        more: What a question file would say, by its keys: tags, answerable, and so on.
        is_ours: Whether `more` was written by an export: then it is the whole question, but for its texts.
        notes: What of the item is not in the question.
    """

    question: str
    reference: str | None = None
    contexts: tuple[Context, ...] | None = None
    grades: tuple[float, ...] | None = None
    id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    is_ours: bool = False
    notes: tuple[Note, ...] = ()


PlacedItems = Iterator[tuple[str, ForeignQuestion | Fault | Note]]
"""What a reader yields: a place, and the item there, what is wrong with it, or what became of a part."""


@dataclass(frozen=True, slots=True)
class ImportedQuestion:
    """A question made of an item.

    Attributes:
        question: The question.
        placed: How many passages were found in the documents.
        quoted: How many are kept as a quote of a document that the file names.
        loose: How many are of no known document; they are kept in the provenance.
    """

    question: Question
    placed: int = 0
    quoted: int = 0
    loose: int = 0


def ours_of(question: Question, *held: str) -> dict[str, Any]:
    """Return what a format has no place for; `held` are the keys of a question file that it does hold."""
    rest = {key: value for key, value in question_to_json(question).items() if key not in held}
    return rest | {_MARK: text_mark(question.question, question.reference)}


def text_mark(question: str, reference: str | None) -> str:
    """Return what tells whether the texts of a question were changed."""
    return digest([question, reference])[:12]


def question_passages(question: Question) -> tuple[Context, ...]:
    """Return the passages of a question: the quotes of its sources, and those of no known document.

    A source that was judged to be of no use is none.
    """
    return tuple(passage for passage, _ in graded_passages(question))


def graded_passages(question: Question) -> tuple[tuple[Context, float], ...]:
    """Return the passages of a question with what each is worth."""
    quoted = (
        (Context(s.quote, s.document, s.page, s.start, s.end), 1.0 if s.relevance is None else s.relevance)
        for s in question.sources
        if s.quote and s.relevance != 0
    )
    return (*quoted, *((Context(text), 1.0) for text in _loose_of(question.provenance)))


def imported_fields(question: Question, name: str) -> Mapping[str, Any]:
    """Return what else a file of the format `name` said, when the question was imported from such a file."""
    provenance = question.provenance or {}
    fields = provenance.get("fields")
    is_same = provenance.get("origin") == IMPORTED and provenance.get("format") == name
    return fields if is_same and isinstance(fields, dict) else {}


def parse_ours(entry: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any] | None:
    """Return what an export of ours put into an entry, None when it is not of ours."""
    ours = parse_object(entry, OURS, problems)
    return ours if ours and "id" in ours else None


def question_from(line: Mapping[str, Any]) -> Question | Fault:
    """Return the question of a line that an export wrote, or what is wrong with it."""
    return parse_question({key: value for key, value in line.items() if key != _MARK})


def imported_question(
    item: ForeignQuestion, name: str, passage_search: PassageSearch | None
) -> ImportedQuestion | Fault:
    """Make a question of an item of a file in the format `name`.

    Its passages are looked for in the documents of `passage_search`, if there is one. What could not stand in
    a question file is a Fault.
    """
    try:
        return _returned(item, passage_search) if item.is_ours else _foreign(item, name, passage_search)
    except RecursionError:  # JSON is read to a depth at which it cannot be gone through
        return Fault(("nested too deeply",))


def _returned(item: ForeignQuestion, passage_search: PassageSearch | None) -> ImportedQuestion | Fault:
    """Return a question of our own; one that was changed meanwhile is marked as edited."""
    before = question_from({**item.more, "question": item.question, "reference": item.reference})
    if isinstance(before, Fault):
        return before
    is_same = item.more.get(_MARK) in (None, text_mark(item.question, item.reference))
    known = graded_passages(before)
    texts, grades = [passage.text for passage, _ in known], tuple(grade for _, grade in known)
    if item.contexts is None or (
        _texts(item.contexts) == texts and (item.grades is None or item.grades == grades)
    ):
        return ImportedQuestion(before if is_same else edited(before))
    sources, loose = _placed(item.contexts, item.grades, passage_search)
    sources += [source for source in before.sources if source.relevance == 0]
    provenance = {key: value for key, value in (before.provenance or {}).items() if key != "contexts"}
    provenance |= {"contexts": loose} if loose else {}
    changed = replace(before, sources=tuple(sources), provenance=provenance or None)
    return _counted(edited(changed), sources, len(loose))


def _foreign(
    item: ForeignQuestion, name: str, passage_search: PassageSearch | None
) -> ImportedQuestion | Fault:
    contexts = item.contexts or ()
    sources, loose = _placed(contexts, item.grades, passage_search)
    fields = dict(item.fields) | ({"id": item.id} if item.id and not _is_fit(item.id) else {})
    provenance: dict[str, Any] = {"origin": IMPORTED, "format": name}
    hashes = {
        s.document: passage_search.sha256_of(s.document)
        for s in sources
        if passage_search and s.start is not None
    }
    for key, value in (("fields", fields), ("contexts", loose), ("document_sha256", hashes)):
        provenance |= {key: value} if value else {}
    entry = {
        "id": item.id if item.id and _is_fit(item.id) else content_id(item),
        "question": item.question,
        "reference": item.reference,
        "provenance": provenance,
        **item.more,
    }
    question = parse_question(entry)
    if isinstance(question, Fault):
        return question
    return _counted(replace(question, sources=(*question.sources, *sources)), sources, len(loose))


def content_id(item: ForeignQuestion) -> str:
    """Return an id that hangs on nothing but what is asked, the answer and the passages."""
    words = re.sub(r"[\W_]+", "-", item.question.casefold()).strip("-")
    short = words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS + 1].rpartition("-")[0]
    content = digest([item.question, item.reference, _texts(item.contexts or ())])[:12]
    return f"{short or 'question'}-{content}"


def _counted(question: Question, sources: Sequence[Source], loose: int) -> ImportedQuestion:
    placed = sum(source.start is not None for source in sources)
    return ImportedQuestion(question, placed, len(sources) - placed, loose)


def _placed(
    contexts: Sequence[Context], grades: Sequence[float] | None, passage_search: PassageSearch | None
) -> tuple[list[Source], list[str]]:
    """Return the sources of passages, and the texts of those whose document is not known."""
    sources: list[Source] = []
    loose: list[str] = []
    for context, grade in zip(contexts, grades or repeat(1.0), strict=False):
        source = (passage_search.find(context) if passage_search else None) or _as_quoted(context)
        if source is None:
            loose.append(context.text)
            continue
        source = replace(source, relevance=None if grade == 1 else grade)
        if source not in sources:
            sources.append(source)
    return sources, loose


def _as_quoted(context: Context) -> Source | None:
    return Source(context.document, page=context.page, quote=context.text) if context.document else None


def _loose_of(provenance: Mapping[str, Any] | None) -> list[str]:
    texts = (provenance or {}).get("contexts")
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def _is_fit(id: str) -> bool:
    return id.isprintable() and not _UNFIT.search(id)


def _texts(contexts: Sequence[Context]) -> list[str]:
    return [context.text for context in contexts]
