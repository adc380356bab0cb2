"""The lines of a file of records: parsed, checked, and said what is wrong with them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import RunFileError, printable
from evals.records import SCHEMA, Evaluation, evaluation_from_json
from evals.replacing import all_lines

LISTED = 10
# What a line must name even where there is no number: there it is null.
_NEEDED = ("value", "threshold")


@dataclass(frozen=True, slots=True)
class Lines:
    """A file of records, up to its first damaged line.

    Attributes:
        events: The lines as JSON; the first is the head of the run.
        damage: What is wrong with the line behind them; None when there is none.
        not_finite: Numbers (from 1) of the lines in which NaN or an infinity stood.
    """

    events: tuple[Mapping[str, Any], ...]
    damage: str | None
    not_finite: tuple[int, ...]


def read_lines(file: Path) -> Lines:
    """Read `file` up to the first line that is damaged or half-written.

    Raises:
        RunFileError: It cannot be read, or its first line is no head of a run.
    """
    with readable(file):
        lines = [*all_lines(file)]  # an editor may have taken the end of the last one
    if not lines or (len(lines) == 1 and not _is_json(lines[0])):
        raise RunFileError(f"{printable(str(file))} has no whole line: the run was killed as it began")
    events: list[Mapping[str, Any]] = []
    not_finite: list[int] = []
    damage = None
    for number, line in enumerate(lines, 1):
        try:
            event, is_finite = _loaded(line, is_first=number == 1)
        except ValueError as error:
            if number == 1:
                raise RunFileError(f"{printable(str(file))}:1: {error}") from None
            damage = _damage(file.name, number, len(lines), error)
            break
        events.append(event)
        not_finite += [] if is_finite else [number]
    return Lines(tuple(events), damage, tuple(not_finite))


def checked(line: bytes, *, is_first: bool) -> Mapping[str, Any]:
    """Parse one line.

    Raises:
        ValueError: It is none that a run has there.
    """
    return _checked(_parsed(line), is_first=is_first)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Say that the file of a run cannot be read.

    Raises:
        RunFileError: It cannot.
    """
    try:
        yield
    except OSError as error:
        raise RunFileError(f"{printable(str(file))} cannot be read: {error.strerror}") from error


def count_lines(count: int) -> str:
    """Say how many lines."""
    return "a line" if count == 1 else f"{count} lines"


# --- one line ---


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None


def _loaded(line: bytes, *, is_first: bool) -> tuple[Mapping[str, Any], bool]:
    """Give a line in which every number is finite, and whether it was so."""
    event = _parsed(line)
    is_finite = _is_finite(event)
    return _checked(event if is_finite else _finite(event), is_first=is_first), is_finite


def _checked(event: Any, *, is_first: bool) -> Mapping[str, Any]:
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("is no object with a type")
    if is_first:
        _check_head(event)
    if event["type"] in ("pipeline", "judge") and not {"name", "fingerprint"} <= event.keys():
        raise ValueError(f"a {event['type']} without a name or a fingerprint")
    if event["type"] == "evaluation":
        try:
            evaluation = evaluation_from_json(event)
        except KeyError as error:
            raise ValueError(f"an evaluation without {error}") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is no evaluation: {printable(str(error))}") from None
        _check_numbers(evaluation)
    return event


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


def _damage(name: str, number: int, count: int, error: ValueError) -> str:
    behind = count - number
    what = "is damaged" if behind else "is damaged or half-written"
    lost = f"; {count_lines(behind)} behind it {'is' if behind == 1 else 'are'} left out" if behind else ""
    return f"{printable(name)}:{number} {what} ({error}): read up to there, {count_lines(number - 1)}{lost}"


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
        made["reason"] = f"{_named(value['value'])} in the file"
    return made


def _named(number: float) -> str:
    return "NaN" if math.isnan(number) else "an infinity"
