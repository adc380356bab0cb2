"""The fields of JSON that somebody else may have written: what each may hold, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rag_evals.evals.base.messages import short_repr

# Raises `WrongField` for a value that it is not.
Kind = Callable[[Any], None]

# What a table of 64-bit numbers holds, and what can be squared and summed without an infinity.
MOST_WHOLE = 2**63 - 1
MOST_NUMBER = 1e100


class WrongField(ValueError):
    """Raised for a value that a field cannot have; says which, what it holds, and what belongs there."""

    def __init__(self, wanted: str, value: Any) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.value = value
        self.path: list[str] = []

    def within(self, name: str) -> WrongField:
        """Return the error as that of a field inside of `name`."""
        self.path.insert(0, name)
        return self

    def __str__(self) -> str:
        if not self.wanted:
            return f"has no {'.'.join(self.path)}"
        return f"{'.'.join(self.path)} is {short_repr(self.value)}, not {self.wanted}"


def _check_in(name: str, kind: Kind, value: Any) -> None:
    """Check a value that stands under `name`."""
    try:
        kind(value)
    except WrongField as error:
        raise error.within(name) from None


# --- kinds ---


def text(value: Any) -> None:
    """A text."""
    if not isinstance(value, str):
        raise WrongField("a text", value)


def truth(value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise WrongField("true or false", value)


def number(value: Any) -> None:
    """A number that can be calculated with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongField("a number", value)
    if not -MOST_NUMBER <= value <= MOST_NUMBER:
        raise WrongField(f"a number up to {MOST_NUMBER:g}", value)


def whole(value: Any) -> None:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongField("a whole number", value)
    if not -MOST_WHOLE <= value <= MOST_WHOLE:
        raise WrongField("a whole number of 64 bits", value)


def count(value: Any) -> None:
    """A whole number from 0."""
    whole(value)
    if value < 0:
        raise WrongField("a whole number from 0", value)


def at_least_one(value: Any) -> None:
    """A whole number from 1."""
    whole(value)
    if value < 1:
        raise WrongField("a whole number from 1", value)


def anything(value: Any) -> None:
    """Whatever JSON has."""


def one_of(*words: str) -> Kind:
    """One of these texts."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or value not in words:
            raise WrongField(f"one of {', '.join(words)}", value)

    return check


def maybe(kind: Kind) -> Kind:
    """Null, or a value of `kind`."""

    def check(value: Any) -> None:
        if value is not None:
            kind(value)

    return check


def listed(kind: Kind) -> Kind:
    """A list of `kind`."""

    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):  # in a session they are tuples, in a file lists
            raise WrongField("a list", value)
        for n, member in enumerate(value):
            _check_in(str(n), kind, member)

    return check


def keyed(kind: Kind) -> Kind:
    """An object whose values are of `kind`, under any names."""

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise WrongField("an object", value)
        for name, member in value.items():
            _check_in(name, kind, member)

    return check


def fields(needed: Mapping[str, Kind], others: Mapping[str, Kind] | None = None) -> Kind:
    """An object with fields: those that it must have, and those that it may have."""
    known = {**needed, **(others or {})}

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise WrongField("an object", value)
        for name in needed:
            if name not in value:
                raise WrongField("", None).within(name)
        for name, kind in known.items():
            if name in value:
                _check_in(name, kind, value[name])

    return check


def without_wrong(
    line: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return a line without the fields that cannot be what they are, and what is wrong, by their names."""
    wrong = {}
    for name in kinds.keys() & line.keys():
        try:
            _check_in(name, kinds[name], line[name])
        except WrongField as error:
            wrong[name] = str(error)
    return {key: value for key, value in line.items() if key not in wrong}, dict(sorted(wrong.items()))


def fits(kind: Kind, value: Any) -> bool:
    """Return whether a value is of `kind`."""
    try:
        kind(value)
    except WrongField:
        return False
    return True
