"""The store of what was made before: one SQLite file under `.rag-evals/`, shared by processes and runs.

An item has a kind, a key (SHA-256 over everything that changes it) and bytes. What is here need not be made
again, what is not is made: so trouble with the file is no error. It is said, and the run goes on without.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rag_evals.evals.engine.cache_database import CacheDatabase
from rag_evals.evals.runs.masking import masked

T = TypeVar("T")

FILE = "cache.sqlite"
DEFAULT_MEBIBYTES = 1024

# Uses are written down this many at a time: a hit is not to cost a write.
USES_AT_ONCE = 1000
# Rows read, written or dropped in one go: nobody else is to wait for long.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes items: a pipeline or a judge.

    Attributes:
        fingerprint: SHA-256 over everything that changes what it makes.
        name: Name for people.
        identity: What the fingerprint is made of, as far as it says.
    """

    fingerprint: str
    name: str
    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An item without its bytes; times in seconds since the epoch, size in bytes."""

    kind: str
    key: str
    subject: str | None
    maker: Maker | None
    created: float
    used: float
    size: int


class Store(Protocol):
    """Keeps what is made, as the cache does."""

    def recall(self, kind: str, keys: Sequence[str], *, is_use: bool = True) -> dict[str, bytes]:
        """Return what is kept of `keys`."""

    def keep(
        self, kind: str, items: Mapping[str, bytes], *, subject: str | None = None, maker: Maker | None = None
    ) -> None:
        """Keep `items`."""

    def recent(self, kind: str, name: str, count: int = 20) -> list[bytes]:
        """Return the latest items that makers called `name` made."""


class Cache:
    """The store; safe with several threads and processes, and opened when something is first asked of it.

    Args:
        path: The file; it is made when the first item is kept.
        mebibytes: Size from which on what was not used for longest is dropped.
        since: By kind, the time (seconds since the epoch) before which items count as absent.
        clock: Gives the time in seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        mebibytes: float = DEFAULT_MEBIBYTES,
        since: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._database = CacheDatabase(path)
        self._limit = int(mebibytes * 2**20)
        self._since = since or {}
        self._clock = clock
        self._uses: dict[int, float] = {}
        self._unlooked = 0
        self._identities: dict[str, str] = {}

    @property
    def problem(self) -> str | None:
        """Why the file is not read or not written any more; None while all is well."""
        return self._database.problem

    def recall(self, kind: str, keys: Sequence[str], *, is_use: bool = True) -> dict[str, bytes]:
        """Return what is kept of `keys`, which are all of one `kind`.

        Args:
            kind: The kind that all of them are of.
            keys: What is wanted.
            is_use: Whether what is found counts as used now.
        """
        found: dict[str, bytes] = {}
        with self._database.used() as connection:
            if connection is not None:
                for wanted in _batches(keys):
                    self._recall(connection, kind, wanted, found, is_use=is_use)
        if len(self._uses) >= USES_AT_ONCE:
            with self._database.used(writing=True) as connection:
                self._write_uses(connection)
        return found

    def keep(
        self, kind: str, items: Mapping[str, bytes], *, subject: str | None = None, maker: Maker | None = None
    ) -> None:
        """Keep `items` under their keys, in the place of what is there.

        Args:
            kind: The kind that all of them are of.
            items: Bytes by key.
            subject: Id of the question that they are about, for `explain`.
            maker: What made them, for `explain`.
        """
        now = self._clock()
        about = None if subject is None else _storable(subject)
        by = maker.fingerprint if maker else None
        for keys in _batches(list(items)):
            rows = [(kind, key, zlib.compress(items[key], 1), about, by, now, now) for key in keys]
            is_kept = False
            with self._database.used(writing=True, create=True) as connection:
                if connection is not None:
                    self._insert(connection, rows, maker)
                    is_kept = True
            if not is_kept:
                return
            self._unlooked += sum(len(row[2]) for row in rows)
            if self._unlooked >= max(self._slack, 2**16):
                self._unlooked = 0
                with self._database.used(writing=True) as connection:
                    self._hold_size(connection)

    def close(self) -> None:
        """Write down what was used, hold the size, and close the file."""
        if self._database.is_open:
            with self._database.used(writing=True) as connection:
                self._write_uses(connection)
            with self._database.used(writing=True) as connection:
                self._hold_size(connection)
        self._database.close()

    def entries(self, subject: str | None = None) -> list[Entry]:
        """List the items, oldest first: those about the question `subject`, or all of them."""
        chosen, values = ("WHERE subject = ?", (_storable(subject),)) if subject is not None else ("", ())
        found: list[Entry] = []
        with self._database.used() as connection:
            if connection is not None:
                rows = self._database.rows(connection, "SELECT fingerprint, name, identity FROM maker")
                makers = {row[0]: Maker(row[0], row[1], _identity_from(row[2])) for row in rows}
                columns = "kind, key, subject, maker, created, used, length(value)"
                rows = self._database.rows(
                    connection, f"SELECT {columns} FROM item {chosen} ORDER BY created, id", values
                )
                found = [
                    Entry(kind, key, about, makers.get(by), created, used, size)
                    for kind, key, about, by, created, used, size in rows
                ]
        return found

    def recent(self, kind: str, name: str, count: int = 20) -> list[bytes]:
        """Return the latest items of `kind` that makers called `name` made, newest first."""
        found: list[bytes] = []
        with self._database.used() as connection:
            if connection is not None:
                rows = self._database.rows(
                    connection,
                    "SELECT value FROM item WHERE kind = ? AND maker IN "
                    "(SELECT fingerprint FROM maker WHERE name = ?) ORDER BY id DESC LIMIT ?",
                    (kind, _storable(name), count),
                )
                found = [data for (value,) in rows if (data := _whole(value)) is not None]
        return found

    def prune(self, *, unused_since: float, spared: Collection[str] = ()) -> int:
        """Drop what was not used since a time, give the space back, and say how many items went.

        Args:
            unused_since: Seconds since the epoch.
            spared: Keys that stay whatever their age.
        """
        gone = 0
        with self._database.used(writing=True, in_vain=0.0) as connection:
            if connection is not None:
                rows = self._database.rows(
                    connection, "SELECT id, key FROM item WHERE used < ?", (unused_since,)
                )
                for numbers in _batches([number for number, key in rows if key not in spared]):
                    self._drop(connection, numbers)
                    gone += len(numbers)
                self._drop_makers(connection)
                # Whoever reads just now, or a disk without room for a copy, keeps the file as large as it is.
                with suppress(sqlite3.OperationalError):
                    connection.execute("VACUUM")
        return gone

    def verify(self) -> list[Entry]:
        """Read every item, drop those that are damaged, and list them."""
        damaged: dict[int, Entry] = {}
        with self._database.used(writing=True, in_vain=0.0) as connection:
            if connection is not None:
                ((said,),) = self._database.rows(connection, "PRAGMA integrity_check(1)")
                if said != "ok":
                    raise sqlite3.DatabaseError(" ".join(said.split()))
                last = -1
                columns = "id, kind, key, subject, created, used, value"
                query = f"SELECT {columns} FROM item WHERE id > ? ORDER BY id LIMIT {BATCH}"
                while rows := self._database.rows(connection, query, (last,)):
                    last = rows[-1][0]
                    for number, kind, key, about, created, used, value in rows:
                        if _whole(value) is None:
                            damaged[number] = Entry(kind, key, about, None, created, used, len(value))
                for numbers in _batches(list(damaged)):
                    self._drop(connection, numbers)
        return list(damaged.values())

    @property
    def size(self) -> int:
        """Bytes in use; 0 where there is no file."""
        size = 0
        with self._database.used() as connection:
            if connection is not None:
                size = self._database.size(connection)
        return size

    def _recall(
        self,
        connection: sqlite3.Connection,
        kind: str,
        wanted: Sequence[str],
        found: dict[str, bytes],
        *,
        is_use: bool,
    ) -> None:
        rows = self._database.rows(
            connection,
            "SELECT id, key, value FROM item WHERE kind = ? AND created >= ? "
            f"AND key IN ({','.join('?' * len(wanted))})",
            (kind, self._since.get(kind, 0.0), *wanted),
        )
        now = self._clock()
        for number, key, value in rows:
            # A damaged value is one that is not here; `verify` finds and drops it.
            if (data := _whole(value)) is not None:
                found[key] = data
                if is_use:
                    self._uses[number] = now

    def _insert(
        self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], maker: Maker | None
    ) -> None:
        with self._database.transaction(connection):
            if maker:
                if maker.fingerprint not in self._identities:
                    self._identities[maker.fingerprint] = _identity_text(maker.identity)
                # Each time: another process may have dropped it with the last of its items.
                connection.execute(
                    "INSERT OR IGNORE INTO maker VALUES (?, ?, ?)",
                    (maker.fingerprint, _storable(maker.name), self._identities[maker.fingerprint]),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO item (kind, key, value, subject, maker, created, used) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def _write_uses(self, connection: sqlite3.Connection | None) -> None:
        uses, self._uses = self._uses, {}
        if uses and connection is not None:
            with self._database.transaction(connection):
                connection.executemany(
                    "UPDATE item SET used = ? WHERE id = ?", [(at, number) for number, at in uses.items()]
                )

    @property
    def _slack(self) -> int:
        """Bytes kept between two looks at the size, and dropped beyond the bound: dropping is to be rare."""
        return self._limit // 32

    def _hold_size(self, connection: sqlite3.Connection | None) -> None:
        """Drop what was not used for longest, if there is too much."""
        if connection is None or self._database.size(connection) <= self._limit:
            return
        self._write_uses(connection)
        while self._database.size(connection) > self._limit - self._slack:
            ((count,),) = self._database.rows(connection, "SELECT count(*) FROM item")
            if not count:
                break
            # A part of what is there: five hundred large items may be all of it.
            number = min(BATCH, max(1, count // 50))
            rows = self._database.rows(connection, "SELECT id FROM item ORDER BY used, id LIMIT ?", (number,))
            self._drop(connection, [row[0] for row in rows])
        self._drop_makers(connection)

    def _drop(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
        with self._database.transaction(connection):
            connection.executemany("DELETE FROM item WHERE id = ?", [(number,) for number in numbers])

    def _drop_makers(self, connection: sqlite3.Connection) -> None:
        with self._database.transaction(connection):
            connection.execute(
                "DELETE FROM maker WHERE fingerprint NOT IN (SELECT maker FROM item WHERE maker IS NOT NULL)"
            )


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + BATCH] for start in range(0, len(values), BATCH))


def _storable(text: str) -> str:
    """Write half of a surrogate pair as an escape: ids and names may hold one, and SQLite takes none."""
    return text.encode(errors="backslashreplace").decode()


def _identity_text(identity: Mapping[str, Any]) -> str:
    """Return `identity`, which may come from a user's own pipeline, as JSON as far as it has such a form."""
    try:
        return json.dumps(masked(json.loads(json.dumps(identity, default=str))), sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return "{}"


def _identity_from(text: str) -> Mapping[str, Any]:
    try:
        identity = json.loads(text)
    except ValueError:
        return {}
    return identity if isinstance(identity, dict) else {}


def _whole(value: bytes) -> bytes | None:
    try:
        return zlib.decompress(value)
    except (zlib.error, TypeError):
        return None
