"""Traces of MLflow: `Trace.to_json()`, a row of `search_traces()`, or spans alone.

Schema: `Trace`, `TraceInfo`, `Span.to_dict` (`mlflow/entities/`) and `SpanAttributeKey`
(`mlflow/tracing/constant.py`) of MLflow 2.14 to 3: `info.request_id` became `info.trace_id`,
`context.span_id` became `span_id`, `timestamp_ms` became `request_time`. Attributes are JSON in texts. What
people said is among the `assessments` of the info; an expectation `expected_response` is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.traces.conventions import judged, span_of
from rag_evals.evals.answers.formats.traces.trace import Span, Trace
from rag_evals.evals.answers.formats.values import epoch_seconds, first, objects, text

NAME = "mlflow"
_NAME = ("assessment_name", "name")
_EXPECTED = ("expected_response", "expected_output", "ground_truth")


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a trace or a span of MLflow."""
    if isinstance(record.get("info"), Mapping) and isinstance(record.get("data"), Mapping):
        return True
    is_row = "spans" in record and ("trace_id" in record or "request_id" in record)
    attributes = record.get("attributes")
    is_span = isinstance(attributes, Mapping) and any(str(key).startswith("mlflow.") for key in attributes)
    return is_row or is_span


def parts(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the trace, or the span, with the id of its trace."""
    info = _object(record.get("info"))
    id = first(info, "trace_id", "request_id") or first(record, "trace_id", "request_id", "context.trace_id")
    id = id or next((first(span, "trace_id", "context.trace_id") for span in _spans(record)), None)
    if name := text(id):
        yield name, dict(record)


def trace(id: str, found: Sequence[Mapping[str, Any]]) -> Trace:
    """Return the trace of what was found of it."""
    info = {key: value for part in found for key, value in {**part, **_object(part.get("info"))}.items()}
    data = [_object(part.get("data")) or part for part in found]
    thumb, scores, reference = _assessed(unpacked(info.get("assessments")))
    metadata = {**_object(info.get("tags")), **_object(info.get("trace_metadata"))}
    session = metadata.get("mlflow.trace.session")
    about = Span(
        "",
        start=epoch_seconds(first(info, "request_time", "timestamp_ms")),
        input=next((held for part in data if (held := part.get("request"))), None),
        output=next((held for part in data if (held := part.get("response"))), None),
    )
    own = {key: value for key, value in metadata.items() if not key.startswith("mlflow.")}
    return Trace(
        id,
        [_span(span) for part in found for span in _spans(part)],
        about,
        reference=reference,
        feedback=thumb,
        scores=scores,
        metadata={**own, "session": session},
    )


def _spans(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = first(record, "data.spans", "spans")
    if told is None:
        return [record] if "attributes" in record else []
    told = unpacked(told)
    return [span for one in (told if isinstance(told, list) else []) if (span := _object(one))]


def _span(span: Mapping[str, Any]) -> Span:
    attributes = _object(span.get("attributes"))
    for name, key in (("mlflow.spanInputs", "inputs"), ("mlflow.spanOutputs", "outputs")):
        if span.get(key) is not None:
            attributes.setdefault(name, span[key])
    start = first(span, "start_time_unix_nano", "start_time", "start_time_ns")
    end = first(span, "end_time_unix_nano", "end_time", "end_time_ns")
    code = first(span, "status.code", "status_code", "status")
    is_error = code in ("STATUS_CODE_ERROR", "ERROR")
    return span_of(
        text(first(span, "span_id", "context.span_id")) or "",
        text(first(span, "parent_span_id", "parent_id")),
        attributes,
        name=span.get("name"),
        kind=text(span.get("span_type")),
        times=(epoch_seconds(start), epoch_seconds(end)),
        error=(text(first(span, "status.message", "status_message")) or "error") if is_error else None,
    )


def _assessed(told: object) -> tuple[Any, dict[str, Any], str | None]:
    """Return the thumb, the scores and the right answer that assessments tell."""
    members = objects(told)
    thumb, scores = judged((first(one, *_NAME), first(one, "feedback.value")) for one in members)
    right = (
        said
        for one in members
        if first(one, *_NAME) in _EXPECTED and (said := text(first(one, "expectation.value")))
    )
    return thumb, scores, next(right, None)


def _object(value: Any) -> dict[str, Any]:
    value = unpacked(value)
    if isinstance(value, list):  # tags of the API: [{"key": ..., "value": ...}]
        return {one["key"]: one.get("value") for one in objects(value) if isinstance(one.get("key"), str)}
    return dict(value) if isinstance(value, Mapping) else {}
