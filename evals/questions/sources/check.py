"""The check of questions against the documents of now: which still stand, have moved, or are not true."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from rag_evals.evals.base.messages import count_of, printable, quoted
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.locate import STALE, LocatedSource, SourceFinder, Status, hashes_of
from rag_evals.rag.documents.document import Corpus, Document

# From the best to the worst; a question is as its worst source is.
STATUSES: tuple[Status, ...] = ("unchanged", "moved", "stale", "orphaned")
# Words that stand in any text: that they are still there says nothing.
_COMMON = frozenset(("and", "are", "for", "from", "its", "that", "the", "this", "was", "which", "with"))
_WORD = re.compile(r"\d[\d.,]*\d|\w+")


@dataclass(frozen=True, slots=True)
class CheckedQuestion:
    """A question, and what has become of its sources.

    Attributes:
        question: The question as the file has it.
        located: Its sources in their order.
        hashes: Hash of each document, by name, that its sources stand in now.
    """

    question: Question
    located: tuple[LocatedSource, ...]
    hashes: Mapping[str, str]

    @property
    def status(self) -> Status:
        """The status of its worst source that is of use; `unchanged` without such."""
        useful = (one.status for one in self.located if one.source.relevance != 0)
        return max(useful, key=STATUSES.index, default="unchanged")

    @property
    def is_outdated(self) -> bool:
        """Whether a source does not stand any more."""
        return self.status in ("stale", "orphaned")

    @property
    def now(self) -> Question:
        """The question with what is certain: sources that have moved, and a tag when one does not stand.

        Words that are not the same are left as they were: whether they still say so is for people to tell.
        """
        sources = tuple(one.now if one.status == "moved" else one.source for one in self.located)
        if self.is_outdated:
            tags = self.question.tags if STALE in self.question.tags else (*self.question.tags, STALE)
            return replace(self.question, sources=sources, tags=tags)
        return self._standing(sources)

    @property
    def accepted(self) -> Question:
        """The question with the words that stand there now, as a person has found them to be right."""
        if self.status == "orphaned":
            return self.now
        return self._standing(tuple(one.now for one in self.located))

    @property
    def lost(self) -> tuple[str, ...] | None:
        """Words of the reference that the sources had and have no more; None when they had none of them."""
        old, new = (
            " ".join(one.quote or "" for one in sources)
            for sources in ([a.source for a in self.located], [a.now for a in self.located])
        )
        return lost_words(self.question.reference or "", old, new)

    def _standing(self, sources: tuple[Source, ...]) -> Question:
        """Return the question with `sources`, as one that stands: hashes as they are now, and no tag."""
        tags = tuple(tag for tag in self.question.tags if tag != STALE)
        provenance = self.question.provenance
        if provenance is not None and hashes_of(self.question) and self.hashes:
            provenance = {**provenance, "document_sha256": dict(self.hashes)}
        return replace(self.question, sources=sources, tags=tags, provenance=provenance)


def check_questions(questions: Sequence[Question], finder: SourceFinder) -> tuple[CheckedQuestion, ...]:
    """Hold questions against the documents, in their order."""
    checked = [check_question(question, finder) for question in questions]
    # What became of a document that was renamed and changed is known when one of its quotes was found.
    return tuple(check_question(one.question, finder) if _is_astray(one, finder) else one for one in checked)


def _is_astray(one: CheckedQuestion, finder: SourceFinder) -> bool:
    gone = (a.source.document for a in one.located if a.status == "orphaned")
    return any(name not in finder.documents for name in gone)


def check_question(question: Question, finder: SourceFinder) -> CheckedQuestion:
    """Hold one question against the documents."""
    known = hashes_of(question)
    located = tuple(finder.locate(source, known.get(source.document)) for source in question.sources)
    names = dict.fromkeys(one.now.document for one in located)
    hashes = {name: finder.documents[name].sha256 for name in names if name in finder.documents}
    return CheckedQuestion(question, located, hashes)


def outdated_refusals(questions: Sequence[Question], finder: SourceFinder) -> tuple[str, ...]:
    """Return the ids of unanswerable questions without sources that were made from other documents.

    That the documents do not say is true of the documents of that time; no span can tell of now.
    """
    hashes = {document.sha256 for document in finder.documents.values()}
    return tuple(
        question.id
        for question in questions
        if not question.answerable
        and not question.sources
        and any(sha256 not in hashes for sha256 in hashes_of(question).values())
    )


def misplaced_sources(questions: Iterable[Question], corpus: Corpus) -> tuple[str, ...]:
    """Return a line for each source that no passage of the documents can cover, as it stands in none of them.

    Its offsets or its page lie beyond its document, or there is no such document. Sources of no use are
    passed over, and so are questions that the documents do not answer.
    """
    documents = {document.name: document for document in corpus.documents}
    answerable = (question for question in questions if question.answerable)
    return tuple(
        printable(f"{question.id}: {problem}")
        for question in answerable
        for source in question.sources
        if source.relevance != 0 and (problem := _misplaced(source, documents))
    )


def _misplaced(source: Source, documents: Mapping[str, Document]) -> str | None:
    document = documents.get(source.document)
    if document is None:
        close = get_close_matches(source.document, documents, 1)
        hint = f" (did you mean {quoted(close[0])}?)" if close else ""
        return f"{quoted(source.document)} is not among the {count_of(len(documents), 'document')}{hint}"
    last = max(source.start or 0, source.end or 0)
    if last > len(document.text):
        return f"character {last} of {quoted(document.name)}, whose text has {len(document.text)}"
    if document.page_starts and (source.page or 0) > len(document.page_starts):
        return f"page {source.page} of {quoted(document.name)}, which has {len(document.page_starts)}"
    return None


def status_counts(checked: Sequence[CheckedQuestion]) -> Mapping[Status, int]:
    """Count questions by status, from the best to the worst."""
    counted = Counter(one.status for one in checked)
    return {status: counted[status] for status in STATUSES}


def lost_words(reference: str, old: str, new: str) -> tuple[str, ...] | None:
    """Return the words of a reference that were in the old words and are not in the new ones, in its order.

    None when it shares no word with the old ones, so that nothing can be said.
    """
    had, has = set(_words(old)), set(_words(new))
    key = [word for word in dict.fromkeys(_words(reference)) if word in had and _is_telling(word)]
    return tuple(word for word in key if word not in has) if key else None


def _words(text: str) -> list[str]:
    return [match[0].casefold() for match in _WORD.finditer(text)]


def _is_telling(word: str) -> bool:
    return word[0].isdigit() or (len(word) > 2 and word not in _COMMON)
