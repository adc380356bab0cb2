"""OpenTelemetry's OTLP in JSON, as collectors write it to files: spans, and the log lines of their events.

Shape: `opentelemetry/proto/trace/v1/trace.proto` and `logs/v1/logs.proto` of
open-telemetry/opentelemetry-proto in the JSON mapping that the OTLP specification has (ids in hexadecimal,
numbers of 64 bits as texts). What the attributes say is in `conventions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.traces.conventions import (
    SESSION,
    Event,
    annotations_of,
    evaluations_of,
    span_of,
)
from rag_evals.evals.answers.formats.traces.trace import Span, Trace
from rag_evals.evals.answers.formats.values import epoch_seconds, first, objects, text

NAME = "otel"
_RESOURCES = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "scopeLogs", "scope_logs")
_MEMBERS = ("spans", "logRecords", "log_records")
_NO_PARENTS = ("", "0000000000000000", "AAAAAAAAAAA=")


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is one of OTLP."""
    return any(name in record for name in _RESOURCES) or ("traceId" in record and "spanId" in record)


def parts(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the spans and log lines of a record, each with the id of its trace."""
    if not any(name in record for name in _RESOURCES):
        members: Iterator[tuple[Mapping[str, Any], dict[str, Any]]] = iter([(dict(record), {})])
    else:
        members = _members(record)
    for member, resource in members:
        if id := text(first(member, "traceId", "trace_id")):
            yield id, {**member, "service": resource.get("service.name")}


def trace(id: str, found: Sequence[Mapping[str, Any]]) -> Trace:
    """Return the trace of some spans and log lines."""
    events: dict[str, list[Event]] = {}
    for part in found:
        of_span = events.setdefault(_id(part), [])
        of_span += [_event(part)] if not _is_span(part) else map(_event, objects(part.get("events")))
    spans = [part for part in found if _is_span(part)]
    attributes = [attributes_of(part.get("attributes")) for part in spans]
    thumb, scores = evaluations_of(event for members in events.values() for event in members)
    for told in attributes:
        thumb_here, here = annotations_of(told)
        thumb, scores = thumb_here or thumb, {**scores, **here}
    session = next((held for told in attributes if (held := first(told, *SESSION))), None)
    service = next((part["service"] for part in spans if part.get("service")), None)
    made = [_span(part, told, events[_id(part)]) for part, told in zip(spans, attributes, strict=True)]
    return Trace(id, made, feedback=thumb, scores=scores, metadata={"session": session, "service": service})


def _span(part: Mapping[str, Any], told: Mapping[str, Any], events: Sequence[Event]) -> Span:
    return span_of(
        _id(part),
        _parent(part),
        told,
        name=part.get("name"),
        events=events,
        times=(_time(part, "start"), _time(part, "end")),
        error=_error(part),
    )


def attributes_of(told: object) -> dict[str, Any]:
    """Return attributes by name: OTLP has a list of keys and typed values, other exports an object."""
    if isinstance(told, Mapping):
        return dict(told)
    return {
        one["key"]: _plain(one.get("value"))
        for one in objects(told)
        if isinstance(one.get("key"), str) and one["key"]
    }


def _members(record: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    for resource in (one for name in _RESOURCES for one in objects(record.get(name))):
        about = resource.get("resource")
        told = attributes_of(about.get("attributes")) if isinstance(about, Mapping) else {}
        for scope in (one for name in _SCOPES for one in objects(resource.get(name))):
            yield from ((one, told) for name in _MEMBERS for one in objects(scope.get(name)))


def _plain(value: object) -> Any:
    """Return a typed value (`AnyValue`) as JSON has it."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    kind, held = next(iter(value.items()))
    if kind in ("arrayValue", "array_value"):
        return [_plain(one) for one in objects(held.get("values"))] if isinstance(held, Mapping) else []
    if kind in ("kvlistValue", "kvlist_value"):
        return attributes_of(held.get("values")) if isinstance(held, Mapping) else {}
    return held


def _event(told: Mapping[str, Any]) -> Event:
    attributes = attributes_of(told.get("attributes"))
    name = first(told, "eventName", "event_name", "name") or attributes.get("event.name")
    return Event(name if isinstance(name, str) else "", attributes, _plain(told.get("body")))


def _is_span(part: Mapping[str, Any]) -> bool:
    return any(name in part for name in ("startTimeUnixNano", "start_time_unix_nano", "parentSpanId", "kind"))


def _id(part: Mapping[str, Any]) -> str:
    return text(first(part, "spanId", "span_id")) or ""


def _parent(part: Mapping[str, Any]) -> str | None:
    parent = first(part, "parentSpanId", "parent_span_id")
    return parent if isinstance(parent, str) and parent not in _NO_PARENTS else None


def _time(part: Mapping[str, Any], which: str) -> float | None:
    return epoch_seconds(first(part, f"{which}TimeUnixNano", f"{which}_time_unix_nano"))


def _error(part: Mapping[str, Any]) -> str | None:
    status = part.get("status")
    if not isinstance(status, Mapping) or status.get("code") not in (2, "2", "STATUS_CODE_ERROR", "ERROR"):
        return None
    return text(status.get("message")) or "error"
