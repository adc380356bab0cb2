"""Runs of LangSmith: of its API, of its client, of a bulk export, flat or nested in `child_runs`.

Schema: `RunBase` and `Run` (`python/langsmith/schemas.py` of langsmith-sdk): `run_type`, `inputs`, `outputs`,
`parent_run_id`, `trace_id`, `extra.metadata`, `feedback_stats`. In a bulk export objects are JSON in texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.answers.formats.traces.conventions import judged, kind_of
from rag_evals.evals.answers.formats.traces.trace import Span, Trace
from rag_evals.evals.answers.formats.values import epoch_seconds, first, objects, text, texts, whole

NAME = "langsmith"
_METADATA = ("extra.metadata", "metadata")
_MODEL = (
    *("extra.metadata.ls_model_name", "metadata.ls_model_name", "extra.invocation_params.model"),
    *("extra.invocation_params.model_name", "outputs.llm_output.model_name"),
)
_USAGE = ("outputs.usage_metadata", "extra.metadata.usage_metadata", "outputs.llm_output.token_usage")


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a run."""
    return "run_type" in record and ("inputs" in record or "outputs" in record)


def parts(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the run with the id of its trace, which is that of its first run."""
    ordered = text(record.get("dotted_order"))
    is_first = not record.get("parent_run_id")
    id = text(record.get("trace_id")) or (text(record.get("id")) if is_first else None)
    if id is None and ordered:  # `20240101T000000000000Z<id of the first run>.<...>`
        id = ordered.partition(".")[0].partition("Z")[2] or None
    if id:
        yield id, dict(record)


def trace(id: str, found: Sequence[Mapping[str, Any]]) -> Trace:
    """Return the trace of some runs."""
    runs = [run for part in found for run in _with_children(part, None)]
    top = next((run for run in runs if not run.get("parent_run_id")), runs[0] if runs else {})
    thumb, scores = judged(pair for run in runs for pair in _feedback(run))
    metadata = first(top, *_METADATA)
    own = {
        key: value
        for key, value in (metadata.items() if isinstance(metadata, Mapping) else ())
        if not str(key).startswith(("ls_", "langgraph_", "__", "LANGSMITH_", "revision_id"))
    }
    return Trace(
        id,
        [_span(run) for run in runs],
        feedback=thumb,
        scores=scores,
        tags=texts(top.get("tags")),
        metadata=own,
    )


def _with_children(run: Mapping[str, Any], parent: str | None) -> Iterator[dict[str, Any]]:
    """Yield a run and those nested in it, with what is JSON in texts as the values that they are."""
    names = ("inputs", "outputs", "extra", "feedback_stats", "metadata", "tags", "child_runs")
    told = {key: unpacked(value) if key in names else value for key, value in run.items()}
    if parent and not told.get("parent_run_id"):
        told["parent_run_id"] = parent
    yield told
    for child in objects(told.get("child_runs")):
        yield from _with_children(child, text(told.get("id")))


def _span(run: Mapping[str, Any]) -> Span:
    usage = first(run, *_USAGE)
    usage = usage if isinstance(usage, Mapping) else {}
    return Span(
        id=text(run.get("id")) or "",
        parent=text(run.get("parent_run_id")),
        name=text(run.get("name")) or "",
        kind=kind_of(run.get("run_type")) or "step",
        start=epoch_seconds(run.get("start_time")),
        end=epoch_seconds(run.get("end_time")),
        input=run.get("inputs"),
        output=run.get("outputs"),
        model=text(first(run, *_MODEL)),
        read=whole(first(run, "prompt_tokens") or first(usage, "input_tokens", "prompt_tokens")),
        written=whole(first(run, "completion_tokens") or first(usage, "output_tokens", "completion_tokens")),
        error=text(run.get("error")),
    )


def _feedback(run: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the names and values of feedback: `{key: {n, avg}}`, or a list of `{key, score, value}`."""
    stats = run.get("feedback_stats")
    for key, told in stats.items() if isinstance(stats, Mapping) else ():
        yield key, first(told, "avg", "mode") if isinstance(told, Mapping) else told
    for one in objects(run.get("feedback")):
        yield one.get("key"), first(one, "score", "value")
