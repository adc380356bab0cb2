"""The reader of records: each line parsed and checked, whoever wrote it; what is wrong with it is said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.fields import WrongField, without_wrong
from rag_evals.evals.base.messages import printable, short_repr
from rag_evals.evals.runs.evaluation import SCHEMA, Evaluation, evaluation_from_json
from rag_evals.evals.runs.header import COMPONENTS
from rag_evals.evals.runs.lines.checksums import CHANGED, KEY, PUT_IN, Chain, unsealed
from rag_evals.evals.runs.lines.fields import COMPONENT, HEAD, LINES
from rag_evals.rag.identity import canonical

NOT_JSON = "is not JSON"
ANOTHER_RUN = "begins another run"
# What a line must name even where there is no number: there it is null.
_NEEDED = ("value", "threshold")
_NAMES = {"evaluation": "evaluation", "rejudged": "evaluation"}


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One line of a file of records.

    Attributes:
        number: Its number, from 1.
        text: The line as it was before it had a checksum, without numbers that are none; "" where it is left
            out.
        event: What it says; numbers that are none are left out. Empty where the line is left out.
        problem: Why it is left out; "" for a line that counts.
        damage: What the checksums say of a line that counts all the same; "" for nothing.
        odd: What is wrong with fields of it that are left out, by their names.
        is_finite: Whether every number in it was one: no NaN, no infinity.
        is_sealed: Whether it has a checksum.
        test: Of an evaluation that is left out, the test that says it was its; "" where that is not known.
    """

    number: int
    text: str = ""
    event: Mapping[str, Any] | None = None
    problem: str = ""
    damage: str = ""
    odd: Mapping[str, str] = field(default_factory=dict)
    is_finite: bool = True
    is_sealed: bool = False
    test: str = ""

    @property
    def kind(self) -> str:
        """The type of the line; "" where it is left out."""
        return str(self.event["type"]) if self.event else ""

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation that it is; None where it is something else."""
        return evaluation_from_json(self.event) if self.event and self.kind == "evaluation" else None


def read_lines(lines: Iterable[bytes]) -> Iterator[RecordLine]:
    """Read the lines of a file, without their ends, one by one."""
    reader = LineReader()
    return map(reader.take, lines)


class LineReader:
    """Takes the lines of a file one after the other."""

    def __init__(self) -> None:
        self.chain = Chain()
        self._number = 0
        self._is_over = False

    def take(self, line: bytes) -> RecordLine:
        """Return what the next line says."""
        self._number += 1
        if self._is_over:
            return RecordLine(self._number, problem=ANOTHER_RUN)
        event: Any = None
        try:
            event = _parsed(line)
            return self._checked(line, event)
        except ValueError as error:
            self._is_over = str(error) == ANOTHER_RUN
            if not isinstance(event, dict):
                self.chain.break_off()
            return RecordLine(self._number, problem=str(error), test=_test_of(event))

    def _checked(self, line: bytes, event: dict[str, Any]) -> RecordLine:
        """Hold a line to its checksum and to the table.

        Raises:
            ValueError: It is none that a run has there.
        """
        is_first = self._number == 1
        if is_first:
            _check_head(event)
        elif event["type"] == "run":
            raise ValueError(ANOTHER_RUN)
        said = self.chain.check(line, event)
        if said in (CHANGED, PUT_IN) and not is_first:
            raise ValueError(said)
        is_finite = _is_finite(event)
        plain: Mapping[str, Any] = event if is_finite else _finite(event)
        plain = {key: value for key, value in plain.items() if key != KEY}
        if not is_first:
            _check_fields(plain)
        kinds = HEAD if is_first else COMPONENT if plain["type"] in COMPONENTS else {}
        plain, odd = without_wrong(plain, kinds)
        return RecordLine(
            self._number,
            unsealed(line).decode() if is_finite else canonical(plain),
            plain,
            damage=said,
            odd=odd,
            is_finite=is_finite,
            is_sealed=KEY in event,
        )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = parse_json(line)
    except ValueError:
        raise ValueError(NOT_JSON) from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("is no object with a type")
    return event


def _check_head(event: Mapping[str, Any]) -> None:
    if event["type"] != "run":
        raise ValueError("is not the first line of a run")
    if event.get("schema") != SCHEMA or isinstance(event["schema"], bool):
        raise ValueError(
            f"is of schema {event.get('schema')!r}, and this version reads {SCHEMA}: "
            "read it with the version of rag-evals that wrote it"
        )
    shard = event.get("shard")
    if shard and not (
        isinstance(shard, list) and len(shard) == 2 and all(type(n) is int for n in shard) and shard[1] > 0
    ):
        raise ValueError(f"shard {printable(short_repr(shard))} is not [index, count]")


def _check_fields(event: Mapping[str, Any]) -> None:
    kind = event["type"]
    if kind not in LINES:
        return
    try:
        LINES[kind](event)
    except WrongField as error:
        raise ValueError(f"is no {_NAMES.get(kind, kind)}: {printable(str(error))}") from None


def _test_of(event: Any) -> str:
    is_ours = isinstance(event, dict) and event.get("type") == "evaluation"
    return event["test"] if is_ours and isinstance(event.get("test"), str) else ""


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
