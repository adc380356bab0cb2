"""The chunks of an index: texts and places in a SQLite file."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rag_evals.rag.answer import Span
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.chunks import Chunk, Hit, leaves, words

FILE = "chunks.sqlite"
# Texts and names are bytes: the name of a file need not be valid Unicode.
_TABLES = """
CREATE TABLE documents (number INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, digest TEXT NOT NULL);
CREATE TABLE chunks (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, document INTEGER NOT NULL, text BLOB NOT NULL,
    page INTEGER, start INTEGER NOT NULL, end INTEGER NOT NULL, page_end INTEGER, parent TEXT,
    level INTEGER NOT NULL, sibling INTEGER NOT NULL, words TEXT NOT NULL,
    is_leaf INTEGER NOT NULL, is_searched INTEGER NOT NULL
);
CREATE INDEX of_documents ON chunks (document, parent, sibling);
"""
_STATEMENTS = [statement.strip() for statement in _TABLES.split(";") if statement.strip()]
_CHUNK = (
    "SELECT c.id, c.text, d.name, c.page, c.start, c.end, c.page_end, c.parent, c.level, c.sibling "
    "FROM chunks c JOIN documents d ON d.number = c.document"
)
# SQLite takes so many values in one statement in every version.
_AT_ONCE = 900


class MissingChunkError(LookupError):
    """Raised when a chunk is asked for that is not there."""


class ChunkTable:
    """The chunks of an index, parents too, in a file that is opened for reading unless it is being made.

    Args:
        folder: Where the file lies.
        writable: Whether documents are put in and removed; the file is made where there is none.

    Raises:
        sqlite3.Error: It is damaged.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        import sqlite3

        file = folder / FILE
        is_new = writable and not file.exists()
        # An index that is in its place does not change: no locks, and no file beside it.
        mode = "mode=rwc" if writable else "mode=ro&immutable=1"
        self._connection = sqlite3.connect(
            f"file:{quote(str(file))}?{mode}", uri=True, check_same_thread=False, isolation_level=None
        )
        self.close = weakref.finalize(self, self._connection.close)
        self._lock = threading.Lock()
        self._connection.execute("PRAGMA trusted_schema = OFF")
        if writable:
            # What is broken off is thrown away whole.
            self._connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        if is_new:
            self._connection.executescript(_TABLES)
        made = {sql for (sql,) in self._rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if made != set(_STATEMENTS):  # a view or a trigger computes
            raise sqlite3.DatabaseError(f"{FILE} has other tables than those of an index")

    def documents(self) -> dict[str, str]:
        """Return the digest of each document, by its name."""
        rows = self._rows("SELECT name, digest FROM documents ORDER BY number")
        return {_text(name): digest for name, digest in rows}

    def put(self, document: str, digest_of_it: str, chunks: Sequence[Chunk]) -> None:
        """Put in the chunks of a document that is not there."""
        bottom = {chunk.id for chunk in leaves(chunks)}
        with self._lock, self._connection as transaction:
            transaction.execute("BEGIN")
            row = transaction.execute(
                "INSERT INTO documents (name, digest) VALUES (?, ?)", (_bytes(document), digest_of_it)
            )
            transaction.executemany(
                f"INSERT INTO chunks VALUES (NULL{', ?' * 13})",
                [_row(chunk, row.lastrowid, chunk.id in bottom) for chunk in chunks],
            )

    def remove(self, documents: Collection[str]) -> None:
        """Remove documents by their names."""
        names = [(_bytes(name),) for name in documents]
        with self._lock, self._connection as transaction:
            transaction.execute("BEGIN")
            transaction.executemany(
                "DELETE FROM chunks WHERE document = (SELECT number FROM documents WHERE name = ?)", names
            )
            transaction.executemany("DELETE FROM documents WHERE name = ?", names)

    def get(self, ids: Sequence[str]) -> list[Chunk]:
        """Return chunks by their ids, in their order.

        Raises:
            MissingChunkError: There is no chunk of that id.
        """
        found: dict[str, Chunk] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            rows = self._rows(f"{_CHUNK} WHERE c.id IN ({', '.join('?' * len(some))})", some)
            found |= {row[0]: _chunk(row) for row in rows}
        if missing := [id for id in ids if id not in found]:
            raise MissingChunkError(f"no chunk {missing[0]}")
        return [found[id] for id in ids]

    def hits(self, best: Sequence[tuple[str, float]]) -> list[Hit]:
        """Return the chunks of ids with their scores, in the order of these.

        Raises:
            MissingChunkError: One is not there.
        """
        chunks = self.get([id for id, _ in best])
        return [Hit(chunk, score) for chunk, (_, score) in zip(chunks, best, strict=True)]

    def parents(self, ids: Sequence[str]) -> list[str]:
        """Return the ids of the chunks that pieces are of, in the order of these.

        Raises:
            MissingChunkError: There is no piece of that id.
        """
        found: dict[str, str] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT id, parent FROM chunks WHERE parent NOTNULL AND id IN ({marks})"
            found |= self._rows(query, some)
        if missing := [id for id in ids if id not in found]:
            raise MissingChunkError(f"no piece {missing[0]}")
        return [found[id] for id in ids]

    def siblings(self, chunk: Chunk) -> list[Chunk]:
        """Return the pieces of the same parent in their order, `chunk` among them."""
        rows = self._rows(
            f"{_CHUNK} WHERE d.name = ? AND c.parent IS ? ORDER BY c.sibling",
            (_bytes(chunk.document), chunk.parent),
        )
        return list(map(_chunk, rows))

    def count_siblings(self, chunk: Chunk) -> int:
        """Return how many pieces the parent of `chunk` has."""
        ((count,),) = self._rows(
            "SELECT count(*) FROM chunks c JOIN documents d ON d.number = c.document "
            "WHERE d.name = ? AND c.parent IS ?",
            (_bytes(chunk.document), chunk.parent),
        )
        return int(count)

    def all(self) -> Iterator[Chunk]:
        """Yield all chunks, parents and copies too, in an order that is the same in every build."""
        return map(_chunk, self._rows(f"{_CHUNK} ORDER BY d.name, c.number"))

    def searched(self) -> Iterator[Chunk]:
        """Yield the chunks that are searched, each text once, in an order that is the same in every build."""
        return map(_chunk, self._rows(f"{_CHUNK} WHERE c.is_searched ORDER BY d.name, c.number"))

    def search(self, order: Sequence[str], *, across: bool) -> dict[str, list[str]]:
        """Choose the leaves that are searched, and return their ids by document.

        A leaf whose words another has is left out: it would take the place of another passage. The first one
        stays. `across` documents only, those of its document stay too: where leaves are merged, a text that
        a section repeats counts for that section.

        Args:
            order: The names of all documents.
            across: Whether only copies in other documents are left out.
        """
        held: dict[str, list[tuple[str, str]]] = {name: [] for name in order}
        for name, id, text in self._rows(
            "SELECT d.name, c.id, c.words FROM chunks c JOIN documents d ON d.number = c.document "
            "WHERE c.is_leaf ORDER BY c.number"
        ):
            held[_text(name)].append((id, text))
        first: dict[str, tuple[str, str]] = {}
        kept: dict[str, list[str]] = {}
        for document, chunks in held.items():
            found = [(id, first.setdefault(text, (id, document))) for id, text in chunks]
            kept[document] = [id for id, (known, of) in found if known == id or (across and of == document)]
        left_out = {id for chunks in held.values() for id, _ in chunks}.difference(*kept.values())
        with self._lock, self._connection as transaction:
            transaction.execute("BEGIN")
            transaction.execute("UPDATE chunks SET is_searched = is_leaf WHERE is_searched != is_leaf")
            transaction.executemany(
                "UPDATE chunks SET is_searched = 0 WHERE id = ?", [(id,) for id in left_out]
            )
        return kept

    def copies(self, order: Sequence[str]) -> Mapping[str, tuple[Span, ...]]:
        """Return where else the words of a chunk stand, by the id of each chunk that has copies.

        Args:
            order: The names of the documents.
        """
        place = {name: number for number, name in enumerate(order)}
        rows = self._rows(
            "SELECT c.words, c.id, d.name, c.page, c.start, c.end, c.page_end "
            "FROM chunks c JOIN documents d ON d.number = c.document WHERE c.words IN "
            "(SELECT words FROM chunks GROUP BY words HAVING count(*) > 1) ORDER BY c.number"
        )
        alike: dict[str, list[tuple[str, Span]]] = {}
        for text, id, name, *rest in rows:
            alike.setdefault(text, []).append((id, Span(_text(name), *rest)))
        found = {}
        for chunks in alike.values():
            chunks.sort(key=lambda each: place[each[1].document])
            spans = dict.fromkeys(span for _, span in chunks)
            for id, own in chunks:
                if others := tuple(span for span in spans if span != own):
                    found[id] = others
        return found

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def _row(chunk: Chunk, document: int | None, is_leaf: bool) -> tuple[Any, ...]:
    text, alike = _bytes(chunk.text), digest(words(chunk.text))
    if chunk.around:
        alike = digest([alike, words(chunk.around)])
    place = (chunk.page, chunk.start, chunk.end, chunk.page_end)
    return chunk.id, document, text, *place, chunk.parent, chunk.level, chunk.number, alike, is_leaf, is_leaf


def _chunk(row: Any) -> Chunk:
    id, text, document, *rest = row
    return Chunk(id, _text(text), _text(document), *rest)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
