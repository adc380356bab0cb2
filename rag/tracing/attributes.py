"""Attributes of spans: any value as text, number, truth value or a list of these, of bounded length."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

# Of one text: a passage or a prompt fits; a whole book would be in every span that has it.
MOST_CHARACTERS = 20_000


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `attributes` as a trace can hold them: without None, plain numbers, texts of bounded length."""
    return {name: _safe(value) for name, value in attributes.items() if value is not None}


def _safe(value: Any) -> Any:
    try:
        return _plain(value)
    except Exception:  # noqa: BLE001 - whatever somebody's own object does, a trace fails nothing
        return f"<{type(value).__name__}>"


def _plain(value: Any) -> Any:
    match value:
        case bool():
            return value
        case str():
            return bounded_text(value)
        case Integral():
            return int(value)
        case Real():
            number = float(value)
            return number if math.isfinite(number) else str(number)
        case list() | tuple():
            return _plain_list([_plain(one) for one in value if one is not None])
        case Mapping():
            return bounded_text(json.dumps(value, ensure_ascii=False, default=str))
    return bounded_text(str(value))


def _plain_list(values: list[Any]) -> list[Any]:
    """Return `values`, as texts where they are not of one type: a protocol for traces knows no others."""
    same = len({type(value) for value in values}) < 2 and not any(isinstance(v, list) for v in values)
    return values if same else [value if isinstance(value, str) else json.dumps(value) for value in values]


def bounded_text(text: str) -> str:
    """Return a text that is no longer than what one span may hold."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"


def named(error: BaseException) -> str:
    """Return the type of `error` and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
