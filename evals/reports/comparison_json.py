"""A comparison as JSON: everything of it, in a fixed order."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from evals.baseline_gate import Compared
from evals.compare import Comparison, Flip
from evals.records import Evaluation, evaluation_to_json
from evals.retrieval_changes import RetrievalChange

SCHEMA = 1


def comparison_json(comparison: Comparison) -> str:
    """Give `comparison` as JSON; the same comparison gives the same text.

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
        "rows": [_row(row) for row in gate.rows],
        "flips": [_flip(flip) for flip in comparison.flips],
        "added": comparison.added,
        "removed": comparison.removed,
        "changes": comparison.changes,
        "retrieval": [
            {"pipeline": pipeline, "question_id": question, **_retrieval(change)}
            for pipeline, question, change in comparison.retrieval
        ],
        "costs": comparison.costs,
        "pairs": [{"before": before, "after": after} for before, after in comparison.pairs],
    }
    # A line for each part: one line alone would be too long for most editors.
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_text(part)}" for name, part in whole.items()) + "\n}\n"


def _row(row: Compared) -> dict[str, Any]:
    named = {"verdict": row.verdict, "pipeline": row.pipeline, "metric": row.metric, "tag": row.tag}
    return {**named, "p_adjusted": row.p_adjusted, "difference": row.difference}


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "pipeline": flip.pipeline,
        "question_id": flip.question.id,
        "is_fixed": flip.is_fixed,
        "stage": flip.stage,
        "breaches": (flip.before if flip.is_fixed else flip.after).breaches,
        "retrieval": _retrieval(flip.retrieval),
        "before": flip.before,
        "after": flip.after,
    }


def _retrieval(change: RetrievalChange) -> dict[str, Any]:
    return {"gained": change.gained, "lost": change.lost, "moved": change.moved}


def _text(value: Any) -> str:
    # ASCII alone: half of a surrogate pair, as in the name of a file, has no other form.
    return json.dumps(value, default=_form, allow_nan=False)


def _form(value: Any) -> dict[str, Any]:
    """Give the object of an evaluation or of another dataclass."""
    if isinstance(value, Evaluation):
        return evaluation_to_json(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}
