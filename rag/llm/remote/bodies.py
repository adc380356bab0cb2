"""The body of an answer: JSON, or the events of a stream that some gateways send without being asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_EVENT = "data:"
_DONE = "[DONE]"


def parsed_body(data: bytes) -> Any:
    """Return the JSON of a body; of a stream the reply that its events make together.

    Raises:
        ValueError: It is neither, or nests without end.
    """
    try:
        return _parsed(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _parsed(data: bytes) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    text = text.strip()
    if text.endswith(f"{_EVENT} {_DONE}") and not text.startswith(_EVENT):
        return json.loads(text.removesuffix(f"{_EVENT} {_DONE}"))
    if not text.startswith(_EVENT):
        return json.loads(text)
    lines = [line.removeprefix(_EVENT).strip() for line in text.splitlines() if line.startswith(_EVENT)]
    return _joined([json.loads(line) for line in lines if line != _DONE])


def _joined(events: Sequence[Any]) -> dict[str, Any]:
    """Put the events of one reply together: texts one behind the other, of all else the last."""
    table: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    message: dict[str, Any] = {}
    for event in events:
        if not isinstance(event, Mapping):
            continue
        table |= {key: value for key, value in event.items() if value is not None and key != "choices"}
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            continue
        choice |= {key: value for key, value in choices[0].items() if value is not None and key != "delta"}
        delta = choices[0].get("delta")
        for key, value in delta.items() if isinstance(delta, Mapping) else ():
            if value is not None:
                before = message.get(key)
                message[key] = before + value if isinstance(before, str) and isinstance(value, str) else value
    return {**table, "choices": [{**choice, "message": message}]} if choice else table
