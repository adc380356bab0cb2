"""What citations come to: the passages that they name, and the claims that they stand behind."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag_evals.evals.base.messages import first_names
from rag_evals.evals.judges.citations.places import Documents
from rag_evals.evals.judges.claims import Claim
from rag_evals.rag.answer import Answer, Citation, Context


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a citation names.

    Attributes:
        citation: The citation, as far as it names this.
        contexts: Which passages of the answer it comes to; none where it was not retrieved.
        fault: What is wrong with it then, said of what it stands behind.
    """

    citation: Citation
    contexts: tuple[int, ...] = ()
    fault: str = ""


def targets_of(citation: Citation, answer: Answer, documents: Documents) -> list[Target]:
    """Return what `citation` names: each passage by itself, the passages of a document or a page together."""
    length, start, end = len(answer.text), citation.start, citation.end
    if start is not None and end is not None and not 0 <= start <= end <= length:
        text = f"is cited for at characters {start:,} to {end:,}, and the answer has {length:,}"
        return [Target(citation, fault=text)]
    if citation.contexts:
        return [
            _passage(replace(citation, contexts=(n,)), n, len(answer.contexts)) for n in citation.contexts
        ]
    return [_of_document(citation, answer.contexts, documents)]


def _passage(citation: Citation, n: int, count: int) -> Target:
    if 0 <= n < count:
        return Target(citation, (n,))
    retrieved = f"{count:,} were" if count > 1 else "1 was" if count else "none was"
    return Target(citation, fault=f"cites passage {n + 1:,}, and {retrieved} retrieved")


def _of_document(citation: Citation, contexts: Sequence[Context], documents: Documents) -> Target:
    name, page = citation.document, citation.page
    if name is None and page is None:
        return Target(citation, fault="cites nothing that can be told: no passage, no document, no page")
    own = range(len(contexts)) if name is None else documents.contexts_of(name)
    if found := tuple(n for n in own if page is None or _is_on(contexts[n], citation, documents)):
        return Target(citation, found)
    last = "" if citation.page_end is None else f"-{citation.page_end}"
    pages = "" if page is None else f"p.{page}{last}"
    if name is None:
        return Target(citation, fault=f"cites {pages}, of which nothing was retrieved")
    if not own:
        return Target(citation, fault=f"cites {name}{pages and f' {pages}'}, which was not retrieved")
    known = first_names([f"p.{contexts[n].pages}" for n in own])
    return Target(citation, fault=f"cites {name} {pages}, and of it only {known} was retrieved")


def _is_on(context: Context, citation: Citation, documents: Documents) -> bool:
    """Return whether a passage touches the pages of a citation; one of a named document without any does."""
    first, last = citation.page or 0, citation.page_end or citation.page or 0
    named = None if citation.document is None else documents.names_of(citation.document)
    places = [span for span in context.places if named is None or span.document in named]
    pages = [(span.page, span.page_end or span.page) for span in places if span.page is not None]
    if not pages:
        return named is not None
    return any(begin <= last and first <= (end or begin) for begin, end in pages)


def behind(citation: Citation, claims: Sequence[Claim], text: str) -> list[int]:
    """Return which of `claims` of `text` a citation stands behind; none where it stands by itself.

    Those that it overlaps. A mark between two sentences belongs to the one before it on its line; one that
    begins a line belongs to what follows there.

    Args:
        citation: One with a place.
        claims: The claims in the order of the text.
        text: The answer.
    """
    start, end = citation.start or 0, citation.end or 0
    # The first claim that ends behind its start, and the first that starts behind its end.
    first = bisect_right(claims, start, key=lambda one: one.span.end)
    behind_it = bisect_left(claims, end, key=lambda one: one.span.start)
    if first < behind_it:
        return list(range(first, behind_it))
    gap = text[claims[first - 1].span.end : start] if first else "\n\n"
    if "\n" not in gap:
        return [first - 1]
    if behind_it < len(claims) and "\n" not in text[end : claims[behind_it].span.start]:
        return [behind_it]
    return [first - 1] if gap.count("\n") == 1 and not gap.strip() else []
