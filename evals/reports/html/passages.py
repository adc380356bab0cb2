"""Passages in the HTML report: each once, where they stand, and which a quoted piece is from."""

from __future__ import annotations

from typing import Any

from rag_evals.evals.base.messages import first_names
from rag_evals.evals.reports.comparison_text import place
from rag_evals.evals.reports.text import visible_text
from rag_evals.evals.runs.score import ClaimScore
from rag_evals.rag.answer import Context

TemplateData = dict[str, Any]


class Passages:
    """The passages of all answers, each once: many questions are answered from the same ones."""

    def __init__(self) -> None:
        self.views: list[TemplateData] = []
        self._ids: dict[tuple[str, int | None, str], str] = {}

    def add(self, context: Context) -> str:
        """Return the id under which the passage stands at the end of the page."""
        key = (context.document, context.start, context.text)
        if key not in self._ids:
            self._ids[key] = f"p{len(self._ids) + 1}"
            view = {"id": self._ids[key], "place": place_of(context), "text": visible_text(context.text)}
            self.views.append(view)
        return self._ids[key]


def place_of(context: Context) -> str:
    """Return where a passage stands, and where else."""
    where = spot(context.document or "passage", context.pages, context.start, context.end)
    others = context.other_documents
    return visible_text(f"{where}; the same in {first_names(others)}" if others else where)


def spot(document: str, pages: int | str | None, start: int | None, end: int | None) -> str:
    """Return a place in a document."""
    chars = f", characters {start:,} to {end:,}" if start is not None and end is not None else ""
    return place(document, pages, chars)


def holds(context: Context, part: Context) -> bool:
    """Return whether `part` was cut from `context`."""
    if context.document != part.document or part.text not in context.text:
        return False
    if context.start is None or context.end is None or part.start is None:
        return True
    return context.start <= part.start <= context.end


def support_text(claim: ClaimScore) -> str:
    """Return how probable it is that a claim is supported, or why there is no verdict."""
    if claim.value is not None:
        return f"{claim.value:.2f}"
    return visible_text(f"no verdict: {claim.reason}" if claim.reason else "no verdict")
