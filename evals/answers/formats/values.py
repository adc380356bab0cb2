"""Values of spans: times, counts, texts, and attributes however they are nested."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rag_evals.evals.base.fields import count, fits

# Seconds of the epoch until the year 2286 have ten digits; milli-, micro- and nanoseconds three more each.
_LARGEST = 1e10


def epoch_seconds(value: object) -> float | None:
    """Return a time in seconds of the epoch: one of ISO 8601, UTC unless it says, or a number of any unit."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, str):
        return _parsed(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e20:
        return None
    while value >= _LARGEST:
        value /= 1000
    return float(value)


def _parsed(text: str) -> float | None:
    if text.isascii() and text.isdecimal() and len(text) <= 20:
        return epoch_seconds(int(text))
    try:
        # Python reads up to six digits of a second, and Go and Rust write nine.
        told = datetime.fromisoformat(re.sub(r"(\.\d{6})\d{1,3}(?=\D|$)", r"\1", text[:40]))
        return epoch_seconds(told)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """Return a count, also one that JSON has as a text, as it has numbers of 64 bits."""
    if isinstance(value, str) and len(value) < 19 and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and fits(count, value) else None


def text(value: object) -> str | None:
    """Return a text that says something."""
    return value if isinstance(value, str) and value.strip() else None


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the members of a list that are objects; nothing of what is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Return the members of a list that are texts; nothing of what is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def first_there(told: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return what stands under the first of some names that is there, an empty text as well."""
    return next((told[name] for name in names if told.get(name) is not None), None)


def first(attributes: Mapping[str, Any], *names: str) -> Any:
    """Return what stands under the first of some names that says something."""
    for name in names:
        if (value := at(attributes, name)) is not None and value != "":
            return value
    return None


def at(attributes: object, path: str) -> Any:
    """Return what stands at a path such as `a.b.c`, whichever of its dots are nesting; None for nothing."""
    if not isinstance(attributes, dict):
        return None
    if path in attributes:
        return attributes[path]
    names = path.split(".") if "." in path else []
    for number in range(len(names) - 1, 0, -1):
        if (head := ".".join(names[:number])) in attributes:
            found = at(attributes[head], ".".join(names[number:]))
            if found is not None:
                return found
    return None


def members(attributes: Mapping[str, Any], name: str) -> list[Any]:
    """Return the members of a list, which may be written as `name.0.…`, `name.1.…`."""
    told = at(attributes, name)
    if isinstance(told, list):
        return told
    if isinstance(told, dict):
        return [held for _, held in sorted(_numbered(told))]
    found: dict[int, dict[str, Any]] = {}
    before = f"{name}."
    for key, value in attributes.items():
        if key.startswith(before):
            number, _, rest = key[len(before) :].partition(".")
            if number.isascii() and number.isdecimal() and len(number) < 10 and rest:
                found.setdefault(int(number), {})[rest] = value
    return [found[number] for number in sorted(found)]


def _numbered(told: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    for key, value in told.items():
        if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10:
            yield int(key), value
