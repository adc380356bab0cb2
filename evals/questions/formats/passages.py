"""Passages of a cell, however a data set nests them: texts, objects, titles with sentences, columns of these.

Shapes read: HotpotQA (`{title: [...], sentences: [[...], ...]}` and `[[title, [sentence, ...]], ...]`, with
`supporting_facts`), MS MARCO (`{passage_text: [...], is_selected: [...]}`), MuSiQue (`[{title,
paragraph_text, is_supporting}, ...]`), documents of LangChain (`{page_content, metadata: {source}}`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.base.messages import first_names, quoted
from rag_evals.evals.questions.fields import text_problem
from rag_evals.evals.questions.formats.cells import (
    RunTogetherError,
    is_nothing,
    parse_printed,
    plain_text,
    value_at,
)
from rag_evals.evals.questions.formats.foreign_question import Note
from rag_evals.rag.answer import Context

_TEXTS = (
    *("text", "passage_text", "paragraph_text", "page_content", "content", "contents", "passage"),
    *("paragraph", "chunk", "chunk_text", "snippet", "body", "sentences", "context"),
)
_NAMES = (
    *("document", "file_name", "source", "metadata.file_name", "metadata.source", "title", "doc_id"),
    *("document_id", "url", "id", "_id"),
)
_MARKS = ("is_selected", "is_supporting", "is_relevant", "is_gold", "is_positive")


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a cell.

    Attributes:
        text: Its words.
        document: What it is called, empty when it has no name.
        is_marked: Whether the data set marks it as one that holds the answer; None when it marks none.
    """

    text: str
    document: str = ""
    is_marked: bool | None = None


# Before each passage of a question over several in ragas (`multi_hop/base.py`); no words of the document.
_HOP = re.compile(r"^<\d+-hop>\s*")


def without_hop(text: str) -> str:
    """Return a passage without the mark that ragas puts before it."""
    return _HOP.sub("", text, count=1)


def passages_of(cell: object, column: str, problems: list[str]) -> list[Passage]:
    """Return the passages of a cell; blank ones are left out."""
    try:
        value = parse_printed(cell)
    except RunTogetherError as error:
        problems.append(f"{quoted(column)} {error}")
        return []
    # A passage may be JSON itself.
    is_passages = isinstance(value, list) or (isinstance(value, dict) and not value.keys().isdisjoint(_TEXTS))
    cell = value if is_passages else cell
    found = []
    for number, member in enumerate(_members(cell)):
        passage = _passage(member)
        if isinstance(passage, str):
            problems.append(f"{quoted(column)}[{number}] {passage}")
        elif passage and passage.text.strip():
            found.append(passage)
    return found


def chosen_passages(
    passages: list[Passage], supporting: object, document: str, page: int | None
) -> tuple[tuple[Context, ...], tuple[Note, ...]]:
    """Return the passages that a question rests on: those that are marked or named, where any may be.

    Args:
        passages: All that the row holds.
        supporting: Its `supporting_facts`, which name passages by their titles; None when it has none.
        document: What a passage without a name stands in.
        page: The page in it.

    Returns:
        The passages, and what was left out.
    """
    titles = _titles(supporting)
    if titles:
        passages = [Passage(p.text, p.document, p.document in titles) for p in passages]
    missing = titles - {passage.document for passage in passages}
    others = [passage for passage in passages if passage.is_marked is False]
    notes = [
        Note("passage", "that the file marks as not supporting the answer left out", len(others)),
        Note("passage", 'named in "supporting_facts" that the file does not have', len(missing)),
    ]
    contexts = tuple(
        Context(without_hop(passage.text), passage.document or document, None if passage.document else page)
        for passage in passages
        if passage.is_marked is not False
    )
    return contexts, tuple(note for note in notes if note.count)


def _members(cell: object) -> Iterable[Any]:
    """Return the passages of a cell one by one; columns of lists, as datasets has objects, row by row."""
    if isinstance(cell, list):
        if _is_titled(cell):
            return [cell]
        flat = [m if isinstance(m, list) and not _is_titled(m) else [m] for m in cell]
        return [member for members in flat for member in members]
    if not isinstance(cell, Mapping):
        return [] if cell is None else [cell]
    lists = {key: value for key, value in cell.items() if isinstance(value, list)}
    text = next((name for name in _TEXTS if name in cell), None)
    is_column = text in lists and not (text == "sentences" and all(isinstance(s, str) for s in lists[text]))
    if not is_column or text is None:
        return [cell]
    return [
        {key: value[at] if at < len(value) else None for key, value in lists.items()}
        for at in range(len(lists[text]))
    ]


def _passage(member: object) -> Passage | str | None:
    """Return a passage, what keeps it from being one, or None when it says nothing."""
    if is_nothing(member):
        return None
    if isinstance(member, list) and _is_titled(member):
        return Passage(_joined(member[1]), member[0])
    if isinstance(member, Mapping):
        return _of_object(member)
    problem = text_problem(member, may_be_blank=True)
    return problem or Passage(str(member))


def _of_object(member: Mapping[str, Any]) -> Passage | str | None:
    key = next((name for name in _TEXTS if not is_nothing(member.get(name))), None)
    if key is None:
        if any(name in member for name in _TEXTS):
            return None
        names = first_names([quoted(str(name)) for name in member])
        return f"has its text under none of the usual names, but {names}: say --map contexts=COLUMN.NAME"
    text = member[key]
    text = _joined(text) if isinstance(text, list) and all(isinstance(s, str) for s in text) else text
    if problem := text_problem(text, may_be_blank=True):
        return f"{quoted(key)} {problem}"
    named = (plain_text(value_at(member, name)) for name in _NAMES)
    document = next((name for name in named if isinstance(name, str) and name.strip()), "")
    marks = [member[name] for name in _MARKS if not is_nothing(member.get(name))]
    return Passage(text, document, bool(marks[0]) if marks else None)


def _titles(supporting: object) -> set[str]:
    """Return the titles of supporting facts: an object of columns, or a list of pairs or objects."""
    with contextlib.suppress(RunTogetherError):
        supporting = parse_printed(supporting)
    if isinstance(supporting, Mapping):
        found = supporting.get("title")
    else:
        members = supporting if isinstance(supporting, list) else []
        found = [_title(member) for member in members]
    return {title for title in found if isinstance(title, str)} if isinstance(found, list) else set()


def _title(member: object) -> object:
    if isinstance(member, Mapping):
        return member.get("title")
    return member[0] if isinstance(member, list) and member else None


def _is_titled(member: list[Any]) -> bool:
    return (
        len(member) == 2
        and isinstance(member[0], str)
        and isinstance(member[1], list)
        and all(isinstance(sentence, str) for sentence in member[1])
    )


def _joined(sentences: list[str]) -> str:
    """Join sentences; those of HotpotQA bring the blank between them along."""
    text = ""
    for sentence in sentences:
        text += sentence if not text or text[-1:].isspace() or sentence[:1].isspace() else f" {sentence}"
    return text
