"""Exports of Langfuse: traces, observations and scores, of its API, its pages and its blob storage.

Schema: `Trace`, `TraceWithFullDetails`, `ObservationsView`, `Score` in
`fern/apis/server/definition/commons.yml` of langfuse/langfuse, and
langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields, whose names are written
`trace_id` for `traceId`. A trace may hold its observations and scores, or they come as records of their own;
`observations_v2` have what is known of the trace in each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.traces.conventions import judged, kind_of
from rag_evals.evals.answers.formats.traces.trace import Span, Trace
from rag_evals.evals.answers.formats.values import epoch_seconds, first, objects, text, texts, whole
from rag_evals.evals.base.fields import fits as is_kind
from rag_evals.evals.base.fields import number

NAME = "langfuse"
_TYPES = frozenset(
    [
        "GENERATION",
        "SPAN",
        "EVENT",
        "AGENT",
        "TOOL",
        "CHAIN",
        "RETRIEVER",
        "EVALUATOR",
        "EMBEDDING",
        "GUARDRAIL",
    ]
)
_OF_TRACE = ("traceId", "trace_id")
_SESSION = ("sessionId", "session_id")
_STARTED = ("startTime", "start_time")
_KEPT = ("environment", "release", "version")
# Names of a trace that no question file and no other tool has beside an input.
_TRACE = frozenset(
    [
        "sessionId",
        "session_id",
        "htmlPath",
        "userId",
        "user_id",
        "observations",
        "projectId",
        "project_id",
        "public",
        "bookmarked",
        "release",
        "traceName",
    ]
)


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a trace, an observation or a score."""
    if any(name in record for name in _OF_TRACE):
        return _is_observation(record) or _is_score(record)
    return "id" in record and "timestamp" in record and not _TRACE.isdisjoint(record)


def parts(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the record with the id of its trace."""
    id = text(first(record, *_OF_TRACE)) or (None if _is_score(record) else text(record.get("id")))
    if id:
        yield id, dict(record)


def trace(id: str, found: Sequence[Mapping[str, Any]]) -> Trace:
    """Return the trace of all records of it."""
    traces = [part for part in found if not (_is_observation(part) or _is_score(part))]
    observations = [part for part in found if _is_observation(part)]
    scores = [part for part in found if _is_score(part)]
    for part in traces:
        observations += objects(unpacked(part.get("observations")))
        scores += objects(unpacked(part.get("scores")))
    told = {key: value for part in traces for key, value in part.items() if value is not None}
    thumb, said = judged((one.get("name"), _value(one)) for one in scores)
    around = told or dict(next(iter(observations), {}))  # rows of `observations_v2` tell of their trace
    return Trace(
        id,
        [_span(one) for one in observations],
        _about(told),
        feedback=thumb,
        scores=said,
        tags=texts(unpacked(around.get("tags"))),
        metadata=_metadata(told, around),
    )


def _metadata(told: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, Any]:
    own = unpacked(told.get("metadata"))
    name = first(told, "name") or first(around, "traceName", "trace_name")
    kept = {key: around.get(key) for key in _KEPT}
    return {
        **(own if isinstance(own, Mapping) else {}),
        **kept,
        "name": name,
        "session": first(around, *_SESSION),
    }


def _about(told: Mapping[str, Any]) -> Span:
    start = epoch_seconds(told.get("timestamp"))
    latency: Any = told.get("latency")
    end = start + latency if start is not None and is_kind(number, latency) and 0 < latency < 10**9 else None
    return Span("", start=start, end=end, input=told.get("input"), output=told.get("output"))


def _span(one: Mapping[str, Any]) -> Span:
    usage = unpacked(first(one, "usageDetails", "usage_details", "usage"))
    usage = usage if isinstance(usage, Mapping) else {}
    is_error = one.get("level") == "ERROR"
    return Span(
        id=text(one.get("id")) or "",
        parent=text(first(one, "parentObservationId", "parent_observation_id")),
        name=text(one.get("name")) or "",
        kind=kind_of(one.get("type")) or "step",
        start=epoch_seconds(first(one, *_STARTED)),
        end=epoch_seconds(first(one, "endTime", "end_time")),
        input=one.get("input"),
        output=one.get("output"),
        model=text(first(one, "model", "providedModelName", "provided_model_name")),
        read=whole(first(usage, "input", "input_tokens", "promptTokens")),
        written=whole(first(usage, "output", "output_tokens", "completionTokens")),
        error=(text(first(one, "statusMessage", "status_message")) or "error") if is_error else None,
    )


def _is_observation(record: Mapping[str, Any]) -> bool:
    is_typed = isinstance(told := record.get("type"), str) and told.upper() in _TYPES
    return is_typed or any(record.get(name) for name in _STARTED)


def _is_score(record: Mapping[str, Any]) -> bool:
    return (
        "name" in record
        and not _is_observation(record)
        and any(name in record for name in ("stringValue", "string_value", "dataType", "data_type", "value"))
    )


def _value(score: Mapping[str, Any]) -> Any:
    """Return the value of a score; one of words has a number of its configuration at most."""
    kind = first(score, "dataType", "data_type")
    words = first(score, "stringValue", "string_value")
    value = score.get("value")
    if kind == "BOOLEAN" and isinstance(value, int | float):
        return bool(value)
    return words if value is None or kind == "CATEGORICAL" else value
