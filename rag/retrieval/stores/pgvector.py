"""A table of PostgreSQL with the extension pgvector, through LlamaIndex."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.errors import StoreError
from rag_evals.rag.retrieval.stores.setting import StoreSetting

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

# Seconds for a connection, and for a query.
CONNECT_SECONDS = 5
QUERY_SECONDS = 60
# Before these there is no HNSW, and no search that goes on where filters left too little.
OLDEST = {"hnsw": (0, 5), "ivfflat": (0, 4), "none": (0, 4)}
# A server that does not answer any more is noticed within a minute.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_INDEXES = {
    "hnsw": "USING hnsw (embedding vector_cosine_ops)",
    "ivfflat": "USING ivfflat (embedding vector_cosine_ops) WITH (lists = {lists})",
}
_AWAY = ("57P01", "57P02", "57P03")
# What servers say, and what is to be done.
_REMEDIES = (
    ("password authentication failed", "it refuses user and password: check them, and PGPASSWORD"),
    ("no password supplied", "it wants a password: give it in the address or in PGPASSWORD"),
    ('role ".*" does not exist', "it does not know the user: check the address"),
    ('database ".*" does not exist', "it has no such database: make it with `createdb`"),
    ('relation ".*" does not exist', "its table was taken away meanwhile: the next run fills it anew"),
    ("permission denied", "the user may not do that: give it CREATE on the schema public"),
    ("timeout expired", "no answer within {connect} seconds: is it running there?"),
    ("statement timeout", "a query took more than {query} seconds: is it busy, or ef_search too wide?"),
    ("Connection refused|No such file or directory", "nothing listens there: is it running?"),
    ("could not translate host name", "there is no such host: check the address"),
)


class PgVector:
    """A table of its own for one index, made where it is not there.

    Attributes:
        place: Host, port and database.
        is_exact: Whether there is no approximate index on it.
        is_told: True.
        options: What each query is given.
    """

    def __init__(self, setting: StoreSetting, config: PipelineConfig, name: str) -> None:
        self.place = f"pgvector at {setting.place}"
        self.is_exact = config.store_index == "none"
        self.is_told = True
        self.options: Mapping[str, Any] = (
            {"ivfflat_probes": config.probes} if config.store_index == "ivfflat" else {}
        )
        self._setting = setting
        self._config = config
        self._name = f"{name}_{config.store_index}"
        self._table = f"data_{self._name}"  # LlamaIndex puts that in front
        self._engine: Any = None

    def open(self, dimension: int) -> BasePydanticVectorStore:
        """Connect, and make the table where it is not there."""
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.ext.asyncio import create_async_engine

        try:
            from llama_index.vector_stores.postgres import PGVectorStore
        except ImportError:
            raise StoreError("store = pgvector needs a library: pip install 'rag-evals[pgvector]'") from None
        url = make_url(self._setting.rest)
        self._engine = create_engine(
            url.set(drivername="postgresql+psycopg2"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS, "options": self._options(), **_ALIVE},
        )
        self._check(dimension)
        # What it cannot do it logs, and the address with it in debugging.
        logging.getLogger("llama_index.vector_stores.postgres.base").setLevel(logging.CRITICAL)
        return PGVectorStore(
            # It has no use for the address beside an engine, and would show it.
            connection_string="postgresql://",
            async_connection_string="postgresql://",
            engine=self._engine,
            async_engine=create_async_engine(url.set(drivername="postgresql+asyncpg")),
            table_name=self._name,
            embed_dim=dimension,
            initialization_fail_on_error=True,
        )

    def _options(self) -> str:
        """Return the settings of a connection.

        LlamaIndex sets the width of the search only where it makes the index, before anything is in it.
        """
        settings = {"statement_timeout": 1000 * QUERY_SECONDS, "hnsw.iterative_scan": "strict_order"}
        if self._config.store_index == "hnsw":
            settings["hnsw.ef_search"] = min(1000, max(self._config.ef_search, self._config.top_k))
        return " ".join(f"-c {name}={value}" for name, value in settings.items())

    def _check(self, dimension: int) -> None:
        """Check what the server is, and what stands under the name of the table."""
        from sqlalchemy.exc import IntegrityError

        if not self._rows("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            if not self._rows("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
                raise StoreError(
                    f"{self.place} has no extension pgvector: install it on the server "
                    "(https://github.com/pgvector/pgvector)"
                )
            with suppress(IntegrityError):  # another process makes it at the same moment
                self._run("CREATE EXTENSION IF NOT EXISTS vector")
        ((version,),) = self._rows("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        oldest = OLDEST[self._config.store_index]
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < oldest:
            raise StoreError(
                f"{self.place} has pgvector {version}, and {self._config.store_index} needs "
                f"{oldest[0]}.{oldest[1]}: ALTER EXTENSION vector UPDATE, or set another store_index"
            )
        columns = dict(
            self._rows(
                "SELECT attname, atttypmod FROM pg_attribute "
                "WHERE attrelid = to_regclass(:table) AND attnum > 0",
                table=f"public.{self._table}",
            )
        )
        if columns and columns.get("embedding", dimension) != dimension:
            raise StoreError(
                f"{self.place}: table {self._table} has vectors of {columns['embedding']} dimensions, not "
                f"{dimension}: nothing was changed; take it away (DROP TABLE {self._table}) or name another "
                "database"
            )
        if columns and not {"node_id", "metadata_", "embedding"} <= columns.keys():
            raise StoreError(
                f"{self.place}: table {self._table} is none of rag-evals: nothing was changed; name another "
                "database"
            )

    def held(self) -> Mapping[str, int]:
        """Return how many vectors there are of each mark."""
        if not self._rows("SELECT to_regclass(:table)", table=f"public.{self._table}")[0][0]:
            return {}
        return dict(
            self._rows(
                f"SELECT coalesce(metadata_->>'mark', ''), count(*) FROM public.{self._table} GROUP BY 1"
            )
        )

    def finish(self) -> None:
        """Make the index: of what is there, which takes a fraction of the time of one that grows."""
        if self._config.store_index == "none":
            return
        ((rows,),) = self._rows(f"SELECT count(*) FROM public.{self._table}")
        # What pgvector recommends up to a million rows.
        how = _INDEXES[self._config.store_index].format(lists=max(10, rows // 1000))
        self._run(
            "SET LOCAL statement_timeout = 0",
            f"CREATE INDEX IF NOT EXISTS {self._table}_nearest ON public.{self._table} {how}",
            f"ANALYZE public.{self._table}",
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes, on other machines too, from filling the same table meanwhile."""
        from sqlalchemy import text

        with self._engine.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(
                text("SELECT pg_advisory_lock(:key)"), {"key": zlib.crc32(self._table.encode())}
            )
            try:
                yield
            finally:
                connection.invalidate()  # the lock goes with the connection

    def is_connection_lost(self, error: Exception) -> bool:
        """Return whether the same call may succeed once the server is back."""
        from sqlalchemy.exc import OperationalError

        # Without a code it is no answer of the server; the others say that it goes down or comes up.
        code = getattr(getattr(error, "orig", None), "pgcode", None)
        return isinstance(error, OperationalError) and code in (None, *_AWAY)

    def explain(self, error: Exception) -> str:
        """Return in a line what went wrong and what to do, without credentials."""
        said = str(getattr(error, "orig", error))
        remedy = next((remedy for sign, remedy in _REMEDIES if re.search(sign, said)), "")
        return remedy.format(connect=CONNECT_SECONDS, query=QUERY_SECONDS) or self._setting.masked(said)

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def _rows(self, query: str, **values: Any) -> list[Any]:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return list(connection.execute(text(query), values).tuples())

    def _run(self, *statements: str) -> None:
        from sqlalchemy import text

        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
