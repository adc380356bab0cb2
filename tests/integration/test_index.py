"""The index: every passage knows its place, is built once, and is the same in every build."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import CANDIDATES, Context, context_parts, question_part
from rag_evals.rag.config import PipelineConfig, config_for
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline
from rag_evals.rag.retrieval.chunks import Chunk
from rag_evals.rag.retrieval.coverage import Coverage
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.index_notes import facts_of, read_notes, write_notes
from rag_evals.rag.retrieval.reranker import NoReranker

ROOT = Path(__file__).parents[2]
VECTOR = PipelineConfig("vector", chunk_sizes=(64,), chunk_overlap=10, top_k=4)
MERGING = PipelineConfig(
    "merging", retriever="auto_merging", chunk_sizes=(512, 200, 50), chunk_overlap=10, top_k=5
)
BOTH = pytest.mark.parametrize("config", [VECTOR, MERGING], ids=lambda config: config.name)
EXPERTS = "How many experts does the router send each token to?"


class HashEmbedder:
    """An embedder that costs nothing: a unit vector drawn from the hash of the text."""

    name = "hash"
    fingerprint = "hash"

    def embed(self, texts: Any, *, progress: str | None = None) -> Any:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
        vectors = np.array([np.random.default_rng(seed).normal(size=8) for seed in seeds]).reshape(-1, 8)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def opened(corpus: Corpus, config: PipelineConfig, folder: Path, embedder: Any = None) -> Index:
    index = Index(corpus, config, embedder or HashEmbedder(), folder)
    index.load()
    return index


def chunks(index: Index) -> list[Chunk]:
    """Return all chunks of an index, parents too."""
    return list(index.load().chunks.all())


def parents(index: Index) -> set[str]:
    """Return the texts of the chunks that have pieces."""
    ids = {chunk.parent for chunk in chunks(index)}
    return {chunk.text for chunk in chunks(index) if chunk.id in ids}


def corpus_of(*texts: str) -> Corpus:
    documents = (
        Document(f"{n}.txt", text, (), hashlib.sha256(text.encode()).hexdigest())
        for n, text in enumerate(texts)
    )
    return Corpus(tuple(documents))


def assert_places(corpus: Corpus, index: Index) -> None:
    """Check that every chunk's text is what its document has at its offsets, on its page."""
    documents = {document.name: document for document in corpus.documents}
    for chunk in chunks(index):
        document = documents[chunk.document]
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.page == document.page_at(chunk.start)
        assert (chunk.page_end or chunk.page) == document.page_at(chunk.end - 1)


# --- places ---


@BOTH
def test_every_chunk_knows_its_place(paged, config, tmp_path):
    """Document, page and character offsets of leaves and parents are those of the document's text."""
    index = opened(paged, config, tmp_path)
    assert_places(paged, index)
    assert {chunk.page for chunk in chunks(index)} == {1, 2, 3, 4}


@BOTH
def test_places_in_a_pdf(config, tmp_path):
    """So they are for a PDF as it is read."""
    corpus = read_documents(ROOT / "fixtures/corpus/primer.pdf")
    assert_places(corpus, opened(corpus, config, tmp_path))


@BOTH
def test_places_behind_a_chunk_that_begins_like_the_one_before(config, tmp_path):
    """A short heading behind blank lines, repeated whole as overlap, shifts no place behind it.

    LlamaIndex finds no offsets for such a chunk, nor for those that follow it.
    """
    texts = []
    for words in range(15, 35):
        sentence = " ".join(f"token{n}" for n in range(words)) + ". "
        parts = (sentence, "\n" * 15, "Results. ", "\n\n\n", sentence, "Afterwards it was over. Results.")
        texts.append("".join(parts))
    corpus = corpus_of(*texts)
    assert_places(corpus, opened(corpus, replace(config, chunk_overlap=20), tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "Chapter one ........................................ 1\n" * 60,
        "same same. " * 400,
        "a" * 3000,
        "日本語の文章です。" * 300,
        "👩\u200d🔬 " * 300,
        "First.\n\n\n\n" + "   \n\n\n" * 50 + "Last.",
        "A " * 15 + "\n\n\n \n\n\n" + "same. same. " * 40,
    ],
    ids=["leaders", "repeated", "one word", "no spaces", "emoji", "blanks", "blanks then repeated"],
)
@BOTH
def test_places_in_odd_text(config, text, tmp_path):
    """Whatever the splitter makes of a text, a place is where the passage is found."""
    corpus = corpus_of(text)
    assert_places(corpus, opened(corpus, config, tmp_path))


def test_a_document_with_an_odd_name(paged, tmp_path):
    """A file's name may be no valid Unicode: its passages carry it as it is."""
    corpus = Corpus((replace(paged.documents[0], name="caf\udce9.md"),))
    for _ in range(2):
        assert {c.document for c in opened(corpus, VECTOR, tmp_path).retrieve("x").contexts} == {
            "caf\udce9.md"
        }


def test_what_a_passage_carries(paged, tmp_path):
    """A retrieved passage has text, document, page, offsets and score, best first."""
    found = opened(paged, VECTOR, tmp_path).retrieve(EXPERTS).contexts
    assert len(found) == VECTOR.top_k
    assert [c.score for c in found] == sorted((c.score for c in found if c.score is not None), reverse=True)
    text = paged.documents[0].text
    assert all(text[c.start : c.end] == c.text and c.document == "topics.pdf" and c.page for c in found)


def fingerprint(corpus: Corpus, embedder: Any) -> str:
    return Index(corpus, VECTOR, embedder, Path("nowhere")).fingerprint


# --- built once ---


@BOTH
def test_a_second_open_builds_nothing(paged, config, tmp_path):
    """The index is read from disk the second time, and finds the same."""
    first, second = opened(paged, config, tmp_path), opened(paged, config, tmp_path)
    assert (first.built, second.built) == (True, False)
    assert first.fingerprint == second.fingerprint
    assert first.retrieve(EXPERTS).contexts == second.retrieve(EXPERTS).contexts


def test_an_index_is_named_by_its_fingerprint(paged, tmp_path):
    """On disk there is one folder named by the fingerprint, and its lock."""
    index = opened(paged, VECTOR, tmp_path)
    name = index.fingerprint[:16]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.lock"]


@pytest.mark.parametrize(
    "changed",
    [
        {"chunk_sizes": (80,)},
        {"chunk_overlap": 9},
        {"retriever": "auto_merging", "chunk_sizes": (128, 64)},
    ],
)
def test_another_way_of_splitting_is_another_index(paged, changed, tmp_path):
    """A knob that shapes the index builds it anew; the old one stays for whoever still uses it."""
    opened(paged, VECTOR, tmp_path)
    assert opened(paged, replace(VECTOR, **changed), tmp_path).built
    assert not opened(paged, VECTOR, tmp_path).built


@pytest.mark.parametrize(
    "changed", [{"top_k": 2}, {"context_tokens": 99}, {"instruction": "x"}, {"name": "y"}]
)
def test_other_knobs_share_an_index(paged, changed, tmp_path):
    """A knob that does not shape the index leaves it as it is."""
    opened(paged, VECTOR, tmp_path)
    assert not opened(paged, replace(VECTOR, **changed), tmp_path).built


def test_another_document_is_another_index(paged, tmp_path):
    """A changed text, a changed name, another page, or one document more: each is another corpus."""
    document = paged.documents[0]
    others = [
        # The same file read by another version of the reader: another text under the same hash.
        replace(document, text=document.text + "."),
        replace(document, name="other.pdf"),
        replace(document, page_starts=(0,)),
    ]
    corpora = [paged, *(Corpus((other,)) for other in others), Corpus((document, others[1]))]
    assert len({fingerprint(corpus, HashEmbedder()) for corpus in corpora}) == 5


def test_another_embedder_is_another_index(paged):
    """Vectors of two models are never mixed."""
    other = SimpleNamespace(fingerprint="other", name="other")
    assert fingerprint(paged, HashEmbedder()) != fingerprint(paged, other)


class Interrupted(HashEmbedder):
    """An embedder during which the user presses Ctrl-C."""

    def embed(self, texts: Any, *, progress: str | None = None) -> Any:
        raise KeyboardInterrupt


def test_an_interrupted_build_leaves_nothing(paged, tmp_path):
    """A build that is broken off while embedding leaves no folder, and the next one builds."""
    with pytest.raises(KeyboardInterrupt):
        opened(paged, VECTOR, tmp_path, Interrupted())
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert opened(paged, VECTOR, tmp_path).built


def test_a_full_disk_leaves_nothing(paged, tmp_path, monkeypatch):
    """A build that fails half-way through writing leaves no folder either."""
    from rag_evals.rag.retrieval.stores.local import LocalStore

    def save(self: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "save", save)
        with pytest.raises(OSError, match="No space left on device"):
            opened(paged, VECTOR, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert opened(paged, VECTOR, tmp_path).built


def test_what_a_killed_build_leaves_is_no_index(paged, tmp_path):
    """The folder of a build that was killed is not taken for an index."""
    left = tmp_path / "building-abc"
    left.mkdir()
    (left / "vectors.f32").write_text("{")
    index = opened(paged, VECTOR, tmp_path)
    assert index.built
    assert len(index.retrieve(EXPERTS).contexts) == VECTOR.top_k


BUILD = """
import json, sys, time
from pathlib import Path
sys.path[:0] = ["."]
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.retrieval.index import Index
from tests.integration.test_index import HashEmbedder, MERGING, chunks

class Slow(HashEmbedder):
    def embed(self, texts, *, progress=None):
        if progress:
            time.sleep(1)
        return super().embed(texts)

corpus = read_documents(Path("fixtures/corpus/primer.pdf"))
index = Index(corpus, MERGING, Slow(), Path(sys.argv[1]))
index.load()
found = [[c.start, c.end, c.score] for c in index.retrieve("experts").contexts]
print(json.dumps({"built": index.built, "chunks": [chunk.id for chunk in chunks(index)], "found": found}))
"""


def build_in_processes(*folders: Path) -> list[dict[str, Any]]:
    """Open an index in one process a folder, all at once, each with hash seeds of its own."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(BUILD), str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
        )
        for seed, folder in enumerate(folders, 1)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(folders)
    return [json.loads(output) for output in outputs]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Open one index in three processes at once: two share a folder, the third has its own."""
    shared, apart = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("apart")
    return build_in_processes(shared, shared, apart)


def test_of_two_processes_one_builds(builds):
    """Two processes that want the same index at once get it: one builds, the other waits and reads."""
    one, two, _ = builds
    assert sorted([one["built"], two["built"]]) == [False, True]
    assert (one["chunks"], one["found"]) == (two["chunks"], two["found"])


def test_the_same_in_every_build(builds):
    """The same documents built twice have the same chunk ids and find the same passages in the same order."""
    one, _, apart = builds
    assert apart["built"]
    assert (one["chunks"], one["found"]) == (apart["chunks"], apart["found"])
    assert len(apart["found"]) > 2


def test_equal_passages_come_in_one_order(tmp_path):
    """Where scores are equal the order is that of the ids, which every build makes alike."""
    corpus = corpus_of(*["The router sends each token to two of eight experts."] * 6)
    found = [opened(corpus, VECTOR, tmp_path / name).retrieve(EXPERTS).contexts for name in ("a", "b")]
    assert len({context.score for context in found[0]}) == 1
    assert found[0] == found[1]


@BOTH
def test_a_text_counts_once(config, tmp_path):
    """Copies take no places from other passages; the passage knows every document that it stands in."""
    copies = ["The pump runs at 40 bar\nand never dry."] * 3 + ["The pump runs at 40 bar and never dry."]
    index = opened(corpus_of(*copies, "The valve closes at 5 bar."), replace(config, top_k=2), tmp_path)
    found = index.retrieve("pump")
    (pump,) = (context for context in found.contexts if "pump" in context.text)
    assert len(found.contexts) == 2
    assert pump.document == "0.txt"
    assert pump.other_documents == ("1.txt", "2.txt", "3.txt")
    assert [(span.start, span.end) for span in pump.copies] == [(0, 38)] * 3
    assert {span.document for span in found.stages[CANDIDATES]} == {f"{n}.txt" for n in range(5)}


def test_a_text_that_a_document_repeats(tmp_path):
    """So does a text that stands twice in one document."""
    text = " ".join(["One of eight experts."] * 30)
    corpus = corpus_of(f"{text}\n\n\n{'Other words. ' * 40}\n\n\n{text}")
    config = replace(VECTOR, chunk_sizes=(32,), chunk_overlap=0, top_k=8)
    contexts = opened(corpus, config, tmp_path).retrieve("x").contexts
    assert len({" ".join(context.text.split()) for context in contexts}) == len(contexts)
    assert any(context.copies for context in contexts)
    places = {(span.start, span.end) for context in contexts for span in context.places}
    assert len(places) > len(contexts)


# --- damage ---


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff\xfe", b"null"])
@pytest.mark.parametrize("file", ["vectors.f32", "ids.bin", "rows.json", "chunks.sqlite", "notes.json"])
def test_a_damaged_index_is_built_anew(paged, file, content, tmp_path, capsys):
    """One line says so, and the index is whole again for whoever comes next."""
    before = opened(paged, VECTOR, tmp_path).retrieve(EXPERTS).contexts
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (place / file).write_bytes(content)
    index = opened(paged, VECTOR, tmp_path)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"rag-evals: the index in {place} is damaged (")
    assert said.endswith("): it is built anew")
    assert index.built
    assert index.retrieve(EXPERTS).contexts == before
    assert not opened(paged, VECTOR, tmp_path).built


def test_an_index_of_other_files_is_built_anew(paged, tmp_path):
    """Links, pipes and JSON that nests without end are no index; what a link leads to stays."""
    opened(paged, VECTOR, tmp_path)
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    elsewhere = tmp_path / "elsewhere"
    for damage in (
        lambda: (place / "rows.json").write_text("[" * 100_000),
        lambda: (place / "notes.json").write_text("[" * 100_000),
        lambda: ((place / "ids.bin").unlink(), os.mkfifo(place / "ids.bin")),
        lambda: ((place / "notes.json").rename(elsewhere), (place / "notes.json").symlink_to(elsewhere)),
        lambda: (place.rename(tmp_path / "moved"), place.symlink_to(tmp_path / "moved")),
        lambda: (shutil.rmtree(place), place.symlink_to(tmp_path / "nowhere")),
    ):
        damage()
        assert opened(paged, VECTOR, tmp_path).built
        assert place.is_dir()
        assert not place.is_symlink()
        assert not opened(paged, VECTOR, tmp_path).built
    assert (tmp_path / "moved" / "chunks.sqlite").is_file()
    assert elsewhere.is_file()


def test_a_file_in_the_place_of_an_index(paged, tmp_path):
    """Whatever stands there, and an index that another version wrote without its notes, is no index."""
    name = fingerprint(paged, HashEmbedder())[:16]
    (tmp_path / name).write_text("x")
    assert opened(paged, VECTOR, tmp_path).built
    (tmp_path / name / "notes.json").unlink()
    assert opened(paged, VECTOR, tmp_path).built


# --- what the embedder reads ---

# "The pump runs at a pressure of forty bar. My cat likes to sleep on the roof."
THAI = (
    "\u0e1b\u0e31\u0e4a\u0e21\u0e19\u0e49\u0e33\u0e17\u0e33\u0e07\u0e32\u0e19\u0e17\u0e35"
    "\u0e48\u0e41\u0e23\u0e07\u0e14\u0e31\u0e19\u0e2a\u0e35\u0e48\u0e2a\u0e34\u0e1a\u0e1a"
    "\u0e32\u0e23\u0e4c \u0e41\u0e21\u0e27\u0e02\u0e2d\u0e07\u0e09\u0e31\u0e19\u0e0a"
    "\u0e2d\u0e1a\u0e19\u0e2d\u0e19\u0e1a\u0e19\u0e2b\u0e25\u0e31\u0e07\u0e04\u0e32\u0e1a"
    "\u0e49\u0e32\u0e19 "
)
# "The pump of series seven runs at a pressure of {} bar and must never run dry."
RUSSIAN = (
    "\u041d\u0430\u0441\u043e\u0441 \u0441\u0435\u0434\u044c\u043c\u043e\u0439 "
    "\u0441\u0435\u0440\u0438\u0438 \u0440\u0430\u0431\u043e\u0442\u0430\u0435\u0442"
    " \u043f\u0440\u0438 \u0434\u0430\u0432\u043b\u0435\u043d\u0438\u0438 "
    "{} \u0431\u0430\u0440 \u0438 \u043d\u0438\u043a\u043e\u0433"
    "\u0434\u0430 \u043d\u0435 \u0434\u043e\u043b\u0436\u0435\u043d \u0440"
    "\u0430\u0431\u043e\u0442\u0430\u0442\u044c \u0432\u0441\u0443\u0445\u0443\u044e"
    ". "
)


@pytest.mark.model
def test_what_the_embedder_does_not_read(embedder, tmp_path, capsys):
    """Words that it does not know, and text beyond its length, are said with the index and kept with it."""
    texts = (
        THAI * 30,
        "".join(RUSSIAN.format(n) for n in range(60)),
        "".join(f"The pump runs at {n} bar and never dry. " for n in range(60)),
    )
    config = replace(VECTOR, chunk_sizes=(160,))
    index = Index(corpus_of(*texts), config, embedder, tmp_path)
    assert index.remarks == []
    index.load()
    unknown, beyond = index.remarks
    assert "(0.txt 100%) are of words that the embedder all-minilm-l6-v2 does not know" in unknown
    assert "(1.txt " in beyond
    assert "beyond the 256 tokens that the embedder all-minilm-l6-v2 reads of a passage" in beyond
    assert capsys.readouterr().err.splitlines() == [f"rag-evals: {unknown}", f"rag-evals: {beyond}"]
    # Known without opening it, once it is on disk.
    assert Index(corpus_of(*texts), config, embedder, tmp_path).remarks == [unknown, beyond]


@pytest.mark.model
def test_english_is_read_whole(embedder, tmp_path):
    corpus = read_documents(ROOT / "fixtures/corpus/primer.pdf")
    assert opened(corpus, config_for("baseline"), tmp_path, embedder).remarks == []


def test_no_network(paged, tmp_path, monkeypatch):
    """Splitting, indexing and retrieving open no connection."""

    def refuse(*args: Any) -> None:
        raise AssertionError(f"a connection was opened: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert opened(paged, MERGING, tmp_path).retrieve(EXPERTS).contexts


def test_a_corpus_without_words(tmp_path):
    """Documents of nothing but blanks make an index in which nothing is found."""
    assert opened(corpus_of(" \n "), VECTOR, tmp_path).retrieve(EXPERTS).contexts == ()


# --- merging ---


@pytest.fixture
def merging(paged, embedder, tmp_path):
    return opened(paged, MERGING, tmp_path, embedder)


@pytest.mark.model
def test_nearest_chunks(paged, embedder, tmp_path):
    """The vector retriever gives the passages that are nearest in meaning."""
    found = opened(paged, replace(VECTOR, top_k=2), tmp_path, embedder).retrieve(EXPERTS).contexts
    assert [context.page for context in found] == [1, 1]


@pytest.mark.model
def test_leaves_are_replaced_by_their_parent(paged, merging, embedder, tmp_path):
    """When enough leaves of a parent are found, the parent stands in their place, whole and once."""
    plain = replace(MERGING, retriever="vector", chunk_sizes=(50,))
    leaves = opened(paged, plain, tmp_path, embedder).retrieve(EXPERTS).contexts
    merged = merging.retrieve(EXPERTS).contexts
    assert all(leaf.text not in parents(merging) for leaf in leaves)
    assert merged[0].text in parents(merging)
    assert len(merged) < len(leaves)
    assert len(merged[0].text) > 2 * max(len(leaf.text) for leaf in leaves)


@pytest.mark.model
def test_where_the_leaves_stand_is_kept(merging):
    """What was found before merging is told by its place; whatever was merged has it inside."""
    leaves = [chunk for chunk in chunks(merging) if chunk.text not in parents(merging)]
    places = [(leaf.document, leaf.page, leaf.start, leaf.end) for leaf in leaves]
    found = merging.retrieve(EXPERTS)
    assert len(found.stages[CANDIDATES]) == MERGING.top_k
    for span in found.stages[CANDIDATES]:
        assert (span.document, span.page, span.start, span.end) in places
        assert any(c.start <= span.start and span.end <= c.end for c in found.contexts)


@pytest.mark.model
def test_a_parent_of_which_too_little_is_found_stays_out(paged, merging, embedder, tmp_path):
    """With a higher ratio than was found, the leaves stay as they are."""
    strict = replace(MERGING, merge_ratio=1.0)
    found = opened(paged, strict, tmp_path, embedder).retrieve(EXPERTS).contexts
    leaves = {chunk.text for chunk in chunks(merging)} - parents(merging)
    assert {context.text for context in found} <= leaves


@pytest.mark.model
def test_the_answer_is_written_from_the_merged_passages(merging):
    """What reaches the model, and the answer's record, are the merged passages."""
    llm = ScriptedLLM("Two.")
    answer = RetrievalPipeline(MERGING, merging, llm, NoReranker()).answer_now(EXPERTS)
    merged: tuple[Context, ...] = merging.retrieve(EXPERTS).contexts
    assert answer.contexts == merged
    assert llm.prompts[0].parts == (*context_parts(merged), question_part(EXPERTS), "")


@pytest.mark.model
def test_no_passage_lies_within_another(embedder, tmp_path):
    """A parent that was merged stands for its leaves: none of them takes room beside it."""
    corpus = read_documents(ROOT / "fixtures/corpus/primer.pdf")
    index = Index(corpus, config_for("auto_merging"), embedder, tmp_path)
    questions = load_questions([ROOT / "fixtures/questions/primer-more.jsonl"])
    for question in questions:
        spans = [(context.start, context.end) for context in index.retrieve(question.question).contexts]
        nested = [a for a in spans for b in spans if a != b and b[0] <= a[0] and a[1] <= b[1]]
        assert nested == [], question.id


# --- taken over from an older index ---


class Counting(HashEmbedder):
    """An embedder that knows what it was asked for, and reads all of it."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Any, *, progress: str | None = None) -> Any:
        self.texts += texts if progress else []
        return super().embed(texts)

    def coverage(self, texts: Any) -> Any:
        return [Coverage(len(text)) for text in texts], 256


def documents_of(**texts: str) -> Corpus:
    return Corpus(tuple(Document(name, text, (), "") for name, text in texts.items()))


TEXTS = {name: f"The {name} of the house. " * 30 for name in ("roof", "door", "wall", "floor")}
CHANGES = {
    "one more": {**TEXTS, "stair": "A stair leads up. " * 40},
    "one more before the rest": {"stair": "A stair leads up. " * 40, **TEXTS},
    "one less": {name: text for name, text in TEXTS.items() if name != "door"},
    "most less": {"wall": TEXTS["wall"]},
    "changed": {**TEXTS, "door": "The door is shut. " * 30},
    "a copy before": {"a": TEXTS["wall"], **TEXTS},
    "a copy behind": {**TEXTS, "z": TEXTS["wall"]},
    "another order": dict(reversed(TEXTS.items())),
    "blank": {**TEXTS, "door": " \n "},
}


def seen(index: Index) -> Any:
    """Return everything of an index that can be seen."""
    opened = index.load()
    return (
        [index.retrieve(question) for question in ("door", "wall", "stair", "roof and floor")],
        [(chunk, chunk.id in {each.id for each in opened.chunks.searched()}) for chunk in chunks(index)],
        list(opened.chunks.searched()),
        replace(opened.notes, files={}),
    )


@pytest.mark.parametrize("change", CHANGES)
@BOTH
def test_what_is_taken_over_is_as_if_it_were_built(config, change, tmp_path):
    """Whatever an older index had, the new one finds what one does that was built from nothing."""
    config = replace(config, top_k=12)
    opened(documents_of(**TEXTS), config, tmp_path / "one", Counting())
    changed = documents_of(**CHANGES[change])
    grown = opened(changed, config, tmp_path / "one", Counting())
    anew = opened(changed, config, tmp_path / "two", Counting())
    assert grown.built == (change != "another order")
    assert grown.fingerprint == anew.fingerprint
    assert seen(grown) == seen(anew)


@BOTH
def test_one_document_more_costs_that_document(config, tmp_path):
    """Of the others nothing is split and nothing embedded; the older index stays as it is."""
    before = opened(documents_of(**TEXTS), config, tmp_path, Counting())
    found = before.retrieve("door")
    embedder = Counting()
    opened(documents_of(**CHANGES["one more"]), config, tmp_path, embedder)
    assert embedder.texts
    assert all("stair" in text for text in embedder.texts)
    assert before.retrieve("door") == found
    again = opened(documents_of(**TEXTS), config, tmp_path, Counting())
    assert not again.built
    assert again.retrieve("door") == found


def test_a_text_that_was_a_copy_is_embedded_when_the_first_one_goes(tmp_path):
    """What else a corpus has decides which of two copies is searched."""
    config = replace(VECTOR, top_k=3)
    opened(documents_of(a="The pump runs.", b="The pump runs."), config, tmp_path, Counting())
    embedder = Counting()
    found = opened(documents_of(b="The pump runs."), config, tmp_path, embedder).retrieve("x").contexts
    assert embedder.texts == ["The pump runs."]
    assert [(context.document, context.copies) for context in found] == [("b", ())]


def test_two_corpora_share_a_folder(tmp_path):
    """Each has its own index, whichever was there first, and none has anything of the other."""
    one, two = documents_of(a="The pump runs."), documents_of(b="The valve is shut.")
    for corpus, name in ((one, "a"), (two, "b"), (one, "a"), (two, "b")):
        found = opened(corpus, VECTOR, tmp_path).retrieve("x").contexts
        assert [context.document for context in found] == [name]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize("file", ["vectors.f32", "ids.bin", "rows.json", "chunks.sqlite", "notes.json"])
def test_nothing_damaged_is_taken_over(file, tmp_path):
    """One byte is enough, also where opening the older index would not see it."""
    opened(documents_of(**TEXTS), VECTOR, tmp_path, Counting())
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    data = bytearray((place / file).read_bytes())
    data[len(data) // 2] ^= 1
    (place / file).write_bytes(data)
    embedder = Counting()
    changed = documents_of(**CHANGES["one more"])
    grown = opened(changed, VECTOR, tmp_path, embedder)
    assert any("door" in text for text in embedder.texts)
    assert seen(grown) == seen(opened(changed, VECTOR, tmp_path / "anew", Counting()))


def test_an_index_with_a_trigger_is_not_taken_over(tmp_path):
    """Somebody else made it, with notes that fit."""
    opened(documents_of(**TEXTS), VECTOR, tmp_path, Counting())
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    with sqlite3.connect(place / "chunks.sqlite") as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON chunks BEGIN DELETE FROM chunks; END")
    connection.close()
    notes = read_notes(place)
    assert notes is not None
    files = {**notes.files, "chunks.sqlite": facts_of(place / "chunks.sqlite")}
    write_notes(place, replace(notes, files=files))
    changed = documents_of(**CHANGES["one more"])
    grown = opened(changed, VECTOR, tmp_path, Counting())
    assert seen(grown) == seen(opened(changed, VECTOR, tmp_path / "anew", Counting()))


def test_another_embedder_takes_nothing_over(tmp_path):
    opened(documents_of(**TEXTS), VECTOR, tmp_path, Counting())
    other = Counting()
    other.fingerprint = "other"
    opened(documents_of(**TEXTS), VECTOR, tmp_path, other)
    assert {name for name in TEXTS for text in other.texts if name in text} == set(TEXTS)


def test_damage_that_shows_itself_at_a_question(paged, tmp_path, capsys):
    """The texts are not read when an index is opened: it is built anew when one is found damaged."""
    expected = opened(paged, VECTOR, tmp_path).retrieve(EXPERTS)
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    index = opened(paged, VECTOR, tmp_path)
    file = place / "chunks.sqlite"
    file.write_bytes(file.read_bytes()[:4096] + b"\xa5" * (file.stat().st_size - 4096))
    index = opened(paged, VECTOR, tmp_path)
    assert index.retrieve(EXPERTS) == expected
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"rag-evals: the index in {place} is damaged (DatabaseError: ")
    assert not opened(paged, VECTOR, tmp_path).built


def test_the_index_that_shares_most_is_taken_over(tmp_path):
    """Not the newest one, when that is of another suite, and nothing of one that shares no document."""
    opened(documents_of(**TEXTS), VECTOR, tmp_path, Counting())
    opened(documents_of(other="Something else. " * 30, door=TEXTS["door"]), VECTOR, tmp_path, Counting())
    opened(documents_of(third="And more of it. " * 30), VECTOR, tmp_path, Counting())
    embedder = Counting()
    opened(documents_of(**CHANGES["one more"]), VECTOR, tmp_path, embedder)
    assert all("stair" in text for text in embedder.texts)


def test_damage_that_many_threads_find_at_once(paged, tmp_path, capsys):
    """It is repaired once."""
    expected = opened(paged, VECTOR, tmp_path).retrieve(EXPERTS)
    file = next(tmp_path.glob("*/chunks.sqlite"))
    file.write_bytes(file.read_bytes()[:4096] + b"\xa5" * (file.stat().st_size - 4096))
    index = Index(paged, VECTOR, HashEmbedder(), tmp_path)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(index.retrieve, [EXPERTS] * 16)) == [expected] * 16
    assert len(capsys.readouterr().err.splitlines()) == 1
