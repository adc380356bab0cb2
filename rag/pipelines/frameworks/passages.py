"""What frameworks say of a passage in its metadata, each under names of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rag_evals.rag.answer import Context, Span

_DOCUMENT = ("document", "source", "file_path", "file_name", "filename", "path", "title")
_SCORE = ("relevance_score", "score")
_START = ("start_index", "split_idx_start", "start")


def passage(text: str, metadata: Mapping[str, Any], *, score: Any = None, pages_from: int = 1) -> Context:
    """Return a passage with what its metadata say of its place.

    Args:
        text: The passage.
        metadata: What is known of it.
        score: Its score, where that stands elsewhere.
        pages_from: The number that the key `page` has for the first page of a document.
    """
    start = _whole(_first(metadata, _START))
    return Context(
        text,
        str(_first(metadata, _DOCUMENT) or ""),
        page=_page(metadata, pages_from),
        start=start,
        end=None if start is None else start + len(text),
        score=_number(_first(metadata, _SCORE) if score is None else score),
    )


def once(passages: Iterable[Context]) -> tuple[Context, ...]:
    """Return passages in their order, those with the same text and document once."""
    seen: dict[tuple[str, str], Context] = {}
    for one in passages:
        seen.setdefault((one.text, one.document), one)
    return tuple(seen.values())


def spans(passages: Sequence[Context]) -> tuple[Span, ...]:
    """Return where passages stand."""
    return tuple(one.places[0] for one in passages)


def _page(metadata: Mapping[str, Any], pages_from: int) -> int | None:
    # A label is what is printed on the page, or the number that a reader of the file counts from 1.
    for key in ("page_label", "page_number"):
        if (page := _whole(metadata.get(key))) is not None:
            return page
    page = _whole(metadata.get("page"))
    return None if page is None else page + 1 - pages_from


def _first(metadata: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((metadata[key] for key in keys if metadata.get(key) is not None), None)


def _whole(value: Any) -> int | None:
    return int(value) if str(value).isascii() and str(value).isdecimal() else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
