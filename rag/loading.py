"""Loading what loads itself when it is first wanted: before the first question errors can be said once."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Loads(Protocol):
    """Loads itself when it is first wanted, or when it is told to."""

    def load(self) -> None:
        """Load now; a second time does nothing."""


def load(*things: object) -> None:
    """Load those of `things` that load themselves."""
    for thing in things:
        if isinstance(thing, Loads):
            thing.load()
