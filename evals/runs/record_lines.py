"""The lines of a file of records: parsed, checked, and said what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.evaluation import SCHEMA, Evaluation, evaluation_from_json
from rag_evals.evals.runs.header import COMPONENTS

NOT_JSON = "is not JSON"
# What a line must name even where there is no number: there it is null.
_NEEDED = ("value", "threshold")


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One line of a file of records.

    Attributes:
        event: What it says; numbers that are none are left out.
        evaluation: The evaluation that it is; None where it is something else.
        is_finite: Whether every number in it was one: no NaN, no infinity.
    """

    event: Mapping[str, Any]
    evaluation: Evaluation | None
    is_finite: bool


def parse_line(line: bytes, *, is_first: bool) -> RecordLine:
    """Parse one line.

    Raises:
        ValueError: It is none that a run has there.
    """
    try:
        event = parse_json(line)
    except ValueError:
        raise ValueError(NOT_JSON) from None
    is_finite = _is_finite(event)
    event = event if is_finite else _finite(event)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("is no object with a type")
    if is_first:
        _check_head(event)
    if event["type"] in COMPONENTS and not {"name", "fingerprint"} <= event.keys():
        raise ValueError(f"a {event['type']} without a name or a fingerprint")
    return RecordLine(event, _evaluation(event) if event["type"] == "evaluation" else None, is_finite)


def _evaluation(event: Mapping[str, Any]) -> Evaluation:
    try:
        evaluation = evaluation_from_json(event)
    except KeyError as error:
        raise ValueError(f"an evaluation without {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"is no evaluation: {printable(str(error))}") from None
    _check_numbers(evaluation)
    return evaluation


def _check_head(event: Mapping[str, Any]) -> None:
    if event["type"] != "run":
        raise ValueError("is not the first line of a run")
    if event.get("schema") != SCHEMA:
        raise ValueError(
            f"is of schema {event.get('schema')!r}, and this version reads {SCHEMA}: "
            "read it with the version of rag-evals that wrote it"
        )
    shard = event.get("shard")
    if shard and not (
        isinstance(shard, list) and len(shard) == 2 and all(type(n) is int for n in shard) and shard[1] > 0
    ):
        raise ValueError(f"shard {shard!r} is not [index, count]")


def _check_numbers(evaluation: Evaluation) -> None:
    """Hold what is calculated with to be numbers: a file from elsewhere may say anything.

    Raises:
        ValueError: Something is none.
    """
    numbers: dict[str, Any] = {f"score {s.metric}": s.value for s in evaluation.scores if s.value is not None}
    numbers |= {f"threshold {name}": value for name, value in evaluation.thresholds.items()}
    numbers |= {f"seconds of {stage}": value for stage, value in evaluation.seconds.items()}
    numbers["repeat"] = evaluation.repeat
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"is no evaluation: {printable(f'{name} is {value!r}')}, which is no number")
    texts = (evaluation.pipeline, evaluation.question.id, evaluation.question.question)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("is no evaluation: pipeline, question_id or question is no text")


# --- numbers that are none ---


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(_is_finite, parts))


def _finite(value: Any) -> Any:
    """Leave out every NaN and infinity; where a reader needs the name, null stands, and the reason."""
    if isinstance(value, list):
        return [_finite(part) if _is_finite(part) or not isinstance(part, float) else None for part in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, part in value.items():
        if not isinstance(part, float) or math.isfinite(part):
            made[key] = _finite(part)
        elif key in _NEEDED:
            made[key] = None
    if "value" in made and made["value"] is None and value["value"] is not None:
        made["reason"] = f"{'NaN' if math.isnan(value['value']) else 'an infinity'} in the file"
    return made
