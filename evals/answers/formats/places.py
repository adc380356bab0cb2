"""Where in a trace the question, the answer and the passages stand, for applications of another form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.messages import unpacked
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import quoted
from rag_evals.evals.questions.formats.cells import value_at

FIELDS = ("question", "answer", "contexts")
SIDES = ("input", "output")
# By what is looked for: `input` or `output`, and the path in it, "" for all of it.
Places = Mapping[str, tuple[str, str]]


def parse_places(texts: Sequence[str]) -> Places:
    """Parse `question=input.payload.q,answer=output.reply` into places.

    Raises:
        UsageError: Something is not of this form, or is given twice.
    """
    found: dict[str, tuple[str, str]] = {}
    for part in (part for text in texts for part in re.split(rf",(?=\s*(?:{'|'.join(FIELDS)})\s*=)", text)):
        name, equals, place = (piece.strip() for piece in part.partition("="))
        side, _, path = place.partition(".")
        if not equals or name not in FIELDS or side not in SIDES:
            raise UsageError(
                f"--map {quoted(part)} is not FIELD=input.PATH or FIELD=output.PATH, with FIELD one of "
                f"{', '.join(FIELDS)}"
            )
        if name in found:
            raise UsageError(f"--map gives {name} twice")
        found[name] = (side, path)
    return found


def value_in(place: tuple[str, str], given: Any, gave: Any) -> Any:
    """Return what stands at a place of a step, given its input and what it gave; None for nothing."""
    side, path = place
    value = unpacked(given if side == "input" else gave)
    return value_at(value, path) if path else value
