"""The gate on the terminal: one line a condition, then how many were decided and how."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.condition import CONVERSATIONS, LATENCY, TOKENS, Condition
from rag_evals.evals.gate.run_gate import ConditionResult
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.reports.text import Line, aligned, cut, display_width, widths_of, wrapped

HEADER = ("verdict", "condition", "value", "95 %", "questions")
INDENT = "    "
# A condition is never cut to less than this.
LEAST_NAME = 12
# More digits than this tell nobody on which side of the bound a value is.
MOST_DIGITS = 6
# More questions than this are not going to be asked: how many exactly says nothing.
MOST_NEEDED = 100_000


def gate_lines(held: Sequence[ConditionResult], *, width: int | None = None) -> list[Line]:
    """Return the lines: a header, one line a condition, and the count of verdicts; nothing for no condition.

    Names are cut to fit the `width` columns of the terminal, and what does not fit behind a line stands under
    it; None for no bound.
    """
    if not held:
        return []
    rows = [HEADER, *(_row(one) for one in held)]
    widths = widths_of(rows)
    over = sum(widths) + 2 * (len(widths) - 1) - (width or math.inf)
    if over > 0:
        longest = max(LEAST_NAME, widths[1] - int(over))
        rows = [(row[0], _cut(row[1], longest), *row[2:]) for row in rows]
    header, *texts = aligned(rows, left=2)
    lines = [
        Line(header),
        *(line for text, one in zip(texts, held, strict=True) for line in _lines(text, one, width)),
        Line(_total(held)),
    ]
    return lines if width is None else [replace(line, text=_cut(line.text, width)) for line in lines]


def remark(held: ConditionResult) -> str:
    """Return what else is to be known of a condition: how many questions would decide it, and its notes."""
    parts = []
    if held.needed:
        noun = "conversation" if held.condition.measure == CONVERSATIONS else "question"
        few = noun if held.needed == 1 else f"{noun}s"
        is_few = held.needed <= MOST_NEEDED
        count = f"about {_rounded_up(held.needed):,}" if is_few else f"over {MOST_NEEDED:,}"
        parts.append(f"{count} more {few} would tell")
    return printable("; ".join((*parts, *held.notes)))


def _row(held: ConditionResult) -> tuple[str, ...]:
    return (held.verdict.value, printable(held.text), *value_texts(held), f"{held.count:,}")


def _lines(text: str, held: ConditionResult, width: int | None) -> list[Line]:
    """Return the line of a row with what is said of it behind it, or under it where that is too wide."""
    said = remark(held)
    if not said or width is None or display_width(text) + 2 + display_width(said) <= width:
        return [Line(f"{text}  {said}".rstrip(), held.verdict)]
    return [Line(text, held.verdict), *map(Line, wrapped(said, width, first=INDENT, rest=INDENT))]


def _total(held: Sequence[ConditionResult]) -> str:
    """Return the line with the worst verdict and how many conditions have which."""
    counts = Counter(one.verdict for one in held)
    many = "1 condition" if len(held) == 1 else f"{len(held):,} conditions"
    if len(counts) == 1:
        return f"{many}: {'' if len(held) == 1 else 'all '}{held[0].verdict}"
    return f"{many}: {', '.join(f'{counts[v]:,} {v}' for v in reversed(Verdict) if counts[v])}"


def value_texts(held: ConditionResult) -> tuple[str, str]:
    """Return value and interval with enough digits that none of them reads as the bound without being it.

    The interval is `counted` where the value is no estimate; both are `-` without a value.
    """
    interval, condition = held.interval, held.condition
    if interval is None:
        return "-", "-"
    unit = " s" if condition.measure == LATENCY else ""
    digits = _digits(condition, interval.value)
    value = f"{interval.value:,.{digits}f}{unit}"
    if condition.is_counted:
        return value, "counted"
    digits = max(_digits(condition, end) for end in (interval.low, interval.high))
    low = f"{interval.low:,.{digits}f}"
    if math.isinf(interval.high):
        return value, f"from {low}{unit}"
    return value, f"{low} to {interval.high:,.{digits}f}{unit}"


def _digits(condition: Condition, number: float) -> int:
    least = {TOKENS: 0, LATENCY: 1}.get(condition.measure, 2)
    for digits in range(least, MOST_DIGITS):
        if number == condition.bound or f"{number:.{digits}f}" != f"{condition.bound:.{digits}f}":
            return digits
    return MOST_DIGITS


def _rounded_up(number: int) -> int:
    """Return two leading digits: the number is an estimate."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def _cut(text: str, width: int) -> str:
    """Cut a text; of a condition with a scope the scope first, so that what is held stays to be read."""
    scope, closing, rest = text.partition("] ")
    room = width - display_width(closing + rest)
    if display_width(text) > width and text.startswith("[") and closing and room >= 3:
        return f"{cut(scope, room)}{closing}{rest}"
    return cut(text, width)
