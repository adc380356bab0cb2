"""Words of messages: lists, counts, values and paths as people would write them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from rag_evals.rag.errors import without_commands

# Names that are given before the rest is only counted.
NAMED = 10


def listing(headline: str, entries: Iterable[str], most: int | None = None) -> str:
    """Return a message: the headline, an indented line an entry, behind `most` how many more there are."""
    lines = [f"  {entry}" for entry in entries]
    more = [f"  and {len(lines[most:]):,} more"] if most is not None and lines[most:] else []
    return "\n".join([headline, *lines[:most], *more])


def count_of(count: int, noun: str) -> str:
    """Return a count and its noun, in the plural unless it is 1."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def first_names(names: Collection[str], most: int = NAMED) -> str:
    """Name the first of them, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(islice(names, most))}{more}"


def display_path(path: Path) -> str:
    """Return a path as people would type it here."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def kind_name(value: object) -> str:
    """Name the kind of a value as the author of a file knows it."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def short_repr(value: object, limit: int = 40) -> str:
    """Write a value as the file has it, cut to a readable length."""
    if isinstance(value, str) and len(value) <= limit:
        return quoted(value)
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return without_commands(text if len(text) <= limit else f"{text[: limit - 3]}...")


def quoted(text: str) -> str:
    """Quote a text; one that could upset a terminal is escaped."""
    return without_commands(f'"{text}"' if text.isprintable() else json.dumps(text))


def printable(text: str) -> str:
    """Return text of a document or a model that drives neither a terminal nor a CI runner."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return without_commands(text)
