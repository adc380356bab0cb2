"""The SQLite file of the cache: opening it, waiting for others that use it, and what is wrong with it."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SCHEMA = 1
# Of one item.
MOST_BYTES = 256 * 10**6
# Seconds that one call waits for others that are writing; what cannot be kept by then is not kept.
PATIENCE = 1.0
# Seconds waited in vain, with no success between, before the file is left alone for the rest of the run: a
# lock that nobody gives back is not to cost every test its patience.
IN_VAIN = 5.0
# Seconds between two tries. SQLite's own waiting grows to a tenth of a second: beside a process that writes
# without pause it would never have its turn.
PAUSE = 0.002

_TABLES = (
    "CREATE TABLE maker (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, identity TEXT NOT NULL)",
    "CREATE TABLE item (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "
    "subject TEXT, maker TEXT, created REAL NOT NULL, used REAL NOT NULL, UNIQUE (kind, key))",
    "CREATE INDEX item_subject ON item (subject) WHERE subject IS NOT NULL",
    "CREATE INDEX item_used ON item (used)",
)


class CacheDatabase:
    """The file; safe with several threads and processes, and opened when it is first used.

    Args:
        path: The file; it is made when something is first to be written.

    Attributes:
        problem: Why the file is not read or not written any more; None while all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_readable = self._is_writable = True
        # When the patience of the call under way ends; seconds waited in vain by calls that write or do not.
        self._until = 0.0
        self._waited = {True: 0.0, False: 0.0}

    @property
    def is_open(self) -> bool:
        """Whether it was used and not closed since."""
        return self._connection is not None

    def close(self) -> None:
        """Close the file; it is not opened again."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._is_readable = self._is_writable = False
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def size(self, connection: sqlite3.Connection) -> int:
        """Return the bytes in use."""
        names = ("page_count", "freelist_count", "page_size")
        pages, free, size = (self.rows(connection, f"PRAGMA {name}")[0][0] for name in names)
        return int((pages - free) * size)

    @contextmanager
    def used(
        self, *, writing: bool = False, create: bool = False, in_vain: float | None = None
    ) -> Iterator[sqlite3.Connection | None]:
        """Yield the connection, or None where there is none; what goes wrong with it ends the block quietly.

        Args:
            writing: Whether the block writes.
            create: Whether to make the file where there is none.
            in_vain: Seconds waited in vain that are a problem; IN_VAIN by default.
        """
        start = time.monotonic()
        if not self._lock.acquire(timeout=PATIENCE):
            yield None
            return
        began, self._until, is_given = time.monotonic(), start + PATIENCE, False
        try:
            connection = self._opened(create=create) if self._is_usable(writing=writing) else None
            is_given = True
            yield connection
            self._waited[writing] = 0.0
        except (sqlite3.Error, OSError, _NewerError) as error:
            self._waited[writing] += time.monotonic() - began
            self._take(error, writing=writing, in_vain=IN_VAIN if in_vain is None else in_vain)
            if not is_given:
                yield None
        finally:
            self._lock.release()

    def _is_usable(self, *, writing: bool) -> bool:
        return self._is_writable if writing else self._is_readable

    def _opened(self, *, create: bool) -> sqlite3.Connection | None:
        if self._connection is not None:
            return self._connection
        if not (self.path.is_file() or self.path.is_dir() or not self.path.exists()):
            raise OSError(errno.EINVAL, "it is no plain file")
        if create or self.path.exists():
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                ignore = self.path.parent / ".gitignore"
                if not ignore.exists():
                    ignore.write_text("*\n")
            database = self.path.absolute().as_uri()
            try:
                self._connection = self._prepared(database)
            except sqlite3.OperationalError as error:
                # In a folder that is read only SQLite cannot make the files that it puts beside its own.
                # Without them it can read if nobody writes; what a writer has left beside it would be missed.
                beside = self.path.with_name(f"{self.path.name}-wal")
                if create or _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
                if not self.path.is_file() or beside.exists():
                    raise
                self._connection = self._prepared(f"{database}?immutable=1")
        return self._connection

    def _prepared(self, database: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            database, timeout=0, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Set up an empty file; two processes may do it at once.

        Raises:
            _NewerError: The file is of a later version.
            sqlite3.Error: It is no database, or cannot be used.
        """
        # In turn, as all of them: even this one reads the file. A killed process loses nothing, a power cut
        # what was kept last.
        self.rows(connection, "PRAGMA synchronous = NORMAL")
        self.rows(connection, "PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        ((version,),) = self.rows(connection, "PRAGMA user_version")
        if version == 0:
            self.rows(connection, "PRAGMA journal_mode = WAL")
            with self.transaction(connection):
                ((version,),) = connection.execute("PRAGMA user_version").fetchall()
                if version == 0:
                    for statement in _TABLES:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
                    version = SCHEMA
        if version == SCHEMA:
            self._check_tables(connection)
        if version > SCHEMA:
            raise _NewerError(
                f"was made by a newer rag-evals (version {version} of it, this one knows {SCHEMA}): "
                "nothing is reused from it and nothing kept; upgrade, or give another folder with "
                "--evals-home"
            )

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        """Take tables alone, as this class makes them: a view, a trigger or a computed column may never end.

        Raises:
            sqlite3.DatabaseError: There is something else.
        """
        made = self.rows(connection, "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        for kind, name, sql in made:
            if kind in ("view", "trigger") or (name in ("item", "maker") and sql not in _TABLES):
                raise sqlite3.DatabaseError(f"its {kind} {name} is none of a cache")

    def _in_turn(self, action: Callable[[], T]) -> T:
        """Do `action` once no other process is in the way, or give up when the patience has run out."""
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() >= self._until:
                    raise
                time.sleep(PAUSE)

    def rows(self, connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query, in turn with other processes."""
        return self._in_turn(lambda: connection.execute(query, values).fetchall())

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Do all that is in the block or nothing of it, in turn with other processes."""
        self._in_turn(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            yield
            self._in_turn(lambda: connection.execute("COMMIT"))
        except BaseException:
            with suppress(sqlite3.Error):  # after some errors SQLite has done so itself
                connection.execute("ROLLBACK")
            raise
        self._until = time.monotonic() + PATIENCE

    def _take(self, error: Exception, *, writing: bool, in_vain: float) -> None:
        """Make a problem of `error`, and stop using the file as far as need be."""
        if _is_locked(error):
            waited = self._waited[writing]
            if waited < in_vain:
                return  # one item is not kept; the next may be
            self._is_writable = False
            self._is_readable = self._is_readable and writing
            self.problem = (
                f"{self.path} is locked by another process (waited {waited:.0f} s in vain): what is made "
                "from now on will be made again; end that process, or give another folder with --evals-home"
            )
            return
        self._is_writable = False
        if isinstance(error, _NewerError):
            self._is_readable = False
            self.problem = f"{self.path} {error}"
        elif isinstance(error, OSError) or _code(error) in _OUTSIDE:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.problem = (
                f"{self.path} cannot be {'written' if writing else 'read'} ({reason}): what is made in this "
                "run will be made again; make room, or give another folder with --evals-home"
            )
        else:
            self._is_readable = False
            self.problem = (
                f"{self.path} is damaged ({error}): nothing is reused from it and nothing kept; delete it"
            )


class _NewerError(Exception):
    """Raised when the file is of a later version of the project."""


# What is wrong with the disk, not with what is in the file.
_OUTSIDE = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)


def _code(error: Exception) -> int:
    """Return SQLite's own number for `error`; errors of our making say that the file is damaged."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF


def _is_locked(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
