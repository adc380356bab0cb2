"""A comparison on the terminal: as tall as needed, no wider than the terminal, readable without colour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from rag_evals.evals.gate.comparison.baseline_gate import BaselineGate
from rag_evals.evals.gate.comparison.compare import Comparison, Flip
from rag_evals.evals.gate.comparison.config_changes import Change
from rag_evals.evals.reports.comparison_text import (
    COSTS,
    HEADER,
    claim_text,
    cost_cells,
    detectable_text,
    failing_claim,
    ids_of,
    retrieval_text,
    row_cells,
    scores_text,
    verdict_text,
)
from rag_evals.evals.reports.text import UNBOUNDED, Line, cut, one_line, table, table_rows, wrapped
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.score import fields_of

T = TypeVar("T")
# Of what is listed without an answer, the first so many; all of it is in the JSON.
LISTED = 20
LONGEST_ANSWER = 400


def baseline_lines(gate: BaselineGate, *, width: int | None = None) -> list[Line]:
    """Return the lines on a run that was held to a baseline: notes, table, power and verdict.

    They have at most `width` columns; None for no bound.
    """
    columns = width or UNBOUNDED
    power = detectable_text(gate)
    return [
        *map(Line, _paragraph(f"compared with {gate.name}:", columns)),
        *map(Line, note_lines(gate.notes, columns)),
        *_rows(gate, columns),
        *map(Line, _paragraph(power, columns) if power else ()),
    ]


def comparison_lines(comparison: Comparison, *, width: int = 100) -> list[str]:
    """Return the whole comparison, in lines of at most `width` columns, 20 at least."""
    columns = max(20, width)
    gate = comparison.gate
    power = detectable_text(gate)
    failing = [flip for flip in comparison.flips if not flip.is_fixed]
    fixed = [flip for flip in comparison.flips if flip.is_fixed]
    blocks = [
        [
            *_paragraph(verdict_text(gate, comparison.run, comparison.base), columns),
            *note_lines(comparison.notes, columns),
        ],
        [*(line.text for line in _rows(gate, columns)), *(_paragraph(power, columns) if power else [])],
        _flips("newly failing", failing, columns),
        _flips("fixed", fixed, columns),
        _list("only in the run", ids_of(comparison.added), columns),
        _list("only in the baseline", ids_of(comparison.removed), columns),
        _changes(comparison.changes, columns),
        _retrieval(comparison, columns),
        _costs(comparison, columns),
    ]
    shown = [block for block in blocks if block]
    return [line for n, block in enumerate(shown) for line in ([""] if n else []) + block]


def _paragraph(text: str, columns: int, indent: str = "") -> list[str]:
    return wrapped(one_line(text), columns, first=indent, rest=f"{indent}  ")


def note_lines(notes: Iterable[str], columns: int = UNBOUNDED) -> list[str]:
    """Return notes as a list."""
    return [line for note in notes for line in wrapped(one_line(note), columns, first="- ", rest="  ")]


def _rows(gate: BaselineGate, columns: int) -> list[Line]:
    if not gate.rows:
        return []
    rows = [HEADER, *(tuple(map(one_line, row_cells(row))) for row in gate.rows)]
    header, *others = table_rows(rows, columns, left=3)
    lines = [*map(Line, header)]
    for row, (first, *rest) in zip(gate.rows, others, strict=True):
        lines += [Line(first, row.verdict), *map(Line, rest)]
    return lines


def _flips(title: str, flips: Sequence[Flip], columns: int) -> list[str]:
    if not flips:
        return [f"{title}: none"]
    blocks = [line for flip in flips for line in _flip(flip, columns)]
    return [f"{title}: {len(flips):,}", *blocks]


def _flip(flip: Flip, columns: int) -> Iterator[str]:
    yield from _paragraph(f"{flip.question.id} [{flip.pipeline}]: {flip.question.question}", columns, "  ")
    for name, evaluation in (("before", flip.before), ("now", flip.after)):
        yield from _paragraph(f"{name}: {scores_text(evaluation)}", columns, "    ")
        yield from _paragraph(_answer(evaluation), columns, "      ")
    failing = flip.before if flip.is_fixed else flip.after
    for breach in failing.breaches:
        yield from _paragraph(f"breach: {breach}", columns, "    ")
    claim = failing_claim(failing)
    if claim is not None:
        yield from _paragraph(f"claim: {claim_text(claim)}", columns, "    ")
    if flip.stage is not None:
        yield from _paragraph(f"stage: {flip.stage}", columns, "    ")
    yield from _paragraph(f"contexts: {retrieval_text(flip.retrieval)}", columns, "    ")


def _answer(evaluation: Evaluation) -> str:
    if evaluation.answer is None:
        return f"no answer: {evaluation.error}"
    return f'"{cut(one_line(evaluation.answer.text), LONGEST_ANSWER)}"'


def _list(title: str, names: Sequence[str], columns: int) -> list[str]:
    if not names:
        return []
    return [*_paragraph(f"{title}: {len(names):,}", columns), *_first(names, lambda name: [name], columns)]


def _changes(changes: Sequence[Change], columns: int) -> list[str]:
    if not changes:
        return ["what changed: nothing that the runs tell of"]
    lines = ["what changed:"]
    for kind in dict.fromkeys(change.what for change in changes):
        lines.append(f"  {kind}")
        group = [change for change in changes if change.what == kind]
        lines += _first(group, lambda change: [change_text(change)], columns, "    ")
    return lines


def change_text(change: Change) -> str:
    """Return a change in one line."""
    if not change.before:
        return f"{change.path}: new, {change.after}"
    if not change.after:
        return f"{change.path}: gone, was {change.before}"
    return f"{change.path}: {change.before} -> {change.after}"


def _retrieval(comparison: Comparison, columns: int) -> list[str]:
    changed = comparison.retrieval
    if not changed:
        return []
    count = len({(before.pipeline, before.question.id) for before, _ in comparison.pairs})
    lines = _paragraph(f"contexts changed: {len(changed):,} of {count:,} questions", columns)
    return lines + _first(changed, lambda it: [f"{it[0]} {it[1]}: {retrieval_text(it[2])}"], columns)


def _first(
    items: Sequence[T], said: Callable[[T], Iterable[str]], columns: int, indent: str = "  "
) -> list[str]:
    """Return the lines on the first of `items`, and how many more there are."""
    lines = [
        line for item in items[:LISTED] for text in said(item) for line in _paragraph(text, columns, indent)
    ]
    more = len(items) - LISTED
    return [*lines, *([f"{indent}and {more:,} more"] if more > 0 else [])]


def _costs(comparison: Comparison, columns: int) -> list[str]:
    rows = [tuple(map(one_line, cost_cells(cost))) for cost in comparison.costs]
    return table([COSTS, *rows], columns, left=2) if rows else []


SCHEMA = 1


def comparison_json(comparison: Comparison) -> str:
    """Return `comparison` as JSON; the same comparison gives the same text.

    Evaluations are as in records.
    """
    gate = comparison.gate
    whole = {
        "type": "comparison",
        "schema": SCHEMA,
        "run": comparison.run,
        "base": comparison.base,
        "verdict": gate.verdict,
        "margin": gate.margin,
        "detectable": gate.detectable,
        "notes": comparison.notes,
        "rows": gate.rows,
        "flips": [_flip_to_json(flip) for flip in comparison.flips],
        "added": comparison.added,
        "removed": comparison.removed,
        "changes": comparison.changes,
        "retrieval": [
            {"pipeline": pipeline, "question_id": question, **fields_of(change)}
            for pipeline, question, change in comparison.retrieval
        ],
        "costs": comparison.costs,
        "pairs": [{"before": before, "after": after} for before, after in comparison.pairs],
    }
    # A line for each part: one line alone would be too long for most editors.
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_text(part)}" for name, part in whole.items()) + "\n}\n"


def _flip_to_json(flip: Flip) -> dict[str, Any]:
    return {
        "pipeline": flip.pipeline,
        "question_id": flip.question.id,
        "is_fixed": flip.is_fixed,
        "stage": flip.stage,
        "breaches": (flip.before if flip.is_fixed else flip.after).breaches,
        "retrieval": flip.retrieval,
        "before": flip.before,
        "after": flip.after,
    }


def _text(value: Any) -> str:
    # ASCII alone: half of a surrogate pair, as in the name of a file, has no other form.
    return json.dumps(value, default=_form, allow_nan=False)


def _form(value: Any) -> dict[str, Any]:
    """Return the object of an evaluation or of another dataclass."""
    return evaluation_to_json(value) if isinstance(value, Evaluation) else fields_of(value)
