"""Stores of vectors: the local one, LlamaIndex's simple one and pgvector; what one document more costs.

python -m benchmarks.stores [--passages 100000] [--pgvector 100000] [--million] [--go-on]

Vectors are random unit vectors and texts are made up. Such vectors are the hardest case for an approximate
index: everything is about as far from everything. So pgvector is measured twice, also with vectors that are
random in a few directions and nearly nothing in the others, as vectors of texts are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.retrieval.chunks import Chunk
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.llamaindex_store import LlamaIndexStore
from rag_evals.rag.retrieval.stores.local import LocalStore
from rag_evals.rag.retrieval.stores.pgvector import PgVector
from rag_evals.rag.retrieval.stores.protocol import Entry
from rag_evals.rag.retrieval.stores.setting import store_setting

from benchmarks.report import RESULTS, print_table, save

DIMENSION = 384
OF_A_DOCUMENT = 100
DIRECTIONS = 32
NOISE = 0.1
TOP_K = 10
WIDTHS = (40, 100, 200, 400, 800, 1000)
WORDS = [hashlib.sha256(str(n).encode()).hexdigest()[: 3 + n % 8] for n in range(2000)]


def unit_vectors(seed: int, count: int, directions: int = 0) -> Any:
    """Draw unit vectors, a row each; with `directions`, in so many of them and a tenth of noise."""
    draw = np.random.default_rng(seed)
    drawn = draw.normal(size=(count, DIMENSION)).astype("<f4")
    if directions:
        basis = np.random.default_rng(0).normal(size=(directions, DIMENSION)) / np.sqrt(directions)
        drawn = (draw.normal(size=(count, directions)) @ basis + NOISE * drawn).astype("<f4")
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def entries(passages: int, directions: int = 0) -> Iterator[Entry]:
    """Yield made-up documents of a hundred passages of some 300 characters."""
    for number in range(passages // OF_A_DOCUMENT):
        draw = np.random.default_rng(number).integers(len(WORDS), size=(OF_A_DOCUMENT, 40))
        chunks, start = [], 0
        for place, words in enumerate(draw):
            text = " ".join(WORDS[word] for word in words)
            id = hashlib.sha256(f"{number}/{place}".encode()).hexdigest()
            chunks.append(Chunk(id, text, f"{number}.txt", None, start, start + len(text), number=place))
            start += len(text) + 1
        yield Entry(f"{number}.txt", str(number), chunks, unit_vectors(number, OF_A_DOCUMENT, directions))


def filled(folder: Path, passages: int, directions: int = 0) -> float:
    """Write a local store; return the seconds that it took."""
    started = time.perf_counter()
    chunks, store = ChunkTable(folder, writable=True), LocalStore(folder)
    group: list[Entry] = []
    for entry in entries(passages, directions):
        chunks.put(entry.document, entry.digest, entry.chunks)
        group.append(entry)
        if len(group) == 100:
            store.add(group)
            group = []
    store.add(group)
    store.save()
    chunks.close()
    return time.perf_counter() - started


def opened_and_searched(folder: Path) -> dict[str, float]:
    """Open a local store and search in it, in this process, and tell what that takes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.perf_counter()
    chunks, store = ChunkTable(folder), LocalStore(folder)
    names = set(chunks.documents()) == set(store.documents())
    opening = time.perf_counter() - started
    assert names
    seconds = []
    for vector in unit_vectors(1_000_000, 60):
        started = time.perf_counter()
        chunks.get([id for id, _ in store.nearest(vector, TOP_K)])
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    array = (folder / "vectors.f32").stat().st_size
    return {
        "open_seconds": opening,
        "first_search_seconds": seconds[0],
        "search_p50_ms": 1000 * median(seconds[1:]),
        "peak_beyond_array_mb": (peak - before - array) / 1e6,
    }


def local(folder: Path, passages: int) -> dict[str, float]:
    """Fill a local store; open and search it in another process."""
    seconds = filled(folder, passages)
    command = [sys.executable, "-m", "benchmarks.stores", "--open", str(folder)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {"passages": passages, "fill_seconds": seconds, "disk_mb": size / 1e6, **told}


def simple(passages: int) -> dict[str, float]:
    """Search as LlamaIndex does without any other store, for a few questions."""
    from llama_index.core.vector_stores.simple import SimpleVectorStore
    from llama_index.core.vector_stores.types import VectorStoreQuery

    store = SimpleVectorStore()
    for entry in entries(passages):
        vectors = entry.vectors.tolist()
        store.data.embedding_dict |= {c.id: v for c, v in zip(entry.chunks, vectors, strict=True)}
    seconds = []
    for vector in unit_vectors(1_000_000, 3):
        started = time.perf_counter()
        store.query(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=TOP_K))
        seconds.append(time.perf_counter() - started)
    return {"search_p50_ms": 1000 * median(seconds)}


class MadeUp:
    """An embedder that draws vectors from the hash of the text, and counts."""

    name = "made-up"
    fingerprint = "made-up"
    texts = 0

    def embed(self, texts: Any, *, progress: str | None = None) -> Any:
        self.texts += len(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        return np.concatenate([unit_vectors(seed, 1) for seed in seeds])


def one_more(folder: Path) -> dict[str, float]:
    """Build an index of a thousand documents, and one of the same and one more."""
    documents = [
        Document(e.document, "\n\n".join(f"{chunk.text}." for chunk in e.chunks[:12]), (), "")
        for e in entries(1001 * OF_A_DOCUMENT)
    ]
    config = PipelineConfig("stores", chunk_sizes=(160,))
    told: dict[str, float] = {}
    for name, some in (("thousand", documents[:1000]), ("one_more", documents)):
        embedder: Any = MadeUp()
        index = Index(Corpus(tuple(some)), config, embedder, folder)
        started = time.perf_counter()
        passages = index.load().notes.passages
        told |= {
            f"{name}_seconds": time.perf_counter() - started,
            f"{name}_embedded": embedder.texts,
            f"{name}_passages": passages,
        }
    return told


def postgres(folder: Path, passages: int, address: str, directions: int = 0) -> dict[str, Any]:
    """Fill a table of pgvector from the local store, index it, and search it with several widths."""
    exact = LocalStore(folder)
    documents = exact.documents()
    config = PipelineConfig("stores", store=f"pgvector:{address}", store_index="none")

    def store_for(width: int) -> LlamaIndexStore:
        wider = replace(config, ef_search=width, store_index="hnsw")
        return LlamaIndexStore(PgVector(store_setting(wider), wider, "bench"), exact, documents)

    store = store_for(WIDTHS[0])
    started = time.perf_counter()
    for entry in entries(passages, directions):
        store.add([entry])
    loading = time.perf_counter() - started
    started = time.perf_counter()
    store.finish()
    told: dict[str, Any] = {
        "passages": passages,
        "load_seconds": loading,
        "hnsw_seconds": time.perf_counter() - started,
        "by_ef_search": [],
    }
    questions = list(unit_vectors(1_000_000, 50, directions))
    nearest = [{id for id, _ in exact.nearest(vector, TOP_K)} for vector in questions]
    for width in WIDTHS:
        store.close()
        store = store_for(width)
        seconds, recall = [], []
        for vector, right in zip(questions, nearest, strict=True):
            started = time.perf_counter()
            found = store.nearest(vector, TOP_K)
            seconds.append(time.perf_counter() - started)
            recall.append(len(right & {id for id, _ in found}) / TOP_K)
        told["by_ef_search"].append(
            {"ef_search": width, "recall_at_10": fmean(recall), "search_p50_ms": 1000 * median(seconds)}
        )
    enough = [each["ef_search"] for each in told["by_ef_search"] if each["recall_at_10"] >= 0.95]
    return {**told, "ef_search_of_recall_0.95": enough[0] if enough else None}


def in_postgres(folder: Path, passages: int, directions: int) -> dict[str, Any]:
    """Measure pgvector on a server of its own."""
    from tests.servers.postgres import Postgres

    with Postgres.started() as server:
        address = server.database()
        name = server.run("SELECT current_database()", address)[0][0]
        # As pgvector recommends: the index is built in memory.
        memory = max(1, 4 * passages // 1_000_000)
        server.run(f"ALTER DATABASE {name} SET maintenance_work_mem = '{memory}GB'")
        return postgres(folder, passages, address, directions)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--pgvector", type=int, default=100_000, help="passages there; 0 for none")
    parser.add_argument("--million", action="store_true", help="a million passages there, too: an hour")
    parser.add_argument("--go-on", action="store_true", help="measure what the file of results lacks")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        print(json.dumps(opened_and_searched(options.open)))
        return
    result: dict[str, Any] = {"dimension": DIMENSION}
    if options.go_on:
        result |= json.loads((RESULTS / "stores.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        if "one_document_more" not in result:
            folder = Path(scratch, "local")
            folder.mkdir()
            result["local"] = local(folder, options.passages)
            result["simple"] = simple(options.passages)
            times = result["simple"]["search_p50_ms"] / result["local"]["search_p50_ms"]
            result["times_as_fast_as_simple"] = times
            result["one_document_more"] = one_more(Path(scratch, "indexes"))
        in_server = {
            "pgvector": (options.pgvector, 0),
            "pgvector_few_directions": (options.pgvector, DIRECTIONS),
            "pgvector_million": (1_000_000 * options.million, DIRECTIONS),
        }
        for name, (passages, directions) in in_server.items():
            if passages and name not in result:
                folder = Path(scratch, name)
                folder.mkdir()
                filled(folder, passages, directions)
                result[name] = in_postgres(folder, passages, directions)
    rows = [("", "measured")]
    for part in ("local", "simple", "one_document_more", *in_server):
        for key, value in result.get(part, {}).items():
            if not isinstance(value, list):
                rows.append(
                    (f"{part} {key}".replace("_", " "), f"{value:,.3f}" if value is not None else "-")
                )
    print_table(rows)
    for part in in_server:
        for each in result.get(part, {}).get("by_ef_search", []):
            print(part, {key: round(value, 3) for key, value in each.items()})
    save("stores", result)


if __name__ == "__main__":
    main()
