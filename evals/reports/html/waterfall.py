"""The waterfall of an evaluation: its spans as the rows of a table, each with a bar where its time lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rag_evals.evals.reports.text import visible_text
from rag_evals.evals.runs.trace_lines import EvaluationKey, read_traces
from rag_evals.rag.tracing.spans import TraceSpan

# So many rows are shown: a long answer has hundreds of claims, and a report hundreds of answers.
MOST_ROWS = 80
# Deeper steps are indented no further.
DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as a row.

    Attributes:
        name: What was done.
        kind: What sort of step it is.
        depth: How many steps are around it; the root has 0.
        offset: Where it begins, in per cent of the root's time; at most 99.
        width: How long it takes, in the same; it ends within the root.
        seconds: How long it takes.
        error: What was raised in it, or why there is no result; empty where all was well.
    """

    name: str
    kind: str
    depth: int
    offset: int
    width: int
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The spans of an evaluation, in the order in which they began, each behind the one around it.

    Attributes:
        bars: The rows.
        more: How many spans have no row, for there are too many.
    """

    bars: tuple[Bar, ...]
    more: int = 0


Waterfalls = Mapping[EvaluationKey, Waterfall]


def waterfalls_of(folder: Path) -> Waterfalls:
    """Return the waterfalls of the run in `folder`; empty where it has no traces.

    An evaluation for which nothing was done has none.
    """
    return {key: waterfall_of(spans) for key, spans in read_traces(folder) if len(spans) > 1}


def waterfall_of(spans: Sequence[TraceSpan]) -> Waterfall:
    """Lay out `spans`, whose first is the root."""
    root, known = spans[0], {span.span_id for span in spans}
    inside: dict[str, list[TraceSpan]] = {}
    for span in spans[1:]:
        # A step whose own surroundings are not there, as in a file that was cut, lies in the root.
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else None
        inside.setdefault(parent or root.span_id, []).append(span)
    total = max(1, root.end_ns - root.start_ns)
    rows = [_bar(span, depth, root.start_ns, total) for span, depth in _in_order(root, inside)]
    return Waterfall(tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))


def _in_order(root: TraceSpan, inside: Mapping[str, Sequence[TraceSpan]]) -> Iterator[tuple[TraceSpan, int]]:
    # Without recursion: a file may say anything, also that steps are a thousand deep or around each other.
    waiting, seen = [(root, 0)], {root.span_id}
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        children = [one for one in inside.get(span.span_id, ()) if one.span_id not in seen]
        seen.update(one.span_id for one in children)
        ordered = sorted(children, key=lambda one: one.start_ns, reverse=True)
        waiting += [(one, depth + 1) for one in ordered]


def _bar(span: TraceSpan, depth: int, start: int, total: int) -> Bar:
    begin, end = (min(1.0, max(0.0, (at - start) / total)) for at in (span.start_ns, span.end_ns))
    offset = min(99, round(100 * begin))
    return Bar(
        span.name,
        span.kind,
        min(depth, DEEPEST),
        offset,
        min(100 - offset, max(0, round(100 * (end - begin)))),
        max(0, span.end_ns - span.start_ns) / 1e9,
        span.error or "",
    )


# --- in a page ---


def rows_html(waterfall: Waterfall) -> str:
    """Return the rows of the table, with no element or look-up more than needed: a report has 100,000."""
    return "".join(map(_row_html, waterfall.bars))


def _row_html(bar: Bar) -> str:
    # The policy of the page heeds no style of an element: where a bar lies is in the names of its classes.
    error, wrong = "", ""
    if bar.error:
        error, wrong = f'<span class="error" dir="auto">{escape(visible_text(bar.error))}</span>', " wrong"
    kind = "" if bar.kind == "CHAIN" else f" · {bar.kind.lower()}"
    return (
        f'<tr><th scope="row" class="in{bar.depth}">{escape(visible_text(bar.name + kind))}{error}</th>'
        f'<td>{bar.seconds:.3f}</td><td class="o{bar.offset} w{bar.width}{wrong}"></td></tr>\n'
    )


def bar_rules() -> str:
    """Return the style of bars by the names of their classes."""
    offsets = (f".o{n}::before{{margin-left:{n}%}}" for n in range(1, 100))
    widths = (f".w{n}::before{{width:{n}%}}" for n in range(101))
    return "".join((*offsets, *widths))
