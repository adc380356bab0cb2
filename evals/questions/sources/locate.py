"""Where sources stand in the documents of now: in their place, moved, stale, or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.quotes import QuotePlace, find_quote, nearest_to
from rag_evals.rag.documents.document import Corpus, Document

Status = Literal["unchanged", "moved", "stale", "orphaned"]
# The tag of a question whose source is stale or orphaned.
STALE = "stale"
# A shorter quote may stand in another document by chance.
LEAST_TO_FOLLOW = 30  # characters


@dataclass(frozen=True, slots=True)
class LocatedSource:
    """A source, and what has become of it.

    Attributes:
        source: The source as the question has it.
        status: `unchanged`; `moved`: the same words at another place; `stale`: other words stand there;
            `orphaned`: nothing like it is there any more.
        now: The source as it should be: the place, and the words that stand there; as it was when orphaned.
        likeness: How much the words that are there now are like those of the source, from 0 to 1.
        reason: For an orphaned one, what is gone; for people, fit for a terminal.
    """

    source: Source
    status: Status
    now: Source
    likeness: float = 1.0
    reason: str = ""


class SourceFinder:
    """The documents as they are now; it remembers what it has found out about renamed ones.

    `hashes` are those of the documents as they were, by name, for sources whose question does not tell.
    """

    def __init__(self, corpus: Corpus, hashes: Mapping[str, str] | None = None) -> None:
        self.documents = {document.name: document for document in corpus.documents}
        self._by_hash = {document.sha256: document for document in reversed(corpus.documents)}
        self._hashes = hashes or {}
        self._successors: dict[str, Document] = {}
        self._words: dict[str, frozenset[str]] = {}

    def document_for(self, name: str, sha256: str | None = None) -> Document | None:
        """Return the document that was called `name`: by its content, else by its name, else its successor.

        `sha256` is the hash of its file when the source was made; None when it is not known.
        """
        known = sha256 or self._hashes.get(name)
        named = self.documents.get(name)
        if named and (not known or named.sha256 == known):
            return named
        same = self._by_hash.get(known) if known else None
        return same or named or self._successors.get(name) or self._in_another_folder(name)

    def _in_another_folder(self, name: str) -> Document | None:
        last = PurePosixPath(name).name
        found = [d for known, d in self.documents.items() if PurePosixPath(known).name == last]
        return found[0] if len(found) == 1 else None

    def locate(self, source: Source, sha256: str | None = None) -> LocatedSource:
        """Find a source in the documents as they are now.

        `sha256` is the hash of its document's file when the source was made; None when it is not known.
        """
        document = self.document_for(source.document, sha256)
        if source.quote is None:
            return _by_place(source, document, sha256 or self._hashes.get(source.document))
        if document and (place := _found(source, document)):
            return _located(source, document, place)
        if other := self._elsewhere(source.quote, document):
            self._successors.setdefault(source.document, other)
            return _located(source, other, _found(replace(source, start=None, page=None), other))
        if document is None:
            reason = printable(f"{source.document} is not among the documents, nor are its words")
            return LocatedSource(source, "orphaned", source, 0.0, reason)
        place = nearest_to(source.quote, document.text)
        if place is None:
            reason = printable(f"nothing like its words is in {document.name} any more")
            return LocatedSource(source, "orphaned", source, 0.0, reason)
        return _located(source, document, place)

    def _elsewhere(self, quote: str, document: Document | None) -> Document | None:
        """Return another document that has the very words of a quote."""
        if len(quote) < LEAST_TO_FOLLOW:
            return None
        words = set(quote.split()[1:-1])  # the first and the last may be parts of words
        for other in self.documents.values():
            if other is not document and words <= self._words_of(other) and quote in other.text:
                return other
        return None

    def _words_of(self, document: Document) -> frozenset[str]:
        # Most words of a quote rule out most documents: thousands of quotes in hundreds of them take seconds.
        if document.name not in self._words:
            self._words[document.name] = frozenset(document.text.split())
        return self._words[document.name]


def _found(source: Source, document: Document) -> QuotePlace | None:
    """Find the very words of a source in a document, first of all on its page."""
    quote = source.quote or ""
    if source.start is None and source.page and source.page <= len(document.page_starts):
        low, *rest = document.page_starts[source.page - 1 :]
        place = find_quote(quote, document.text[low : rest[0] if rest else None])
        if place:
            return replace(place, start=place.start + low, end=place.end + low)
    return find_quote(quote, document.text, source.start)


def _located(source: Source, document: Document, place: QuotePlace | None) -> LocatedSource:
    if place is None:  # not reached: the words were seen in it
        return LocatedSource(source, "orphaned", source, 0.0)
    has_offsets = source.start is not None
    page = document.page_at(place.start)
    now = replace(
        source,
        document=document.name,
        # One who counts pages of a text without pages knows them from elsewhere.
        page=page if page and source.page else source.page,
        start=place.start if has_offsets else None,
        end=place.end if has_offsets else None,
        quote=document.text[place.start : place.end],
    )
    if place.how == "changed":
        return LocatedSource(source, "stale", now, place.likeness)
    if not has_offsets and place.how == "reset":
        now = replace(now, quote=source.quote)  # nothing but the quote says where it is; it is still right
    return LocatedSource(source, "unchanged" if now == source else "moved", now)


def _by_place(source: Source, document: Document | None, known: str | None) -> LocatedSource:
    """Anchor a source without a quote: it can only be right where the document is the same."""
    if document is None:
        return LocatedSource(
            source, "orphaned", source, 0.0, printable(f"{source.document} is not among the documents")
        )
    beyond = (source.end or 0) > len(document.text) or (
        document.page_starts and (source.page or 0) > len(document.page_starts)
    )
    has_changed = bool(known) and known != document.sha256 and source.start is not None
    if beyond or has_changed:
        what = "ends before it" if beyond else "has changed, and without a quote it cannot be found"
        return LocatedSource(source, "orphaned", source, 0.0, printable(f"{document.name} {what}"))
    now = replace(source, document=document.name)
    return LocatedSource(source, "unchanged" if now == source else "moved", now)


def with_offsets(question: Question, finder: SourceFinder) -> Question:
    """Return a question whose quotes tell their offsets, where the very words stand in the documents."""
    sources = tuple(_with_offsets(source, finder) for source in question.sources)
    return question if sources == question.sources else replace(question, sources=sources)


def _with_offsets(source: Source, finder: SourceFinder) -> Source:
    document = finder.document_for(source.document)
    if source.start is not None or source.quote is None or document is None:
        return source
    place = _found(source, document)
    return replace(source, start=place.start, end=place.end) if place else source


def hashes_of(question: Question) -> Mapping[str, str]:
    """Return the hashes of documents, by name, that a question was made from; none when it does not tell."""
    told = (question.provenance or {}).get("document_sha256")
    if not isinstance(told, Mapping):
        return {}
    return {name: sha256 for name, sha256 in told.items() if isinstance(sha256, str)}


def stale_reason(question: Question, corpus: Corpus) -> str | None:
    """Return why a question does not belong to the documents of now any more; None when nothing tells that.

    Without hashes in its provenance only its tag `stale` can tell.
    """
    return stale_reasons([question], lambda: corpus).get(question.id)


def stale_reasons(questions: Iterable[Question], read: Callable[[], Corpus]) -> dict[str, str]:
    """Return which questions do not belong to the documents any more, and why.

    A document that is the one that a question was made from is not looked into: for a question set that is
    up to date this costs some microseconds a question.

    Args:
        questions: The questions; without hashes in its provenance only its tag `stale` can tell of one.
        read: Gives the documents as they are now; not called where no question has hashes.

    Returns:
        Reason by id, in the order of the questions.
    """
    reasons: dict[str, str] = {}
    named: dict[str, Document] | None = None
    hashes: frozenset[str] = frozenset()
    for question in questions:
        known = hashes_of(question)
        if not known:
            if STALE in question.tags:
                reasons[question.id] = f'it is tagged "{STALE}"'
            continue
        if named is None:
            named = {document.name: document for document in read().documents}
            hashes = frozenset(document.sha256 for document in named.values())
        useful = [source for source in question.sources if source.relevance != 0]
        if reason := _stale_by(known, useful, named, hashes):
            reasons[question.id] = reason
    return reasons


def _stale_by(
    known: Mapping[str, str], sources: Iterable[Source], named: Mapping[str, Document], hashes: frozenset[str]
) -> str | None:
    """Return which source of a question is gone; those in a document that is the same are not looked up."""
    for source in sources:
        sha256 = known.get(source.document)
        if sha256 is None or sha256 in hashes or source.quote is None:
            continue
        document = named.get(source.document)
        if document is None:
            return printable(f"{source.document}, which it was made from, is not among the documents")
        if not find_quote(source.quote, document.text, source.start):
            words = " ".join(source.quote.split())
            cut = f"{words[:59].rstrip()}…" if len(words) > 60 else words
            return printable(f'{source.document} has changed, and "{cut}" is no longer in it')
    return None
