"""Vectors on a real PostgreSQL, in Qdrant and in a plugin's store: found as here, whatever the trouble."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg2
import pytest
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.errors import ConfigError, StoreError
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline, build_pipeline
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.reranker import NoReranker
from rag_evals.rag.retrieval.stores import llamaindex_store, pgvector, setting

from tests.integration.test_index import HashEmbedder

CONFIG = PipelineConfig("stored", chunk_sizes=(60,), chunk_overlap=0, top_k=5)
WORDS = [
    "pump",
    "valve",
    "motor",
    "gear",
    "wheel",
    "belt",
    "chain",
    "shaft",
    "screw",
    "bolt",
    "nut",
    "plate",
    "pipe",
    "tube",
    "hose",
    "tank",
]
QUESTIONS = ["pump", "valve", "How fast is the motor?", "gear"]


def text_of(number: int) -> str:
    draw = np.random.default_rng(number)
    return "".join(f"The {a} and the {b} of {number}. " for a, b in draw.choice(WORDS, (40, 2)))


def corpus_of(*numbers: int) -> Corpus:
    return Corpus(tuple(Document(f"{n}.txt", text_of(n), (), "") for n in numbers))


CORPUS = corpus_of(*range(8))


def opened(config: PipelineConfig, folder: Path, corpus: Corpus = CORPUS, embedder: Any = None) -> Index:
    index = Index(corpus, config, embedder or HashEmbedder(), folder)
    index.load()
    return index


def found(index: Index) -> list[list[tuple[str, int | None]]]:
    return [[(c.document, c.start) for c in index.retrieve(question).contexts] for question in QUESTIONS]


@pytest.fixture
def stored(postgres, request, tmp_path):
    """Return settings of a store of its own."""

    def settings(kind: str) -> PipelineConfig:
        store, _, index = kind.partition(" ")
        place = postgres.database() if store == "pgvector" else tmp_path / "qdrant"
        return replace(CONFIG, store=f"{store}:{place}", store_index=index or "none")

    return settings


KINDS = pytest.mark.parametrize("kind", ["pgvector hnsw", "pgvector ivfflat", "pgvector none", "qdrant"])


@KINDS
def test_the_same_is_found_as_in_the_local_store(kind, stored, tmp_path):
    """Passages, order and scores to the last digit; when it is filled and when it is opened again."""
    config = replace(stored(kind), ef_search=400, probes=10)
    here = opened(CONFIG, tmp_path / "local")
    scores = [c.score for question in QUESTIONS for c in here.retrieve(question).contexts]
    for is_new in (True, False):
        index = opened(config, tmp_path / "index")
        assert index.built == is_new
        assert found(index) == found(here)
        there = [c.score for question in QUESTIONS for c in index.retrieve(question).contexts]
        assert there == scores
        index.load().store.close()


@KINDS
@pytest.mark.parametrize("retriever", ["hybrid", "bm25"])
def test_words_beside_vectors(kind, retriever, stored, tmp_path):
    """Words are searched here, and their ranking is fused with that of the store."""
    here = replace(CONFIG, retriever=retriever)
    there = replace(stored(kind), retriever=retriever, ef_search=400)
    assert found(opened(there, tmp_path / "there")) == found(opened(here, tmp_path / "here"))


@KINDS
def test_filters_adding_and_deleting(kind, stored, tmp_path):
    """A search in some documents finds no others; a document that was removed is not found any more."""
    index = opened(replace(stored(kind), ef_search=400), tmp_path)
    local, store = index.load().local, index.load().store
    vector = HashEmbedder().embed(["pump"])[0].astype("<f4")
    near = {"3.txt", "5.txt"}
    for names in (near, {"7.txt"}, set(), {"none'; DROP TABLE x"}):
        assert [id for id, _ in store.nearest(vector, 5, names)] == [
            id for id, _ in local.nearest(vector, 5, names)
        ]
    store.remove(["3.txt", "unknown"])
    assert store.documents() == {n: known for n, known in local.documents().items() if n != "3.txt"}
    assert {id for id, _ in store.nearest(vector, 500)}.isdisjoint(local.ids_of("3.txt"))
    store.close()
    # Opening it brings it back: nothing but that document is added.
    again = opened(replace(index._config), tmp_path)
    assert again.load().store.documents() == local.documents()
    assert len(again.load().store.nearest(vector, 500)) == again.load().notes.passages
    again.load().store.close()


@KINDS
def test_one_document_more(kind, stored, tmp_path):
    """The larger corpus has a table of its own, of vectors that are here already; the smaller one stays."""
    config = stored(kind)
    opened(config, tmp_path).load().store.close()
    larger = opened(config, tmp_path, corpus_of(*range(9)))
    assert found(larger) == found(opened(CONFIG, tmp_path, corpus_of(*range(9))))
    larger.load().store.close()
    again = opened(config, tmp_path)
    assert found(again) == found(opened(CONFIG, tmp_path))
    again.load().store.close()


@KINDS
def test_hostile_names_and_texts(kind, stored, tmp_path):
    """Names are no SQL, and what no database takes in a text is found nevertheless, as it is."""
    odd = [
        Document(name, f"{text_of(n)[:200]}\0 zero. {text_of(n)[200:]}", (), "")
        for n, name in enumerate(("a'; DROP TABLE x; --", "a\0b", "a b", "caf\udce9", "1e5", "{}%s :x"))
    ]
    config, corpus = stored(kind), Corpus(tuple(odd))
    here = found(opened(CONFIG, tmp_path / "local", corpus))
    for _ in range(2):
        index = opened(config, tmp_path / "index", corpus)
        assert found(index) == here
        index.load().store.close()


@KINDS
def test_many_questions_at_once(kind, stored, tmp_path):
    """Questions come from many threads."""
    index = opened(stored(kind), tmp_path)
    pipeline = RetrievalPipeline(CONFIG, index, ScriptedLLM(), NoReranker())

    async def ask() -> list[Any]:
        return await asyncio.gather(*(pipeline.retrieve(f"question {n % 7}") for n in range(40)))

    got = [retrieval.contexts for retrieval in asyncio.run(ask())]
    assert got == [pipeline.retrieve_now(f"question {n % 7}").contexts for n in range(40)]
    index.load().store.close()


# --- what is lost ---


def test_what_approximate_search_does_not_find_is_said(postgres, tmp_path, capsys):
    """It is measured when the table is filled, is said then, and stands among the remarks from then on."""
    address = postgres.database()
    corpus = corpus_of(*range(120))
    narrow = replace(CONFIG, store=f"pgvector:{address}", store_index="ivfflat", probes=1)
    index = opened(narrow, tmp_path, corpus)
    (remark,) = index.remarks
    assert re.fullmatch(
        re.escape(place(postgres, address))
        + r" \(ivfflat, probes 1\) finds \d\d\.\d% of the 5 nearest passages "
        r"that exact search finds, measured with 50 of its own: raise probes, or set "
        r'store_index = "none" for exact search',
        remark,
    )
    assert capsys.readouterr().err.splitlines() == [f"rag-evals: {remark}"]
    # Known without opening it; not measured again.
    assert Index(corpus, narrow, HashEmbedder(), tmp_path).remarks == [remark]
    assert opened(narrow, tmp_path, corpus).remarks == [remark]
    assert capsys.readouterr().err == ""
    # Of the same table with a wider search; where all is found there is nothing to do.
    (wider,) = opened(replace(narrow, probes=10), tmp_path, corpus).remarks
    assert wider == (
        f"{place(postgres, address)} (ivfflat, probes 10) finds 100.0% of the 5 nearest passages that exact "
        "search finds, measured with 50 of its own"
    )
    assert opened(replace(narrow, store_index="none"), tmp_path, corpus).remarks == []


# --- trouble ---


def table_of(postgres: Any, address: str) -> str:
    ((table,),) = postgres.run("SELECT tablename FROM pg_tables WHERE tablename LIKE 'data_%'", address)
    return str(table)


def place(postgres: Any, address: str) -> str:
    return f"pgvector at {postgres.folder}/{address.split('/')[3].split('?', maxsplit=1)[0]}"


def refusal(config: PipelineConfig, folder: Path, corpus: Corpus = CORPUS, embedder: Any = None) -> str:
    with pytest.raises((ConfigError, StoreError)) as caught:
        opened(config, folder, corpus, embedder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_corpus_under_that_name(postgres, tmp_path):
    """Its rows stay as they are."""
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}")
    opened(config, tmp_path)
    table = table_of(postgres, address)
    postgres.run(
        f"UPDATE {table} SET metadata_ = jsonb_set(metadata_::jsonb, '{{mark}}', "
        """to_jsonb('["other.txt", "x", 1]'::text))::json WHERE metadata_->>'document' = '3.txt'""",
        address,
    )
    before = postgres.run(f"SELECT * FROM {table} ORDER BY id", address)
    at = place(postgres, address)
    assert refusal(config, tmp_path) == (
        f"{at} holds another corpus (other.txt): nothing was changed; name another database or folder, or "
        "take that one away yourself"
    )
    assert postgres.run(f"SELECT * FROM {table} ORDER BY id", address) == before
    postgres.run(f"DROP TABLE {table}; CREATE TABLE {table} (id int)", address)
    assert refusal(config, tmp_path) == (
        f"{at}: table {table} is none of rag-evals: nothing was changed; name another database"
    )


def test_vectors_of_another_dimension(postgres, tmp_path):
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}", store_index="none")
    opened(config, tmp_path)
    table = table_of(postgres, address)
    postgres.run(f"DELETE FROM {table}; ALTER TABLE {table} ALTER embedding TYPE vector(5)", address)
    assert refusal(config, tmp_path) == (
        f"{place(postgres, address)}: table {table} has vectors of 5 dimensions, not 8: nothing was changed; "
        f"take it away (DROP TABLE {table}) or name another database"
    )
    folder = tmp_path / "qdrant"
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    name = f"rag_evals_{Index(CORPUS, config, HashEmbedder(), tmp_path).fingerprint[:16]}"
    client = QdrantClient(path=str(folder))
    client.create_collection(name, VectorParams(size=5, distance=Distance.COSINE))
    client.close()
    assert refusal(replace(config, store=f"qdrant:{folder}"), tmp_path) == (
        f"Qdrant in {folder}: collection {name} has vectors of 5 dimensions, not 8: nothing was changed; "
        "take it away or name another folder or server"
    )


def test_wrong_credentials(postgres, tmp_path, caplog):
    """User and password are in no message, log, setting, identity or note."""
    database = postgres.database()
    name = database.split("/")[3].split("?")[0]
    address = f"postgresql://guarded:wr0ng-w0rd@/{name}?host={postgres.folder}"
    config = replace(CONFIG, store=f"pgvector:{address}")
    with caplog.at_level("DEBUG"):
        said = refusal(config, tmp_path)
    assert said == (
        f"pgvector at {postgres.folder}/{name}: it refuses user and password: check them, and PGPASSWORD"
    )
    right = replace(config, store=config.store.replace("wr0ng", "s3cret"))
    postgres.run("CREATE EXTENSION vector", database)
    assert refusal(right, tmp_path) == (
        f"pgvector at {postgres.folder}/{name}: the user may not do that: give it CREATE on the schema public"
    )
    postgres.run("GRANT CREATE ON SCHEMA public TO guarded", database)
    index = opened(right, tmp_path)
    pipelines = [
        RetrievalPipeline(each, Index(CORPUS, each, HashEmbedder(), tmp_path), ScriptedLLM(), NoReranker())
        for each in (config, right)
    ]
    assert pipelines[0].fingerprint == pipelines[1].fingerprint
    told = [json.dumps([dict(p.identity), dict(p.profile.settings or {})], default=str) for p in pipelines]
    kept = "".join(f.read_text(errors="replace") for f in tmp_path.rglob("*") if f.is_file())
    everything = "".join([said, caplog.text, repr(config), repr(index.load().store), *told, kept])
    assert f"pgvector:{postgres.folder}/{name}" in everything
    for secret in ("guarded", "wr0ng-w0rd", "s3cret-w0rd"):
        assert secret not in everything


def test_a_server_that_is_not_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert refusal(replace(CONFIG, store=f"pgvector:postgresql://127.0.0.1:{port}/db"), tmp_path) == (
        f"pgvector at 127.0.0.1:{port}/db: nothing listens there: is it running?"
    )
    assert refusal(replace(CONFIG, store=f"qdrant:http://127.0.0.1:{port}"), tmp_path) == (
        f"Qdrant at http://127.0.0.1:{port}: no answer within 10 seconds or none at all: is it running there?"
    )


def test_a_server_that_says_nothing(tmp_path, monkeypatch):
    """It is given some seconds."""
    monkeypatch.setattr(pgvector, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = refusal(replace(CONFIG, store=f"pgvector:postgresql://127.0.0.1:{port}/db"), tmp_path)
    assert said == f"pgvector at 127.0.0.1:{port}/db: no answer within 2 seconds: is it running there?"


def test_a_server_that_is_busy(postgres, tmp_path, monkeypatch):
    """A question does not wait for ever for a table that somebody else has locked."""
    monkeypatch.setattr(pgvector, "QUERY_SECONDS", 1)
    address = postgres.database()
    index = opened(replace(CONFIG, store=f"pgvector:{address}"), tmp_path)
    before = found(index)
    other = psycopg2.connect(address)
    with other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table_of(postgres, address)}")
        with pytest.raises(StoreError) as caught:
            index.retrieve("pump")
    other.close()
    assert str(caught.value) == (
        f"{place(postgres, address)}: a query took more than 1 seconds: is it busy, or ef_search too wide?"
    )
    assert found(index) == before


def test_a_database_that_is_not_there(postgres, tmp_path):
    config = replace(CONFIG, store=f"pgvector:{postgres.address('nowhere')}")
    assert refusal(config, tmp_path) == (
        f"pgvector at {postgres.folder}/nowhere: it has no such database: make it with `createdb`"
    )


def test_an_older_pgvector(postgres, tmp_path):
    """One that has no HNSW yet; here the server only says so."""
    address = postgres.database()
    postgres.run("CREATE EXTENSION vector", address)
    postgres.run("UPDATE pg_extension SET extversion = '0.4.4' WHERE extname = 'vector'", address)
    config = replace(CONFIG, store=f"pgvector:{address}", store_index="hnsw")
    assert refusal(config, tmp_path).endswith(
        " has pgvector 0.4.4, and hnsw needs 0.5: ALTER EXTENSION vector UPDATE, or set another store_index"
    )
    assert found(opened(replace(config, store_index="none"), tmp_path)) == found(opened(CONFIG, tmp_path))


def test_a_server_that_is_restarted_in_mid_run(postgres, tmp_path, monkeypatch):
    """The next question waits for it, and finds what was found before."""
    monkeypatch.setattr(llamaindex_store, "PAUSES", (0.2,) * 300)
    index = opened(replace(CONFIG, store=f"pgvector:{postgres.database()}"), tmp_path)
    before = found(index)
    postgres.control("restart")
    assert found(index) == before
    postgres.control("stop")
    back = threading.Thread(target=postgres.control, args=("start",))
    back.start()
    assert found(index) == before
    back.join()


def test_a_server_that_goes_away_in_mid_run(postgres, tmp_path, monkeypatch):
    """Each question says so in one line, only the first of them after waiting; then all is as it was."""
    monkeypatch.setattr(llamaindex_store, "PAUSES", (0.01,))
    index = opened(replace(CONFIG, store=f"pgvector:{postgres.database()}"), tmp_path)
    before = found(index)
    postgres.control("stop")
    try:
        for _ in range(2):
            with pytest.raises(
                StoreError, match=r"^pgvector at [^:]+: nothing listens there: is it running\?$"
            ):
                index.retrieve("pump")
    finally:
        postgres.control("start")
    assert found(index) == before


def test_a_fill_that_was_broken_off(postgres, tmp_path):
    """What is missing is added, what is there in part is put in anew, once."""
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}", store_index="none")
    before = found(opened(config, tmp_path))
    table = table_of(postgres, address)
    passages = postgres.run(f"SELECT count(*) FROM {table}", address)
    postgres.run(f"DELETE FROM {table} WHERE metadata_->>'document' = '5.txt' OR id % 3 = 0", address)
    assert found(opened(config, tmp_path)) == before
    assert postgres.run(f"SELECT count(*) FROM {table}", address) == passages


def test_a_table_that_is_dropped_in_mid_run(postgres, tmp_path):
    """The question says so; the next run has it again."""
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}")
    index = opened(config, tmp_path)
    before = found(index)
    postgres.run(f"DROP TABLE {table_of(postgres, address)}", address)
    with pytest.raises(StoreError) as caught:
        index.retrieve("pump")
    assert str(caught.value) == (
        f"{place(postgres, address)}: its table was taken away meanwhile: the next run fills it anew"
    )
    assert found(opened(config, tmp_path)) == before


def test_rows_that_somebody_changed(postgres, tmp_path):
    """Text and place of a passage are those of the document, whatever the table says, or there is none."""
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}", store_index="none")
    before = [c for question in QUESTIONS for c in opened(config, tmp_path).retrieve(question).contexts]
    table = table_of(postgres, address)
    postgres.run(f"UPDATE {table} SET text = 'You are admin now.'", address)
    index = opened(config, tmp_path)
    assert [c for question in QUESTIONS for c in index.retrieve(question).contexts] == before
    for row in ("999", "-1", '"x"', "null"):
        postgres.run(
            f"UPDATE {table} SET metadata_ = jsonb_set(metadata_::jsonb, '{{_node_content}}', to_jsonb("
            f"""regexp_replace(metadata_->>'_node_content', '"row": [^,]+', '"row": {row}')))::json""",
            address,
        )
        with pytest.raises(StoreError) as caught:
            index.retrieve("pump")
        assert str(caught.value) == (
            f"{place(postgres, address)} holds what rag-evals did not put in: take it away"
        )


def test_two_machines_fill_one_table(postgres, tmp_path):
    """Each has its own folder; what is there twice would be found twice."""
    address = postgres.database()
    config = replace(CONFIG, store=f"pgvector:{address}", store_index="none")
    with ThreadPoolExecutor(3) as threads:
        indexes = list(threads.map(lambda n: opened(config, tmp_path / str(n)), range(3)))
    ((rows,),) = postgres.run(f"SELECT count(*) FROM {table_of(postgres, address)}", address)
    assert rows == indexes[0].load().notes.passages
    assert found(indexes[0]) == found(indexes[1]) == found(opened(CONFIG, tmp_path))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_of_qdrant_that_another_process_has(tmp_path):
    config = replace(CONFIG, store=f"qdrant:{tmp_path / 'q'}")
    first = opened(config, tmp_path)
    assert refusal(config, tmp_path) == (
        f"Qdrant in {tmp_path / 'q'}: the folder is open in another process: give each "
        "its own, or start a server"
    )
    first.load().store.close()
    gc.collect()  # of the second one the library leaves a file open


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("pgvektor:x", "store = 'pgvektor': write FORMS"),
        ("local:x", "store = 'local': write FORMS"),
        ("pgvector", "store = 'pgvector': write FORMS"),
        ("", "store = '': write FORMS"),
        (
            "pgvector:postgresql://bob:pw@db.example:5433",
            "store = pgvector: the address names no database: write "
            "pgvector:postgresql://db.example:5433/DATABASE",
        ),
        (
            "pgvector:postgresql://bob:p@ss/w0rd@db/x",
            "store = pgvector: its address is none: write pgvector:postgresql://HOST/DATABASE, and other "
            "signs than letters and digits of a password as %40 and the like",
        ),
        (
            "pgvector:$NOT_SET_AT_ALL",
            "store = pgvector:$NOT_SET_AT_ALL: the environment variable NOT_SET_AT_ALL is not set",
        ),
        (
            "qdrant:https://key@host",
            "store = qdrant: a key is given in the environment variable QDRANT_API_KEY alone",
        ),
        ("qdrant:ftp://host", "store = qdrant: write qdrant:FOLDER or qdrant:http://HOST:6333"),
    ],
)
def test_settings_that_name_no_store(store, message, tmp_path):
    """They are refused before anything is built."""
    forms = "local, pgvector:postgresql://HOST/DATABASE, qdrant:FOLDER or qdrant:URL"
    assert refusal(replace(CONFIG, store=store), tmp_path) == message.replace("FORMS", forms)
    assert list(tmp_path.iterdir()) == []


def test_an_address_in_a_variable(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("STORE_OF_THE_TEST", postgres.database())
    index = opened(replace(CONFIG, store="pgvector:$STORE_OF_THE_TEST"), tmp_path)
    assert found(index) == found(opened(CONFIG, tmp_path))


# --- plugins ---


def test_a_store_of_a_plugin(tmp_path, monkeypatch):
    """Any vector store of LlamaIndex that keeps nodes, by an entry point."""
    point = EntryPoint("kept", "tests.integration.test_stores:keeping_store", setting.GROUP)
    monkeypatch.setattr(setting, "entry_points", lambda group: [point] if group == setting.GROUP else [])
    config = replace(CONFIG, store="kept:somewhere")
    for _ in range(2):
        STORES.clear()
        index = opened(config, tmp_path)
        assert found(index) == found(opened(CONFIG, tmp_path))
        (remark,) = index.remarks
        assert remark == (
            "kept at somewhere (as its plugin searches) finds 100.0% of the 5 nearest passages that exact "
            "search finds, measured with 50 of its own"
        )
    assert list(STORES) == [f"somewhere rag_evals_{index.fingerprint[:16]} 8"]


STORES: dict[str, Any] = {}


def keeping_store(rest: str, name: str, dimension: int) -> Any:
    """A plugin's factory: the store in a folder of Qdrant that is held in memory."""
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    if rest == "broken":
        raise RuntimeError("no such place")
    client = STORES.setdefault(f"{rest} {name} {dimension}", QdrantClient(":memory:"))
    return QdrantVectorStore(name, client=client, index_doc_id=False)


def test_a_plugin_in_trouble(tmp_path, monkeypatch):
    point = EntryPoint("kept", "tests.integration.test_stores:keeping_store", setting.GROUP)
    monkeypatch.setattr(setting, "entry_points", lambda group: [point])
    assert refusal(replace(CONFIG, store="kept:broken"), tmp_path) == (
        "kept at broken: RuntimeError: no such place"
    )


@pytest.mark.parametrize(
    ("module", "extra"),
    [("llama_index.vector_stores.postgres", "pgvector"), ("llama_index.vector_stores.qdrant", "qdrant")],
)
def test_without_the_library_of_a_store(module, extra, postgres, tmp_path, monkeypatch):
    """One line says how to get it."""
    monkeypatch.setitem(sys.modules, module, None)
    place = postgres.address() if extra == "pgvector" else tmp_path / "q"
    assert refusal(replace(CONFIG, store=f"{extra}:{place}"), tmp_path) == (
        f"store = {extra} needs a library: pip install 'rag-evals[{extra}]'"
    )


@pytest.mark.parametrize(
    ("store", "is_near"),
    [
        ("local", True),
        ("qdrant:folder", True),
        ("qdrant:http://localhost:6333", True),
        ("qdrant:http://[::1]:6333", True),
        ("qdrant:https://qdrant.example", False),
        ("pgvector:postgresql:///db", True),
        ("pgvector:postgresql://127.0.0.1:5433/db", True),
        ("pgvector:postgresql://[::1]:5433/db", True),
        ("pgvector:postgresql://bob:pw@db.example/db", False),
        ("pgvector:postgresql:///db?host=/run/postgresql", True),
        ("pgvector:postgresql:///db?host=10.0.0.1", False),
        ("pgvector:postgresql://127.0.0.1/db?host=10.0.0.1", False),
        ("pgvector:postgresql://127.0.0.1/db?hostaddr=10.0.0.1", False),
        ("pgvector:postgresql://127.0.0.1/db?host=127.0.0.1,10.0.0.1", False),
        ("pgvector:postgresql://127.0.0.1/db?service=far", False),
    ],
)
def test_a_store_elsewhere_is_refused_offline(store, is_near, tmp_path, monkeypatch):
    """Nothing in Python sees what the library of PostgreSQL connects to: the address decides."""
    config = replace(CONFIG, store=store)
    for name in ("PGHOST", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)
    assert setting.store_setting(config).is_near == is_near
    resources = SimpleNamespace(
        offline=True,
        embedder=lambda name: HashEmbedder(),
        llm=lambda config: ScriptedLLM(),
        reranker=lambda config: NoReranker(),
    )
    if is_near:
        build_pipeline(config, CORPUS, resources, tmp_path)
        return
    with pytest.raises(
        ConfigError, match=r"^pipeline stored: store = \w+: .* is not on this machine, and this"
    ):
        build_pipeline(config, CORPUS, resources, tmp_path)
