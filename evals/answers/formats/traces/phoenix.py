"""Spans of Phoenix: those of its API, of its client's tables, and OpenTelemetry's own JSON of a span.

Shapes: `GET /v1/projects/{project}/spans` (`schemas/openapi.json` of Arize-ai/phoenix: `context.trace_id`,
`span_kind`, `parent_id`, `attributes`), `get_spans_dataframe()` (columns `context.trace_id`,
`attributes.input.value`), and `ReadableSpan.to_json()` of opentelemetry-sdk (ids with `0x`). What the
attributes say is in `conventions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.traces.conventions import (
    SESSION,
    Event,
    annotations_of,
    judged,
    span_of,
)
from rag_evals.evals.answers.formats.traces.trace import Span, Trace
from rag_evals.evals.answers.formats.values import epoch_seconds, first, objects, text, texts
from rag_evals.evals.answers.logged_answer import Feedback

NAME = "phoenix"
_BEFORE = "attributes."


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a span of Phoenix."""
    return first(record, "context.trace_id") is not None and (
        "span_kind" in record or "attributes" in record or any(str(key).startswith(_BEFORE) for key in record)
    )


def parts(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the span with the id of its trace."""
    if id := text(first(record, "context.trace_id")):
        yield id.removeprefix("0x"), dict(record)


def trace(id: str, found: Sequence[Mapping[str, Any]]) -> Trace:
    """Return the trace of some spans."""
    spans = [(part, _attributes(part)) for part in found]
    thumb: Feedback | None = None
    scores: dict[str, Any] = {}
    for part, told in spans:
        for thumb_here, here in (annotations_of(told), _annotations(part)):
            thumb, scores = thumb_here or thumb, {**scores, **here}
    session = next((held for _, told in spans if (held := first(told, *SESSION))), None)
    tags = next((held for _, told in spans if isinstance(held := first(told, "tag.tags"), list)), None)
    return Trace(
        id,
        [_span(part, told) for part, told in spans],
        feedback=thumb,
        scores=scores,
        tags=texts(tags),
        metadata={"session": session},
    )


def _span(part: Mapping[str, Any], told: Mapping[str, Any]) -> Span:
    parent = text(first(part, "parent_id", "parentId"))
    is_error = "ERROR" in (part.get("status_code"), first(part, "status.status_code"))
    return span_of(
        text(first(part, "context.span_id")) or text(part.get("id")) or "",
        parent,
        told,
        name=part.get("name"),
        kind=text(part.get("span_kind")),
        events=_events(part.get("events")),
        times=(epoch_seconds(part.get("start_time")), epoch_seconds(part.get("end_time"))),
        error=(text(first(part, "status_message", "status.description")) or "error") if is_error else None,
    )


def _attributes(part: Mapping[str, Any]) -> dict[str, Any]:
    told = unpacked(part.get("attributes"))
    columns = {key.removeprefix(_BEFORE): value for key, value in part.items() if key.startswith(_BEFORE)}
    return {**(told if isinstance(told, Mapping) else {}), **columns}


def _annotations(part: Mapping[str, Any]) -> tuple[Feedback | None, dict[str, Any]]:
    members = objects(first(part, "annotations", "span_annotations"))
    return judged((one.get("name"), first(one, "result.score", "score", "result.label")) for one in members)


def _events(told: object) -> list[Event]:
    return [
        Event(str(one.get("name")), held if isinstance(held := one.get("attributes"), Mapping) else {})
        for one in objects(unpacked(told))
    ]
