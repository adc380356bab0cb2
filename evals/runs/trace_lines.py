"""Traces: the spans of each evaluation, from the engine to `traces.jsonl` in the run folder and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.files import whole_lines
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.lines.fields import SPAN
from rag_evals.evals.runs.masking import masked, masked_text
from rag_evals.evals.runs.score import fields_of, without
from rag_evals.rag.identity import canonical
from rag_evals.rag.tracing.attributes import bounded_text, plain_attributes
from rag_evals.rag.tracing.conventions import KIND, OUTPUT
from rag_evals.rag.tracing.spans import TraceSpan

FILE = "traces.jsonl"
# Name of the span around all others: one an evaluation.
ROOT = "evaluation"
# Pipeline, question, repeat, and whether it is of retrieval alone: what tells the evaluations of a run apart.
EvaluationKey = tuple[str, str, int, bool]


def spans_of(evaluation: Evaluation) -> tuple[TraceSpan, ...]:
    """Return the spans of `evaluation`, the root with what came of it; nothing where there are no traces."""
    if not evaluation.spans:
        return ()
    root, *others = evaluation.spans
    attributes = {**root.attributes, **plain_attributes(_outcome(evaluation))}
    return (replace(root, attributes=attributes, error=root.error or _error(evaluation)), *others)


def _outcome(evaluation: Evaluation) -> dict[str, Any]:
    scores = {f"evals.score.{score.metric}": score.value for score in evaluation.scores}
    return {
        OUTPUT: evaluation.answer.text if evaluation.answer else None,
        "evals.test": evaluation.test,
        "evals.outcome": evaluation.outcome,
        # What was made before has no spans: nothing was done for it.
        "evals.cached": evaluation.cached,
        **scores,
    }


def _error(evaluation: Evaluation) -> str | None:
    error = evaluation.error or "; ".join(evaluation.unscored)
    return bounded_text(error) if error else None


def trace_lines(spans: Sequence[TraceSpan]) -> str:
    """Return `spans` as JSON Lines, without the last line end.

    Half of a surrogate pair becomes JSON's own escape for it.
    """
    lines = (canonical(span_to_json(span)) for span in spans)
    return "\n".join(lines).encode(errors="backslashreplace").decode()


def span_to_json(span: TraceSpan) -> dict[str, Any]:
    """Return `span` as it stands in the file."""
    return {
        **without(fields_of(span), "kind"),
        "type": "span",
        "name": masked_text(span.name),
        "attributes": masked({KIND: span.kind, **span.attributes}),
        "error": None if span.error is None else masked_text(span.error),
    }


def span_from_json(line: Mapping[str, Any]) -> TraceSpan:
    """Read back what `span_to_json` wrote; keys it does not know are passed over.

    Raises:
        ValueError: A field that every span has is missing, or is what it cannot be.
    """
    SPAN(line)
    attributes = dict(line["attributes"])
    return TraceSpan(
        line["trace_id"],
        line["span_id"],
        line["parent_id"],
        line["name"],
        str(attributes.pop(KIND, "CHAIN")),
        line["start_ns"],
        line["end_ns"],
        attributes,
        line["error"],
    )


def load_traces(folder: Path) -> Mapping[EvaluationKey, tuple[TraceSpan, ...]]:
    """Read the traces of the run in `folder` by the key of their evaluation, the root first.

    Of an evaluation that is there more than once the last counts, as among the records.
    """
    return dict(read_traces(folder))


def read_traces(folder: Path) -> Iterator[tuple[EvaluationKey, tuple[TraceSpan, ...]]]:
    """Yield the traces of the run in `folder` in their order, without holding more than one.

    Nothing where the run has none. Lines that are damaged, or cut off as a killed run leaves its last one,
    are passed over: traces are to look at, and the records say what was decided.
    """
    file = folder / FILE
    if not file.is_file():
        return
    together: list[TraceSpan] = []
    for span in spans_in(whole_lines(file)):
        if together and span.trace_id != together[0].trace_id:
            yield from _keyed(together)
            together = []
        together.append(span)
    yield from _keyed(together)


def spans_in(lines: Iterable[bytes]) -> Iterator[TraceSpan]:
    """Yield the spans of lines of `traces.jsonl`; lines that are damaged are passed over."""
    for line in lines:
        with suppress(ValueError):
            yield span_from_json(parse_json(line))


def _keyed(spans: Sequence[TraceSpan]) -> Iterator[tuple[EvaluationKey, tuple[TraceSpan, ...]]]:
    """Yield `spans` with the key that their root tells; nothing without a root."""
    root = next((span for span in spans if span.parent_id is None), None)
    about = root.attributes if root else {}
    repeat = about.get("evals.repeat")
    if root is None or "evals.question_id" not in about or not isinstance(repeat, int):
        return
    is_retrieval = about.get("evals.retrieval") is True
    key = str(about.get("evals.pipeline")), str(about["evals.question_id"]), repeat, is_retrieval
    yield key, (root, *(span for span in spans if span is not root))
