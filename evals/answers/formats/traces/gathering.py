"""Parts of traces gathered by trace, however they stand in the files, in little memory.

Exports have spans as they ended, one trace among others, or in files of their own beside those of the
traces. The parts lie in a temporary file of SQLite without a name, which is gone when the process is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date, time
from decimal import Decimal
from typing import Any

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
CREATE TABLE trace (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, place TEXT NOT NULL);
CREATE TABLE part (trace INTEGER NOT NULL, value TEXT NOT NULL);
"""


class Gathering:
    """Parts of traces, by trace in the order in which the first part of each was put in."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let go of all parts."""
        self._database.close()

    def add(self, trace: str, place: str, part: Mapping[str, Any]) -> None:
        """Put a part with the others of its trace."""
        run = self._database.execute
        run("INSERT OR IGNORE INTO trace (id, place) VALUES (?, ?)", (trace, place))
        text = json.dumps(part, default=_plain)
        run("INSERT INTO part SELECT number, ? FROM trace WHERE id = ?", (text, trace))

    def traces(self) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
        """Yield each trace: its id, where its first part stood, and its parts."""
        self._database.execute("CREATE INDEX IF NOT EXISTS by_trace ON part (trace)")
        select = "SELECT value FROM part WHERE trace = ? ORDER BY rowid"
        with closing(self._database.execute("SELECT number, id, place FROM trace ORDER BY number")) as found:
            for number, id, place in found:
                parts = self._database.execute(select, (number,))
                yield id, place, [json.loads(text) for (text,) in parts]


def _plain(value: object) -> object:
    """Return a value of a table of Arrow as JSON has it."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
