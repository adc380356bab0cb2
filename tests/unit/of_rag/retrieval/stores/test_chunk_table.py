"""The chunks of an index in SQLite: found by id, in order, and nothing else is taken for it."""

from __future__ import annotations

import sqlite3

import pytest
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable, MissingChunkError

from tests.unit.of_rag.retrieval.stores.test_local import entry


def filled(folder, *names):
    table = ChunkTable(folder, writable=True)
    for name in names:
        table.put(name, f"digest of {name}", entry(name, 4).chunks)
    return table


def test_chunks_by_their_ids(tmp_path):
    """In the order in which they are asked for, however many."""
    filled(tmp_path, "b", "a").close()
    table = ChunkTable(tmp_path)
    chunks = [*entry("a", 4).chunks, *entry("b", 4).chunks]
    assert list(table.all()) == chunks
    assert table.get([chunk.id for chunk in chunks[::-1]] * 300) == chunks[::-1] * 300
    assert table.get([]) == []
    assert table.siblings(chunks[1]) == chunks[:4]
    assert table.count_siblings(chunks[1]) == 4
    assert table.documents() == {"b": "digest of b", "a": "digest of a"}
    with pytest.raises(MissingChunkError, match=r"^no chunk nowhere$"):
        table.get([chunks[0].id, "nowhere"])


def test_an_open_table_is_not_written_to(tmp_path):
    filled(tmp_path, "a").close()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        ChunkTable(tmp_path).remove(["a"])
    assert [file.name for file in tmp_path.iterdir()] == ["chunks.sqlite"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER DELETE ON chunks BEGIN DELETE FROM documents; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE documents; CREATE VIEW documents AS SELECT 1 AS number, x'61' AS name, '' AS digest",
        "ALTER TABLE chunks ADD COLUMN more TEXT AS (text)",
        "DROP INDEX of_documents",
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_what_computes_is_no_index(statement, writable, tmp_path):
    """Views, triggers and columns that are computed are damage."""
    filled(tmp_path, "a").close()
    with sqlite3.connect(tmp_path / "chunks.sqlite") as connection:
        connection.executescript(statement)
    connection.close()
    with pytest.raises(
        sqlite3.DatabaseError, match=r"^chunks.sqlite has other tables than those of an index$"
    ):
        ChunkTable(tmp_path, writable=writable)
