"""Documents to an index on disk, under the fingerprint of everything that shapes it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import CANDIDATES, Context, Retrieval
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import MOST_REMARKS, Corpus, remark_lines
from rag_evals.rag.errors import say
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.chunks import Chunk, Hit, chunking, split, words
from rag_evals.rag.retrieval.coverage import Coverage, by_document
from rag_evals.rag.retrieval.embedder import AnyEmbedder
from rag_evals.rag.retrieval.index_notes import (
    NOTES,
    IndexNotes,
    check_files,
    facts_of,
    read_notes,
    write_notes,
)
from rag_evals.rag.retrieval.retrievers.choose import retriever_for
from rag_evals.rag.retrieval.retrievers.protocol import Retriever
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable, MissingChunkError
from rag_evals.rag.retrieval.stores.local import LocalStore
from rag_evals.rag.retrieval.stores.mirror import mirror_file, mirrored, read_mirror_notes
from rag_evals.rag.retrieval.stores.protocol import Entry, Store
from rag_evals.rag.retrieval.stores.setting import store_setting

# Counts up when the same documents give another index than before.
VERSION = 4


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """An index that was read: its chunks, their vectors, where these are searched, and its notes."""

    chunks: ChunkTable
    local: LocalStore
    store: Store
    notes: IndexNotes


class Index:
    """The index of a corpus; opened when the first passage is wanted, built where it is not on disk yet.

    Indexes lie in `folder`, each in a folder of its own, named for its fingerprint.

    Attributes:
        identity: Everything that shapes the index.
        fingerprint: SHA-256 over it; its folder's name.
        built: Whether this object built it; False when it was read from disk, or not opened yet.
    """

    def __init__(self, corpus: Corpus, config: PipelineConfig, embedder: AnyEmbedder, folder: Path) -> None:
        self.identity = _identity(corpus, config, embedder)
        self.fingerprint = digest(self.identity)
        self._corpus = corpus
        self._config = config
        self._embedder = embedder
        self._folder = folder
        self._lock = threading.Lock()
        self.built = False
        self._opened: OpenIndex | None = None
        self._retriever: Retriever | None = None
        self._setting = store_setting(config)
        self._mirror_file = mirror_file(self._place, config, self._setting)

    @property
    def remarks(self) -> list[str]:
        """What of the documents was not read, a line each, with the first of many of a kind.

        What the embedder does not read of them is among it once the index is built.
        """
        notes = self._opened.notes if self._opened else read_notes(self._place)
        remarks = [*self._corpus.remarks, *(notes.remarks(self._embedder.name) if notes else ())]
        mirror = None if self._setting.is_local else read_mirror_notes(self._mirror_file)
        remarks += mirror.remarks() if mirror else ()
        return remark_lines(self._corpus.unreadable, remarks, MOST_REMARKS)

    @property
    def _place(self) -> Path:
        return self._folder / self.fingerprint[:16]

    def load(self) -> OpenIndex:
        """Open the index; build it first where it is not there.

        Building happens in a temporary folder that is renamed into place, under a lock: a killed build leaves
        nothing behind that looks like an index, and of two processes one builds and the other reads. One that
        is in its place is never written to again. One that is damaged is built anew, which a line on stderr
        says.

        Another store than the local one is filled from it with what it does not hold yet.

        Raises:
            ModelError: The embedder cannot be loaded.
            StoreError: Another store cannot be reached, refuses, or holds another corpus.
        """
        from filelock import FileLock

        with self._lock:
            if self._opened is not None:
                return self._opened
            place = self._place
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / f"{place.name}.lock"):
                opened = _opened(place) if os.path.lexists(place) else None
                self.built = opened is None
                if self.built:
                    _build(self._corpus, self._config, self._embedder, place, self.identity)
                opened = opened or _load(place)
                remarks = opened.notes.remarks(self._embedder.name) if self.built else []
                if not self._setting.is_local and opened.local.dimension:
                    store, notes, is_new = mirrored(
                        self._config, self._setting, self._mirror_file, opened.chunks, opened.local
                    )
                    opened = replace(opened, store=store)
                    remarks += notes.remarks() if is_new else []
            for remark in remarks:
                say(str(remark))
            self._opened = opened
            return opened

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Retrieval:
        """Find the passages for `question`, best first, as the retriever of the pipeline does.

        Other wordings of the question are searched for as well. Damage that shows itself only here is
        repaired as that which shows itself when the index is opened.
        """
        import sqlite3

        opened = self.load()
        try:
            return self._retrieve(opened, question, wordings)
        except (sqlite3.DatabaseError, MissingChunkError) as error:
            self._take_away(opened, error)
        return self._retrieve(self.load(), question, wordings)

    def _take_away(self, opened: OpenIndex, error: Exception) -> None:
        from filelock import FileLock

        with self._lock, FileLock(self._folder / f"{self._place.name}.lock"):
            if self._opened is opened:  # not one that another thread has built since
                _take_away(self._place, error)
                self._opened = self._retriever = None

    def _retrieve(self, opened: OpenIndex, question: str, wordings: Sequence[str]) -> Retrieval:
        with self._lock:
            retriever = self._retriever = self._retriever or self._retriever_over(opened)
        found = retriever.retrieve(question, wordings)
        candidates = tuple(
            place
            for context in (_with_copies(hit, opened.notes) for hit in found.candidates)
            for number, place in enumerate(context.places)
            # Copies within a document are found each by itself where they may be merged.
            if not (number and _is_merging(self._config) and place.document == context.document)
        )
        contexts: dict[str, Context] = {}
        for hit in found.passages:
            contexts.setdefault(words(hit.chunk.text), _with_copies(hit, opened.notes))
        passages = _without_nested(list(contexts.values()))
        stages = {CANDIDATES: candidates}
        if self._config.retriever in ("auto_merging", "sentence_window"):
            stages["merged"] = tuple(context.places[0] for context in passages)
        return Retrieval(passages, stages=stages)

    def _retriever_over(self, opened: OpenIndex) -> Retriever:
        documents = {document.name: document for document in self._corpus.documents}
        return retriever_for(
            self._config, opened.chunks, opened.store, self._embedder, documents, self._place
        )


def _is_merging(config: PipelineConfig) -> bool:
    return len(config.chunk_sizes) > 1


def _identity(corpus: Corpus, config: PipelineConfig, embedder: AnyEmbedder) -> dict[str, Any]:
    return {
        "version": VERSION,
        # The text as read, not the files: another version of a PDF reader gives another text.
        # By name: which of two copies is the first must not depend on an order that the fingerprint lacks.
        "documents": {
            document.name: digest([document.text, document.page_starts])
            for document in sorted(corpus.documents, key=lambda document: document.name)
        },
        **chunking(config),
        "embedder": embedder.fingerprint,
    }


def _shape(identity: Mapping[str, Any]) -> str:
    return digest({key: value for key, value in identity.items() if key != "documents"})


def _build(
    corpus: Corpus, config: PipelineConfig, embedder: AnyEmbedder, place: Path, identity: Mapping[str, Any]
) -> None:
    """Build an index: of documents that an older index of its shape has, it takes over what is there."""
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=place.parent))
    try:
        older = _take_over(place.parent, scratch, identity)
        chunks = ChunkTable(scratch, writable=True)
        _split_all(corpus, config, chunks, identity["documents"])
        searched = chunks.search(list(identity["documents"]), across=_is_merging(config))
        store = LocalStore(scratch)
        added = _embed_all(config, embedder, chunks, store, identity["documents"], searched)
        store.save()
        coverage, length = _coverage([chunk for of_it in added.values() for chunk in of_it], embedder)
        if older:
            kept = [name for name in older.coverage if name in searched and name not in added]
            coverage = {**{name: older.coverage[name] for name in kept}, **coverage}
            length = length or older.length
        copies = chunks.copies(list(identity["documents"]))
        chunks.close()
        files = {file.name: facts_of(file) for file in scratch.iterdir()}
        passages = sum(map(len, searched.values()))
        notes = IndexNotes(passages, copies, coverage, length, _shape(identity), identity["documents"], files)
        write_notes(scratch, notes)
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _take_over(folder: Path, scratch: Path, identity: Mapping[str, Any]) -> IndexNotes | None:
    """Copy the files of the index of the same shape that shares most documents; return its notes.

    They are read whole as they are copied, so that what is damaged in them is not taken over.
    """
    import sqlite3

    found = [file.parent for file in sorted(folder.glob(f"*/{NOTES}"), key=_age)[-_MOST_LOOKED_AT:]]
    others = [(place, notes) for place in found if (notes := read_notes(place))]
    shared = {
        place: len(notes.documents.items() & identity["documents"].items())
        for place, notes in others
        if notes.shape == _shape(identity)
    }
    for place, notes in sorted(others, key=lambda each: -shared.get(each[0], 0)):
        if not shared.get(place):
            break
        try:
            check_files(place, notes)
            for name, facts in notes.files.items():
                if facts_of(Path(shutil.copyfile(place / name, scratch / name))) != facts:
                    raise ValueError(f"{name} is damaged")
            ChunkTable(scratch).close()
            LocalStore(scratch)
        except (OSError, ValueError, LookupError, TypeError, sqlite3.Error):
            for copied in scratch.iterdir():
                copied.unlink()
            continue
        return notes
    return None


# Notes of an index with many copies in it may be long.
_MOST_LOOKED_AT = 16


def _age(file: Path) -> float:
    try:
        return file.lstat().st_mtime
    except OSError:  # taken away meanwhile
        return 0.0


def _split_all(corpus: Corpus, config: PipelineConfig, chunks: ChunkTable, wanted: Mapping[str, str]) -> None:
    held = chunks.documents()
    chunks.remove([name for name, known in held.items() if wanted.get(name) != known])
    for document in corpus.documents:
        if held.get(document.name) != wanted[document.name]:
            chunks.put(document.name, wanted[document.name], split(document, config))


def _embed_all(
    config: PipelineConfig,
    embedder: AnyEmbedder,
    chunks: ChunkTable,
    store: Store,
    documents: Mapping[str, str],
    searched: Mapping[str, Sequence[str]],
) -> dict[str, list[Chunk]]:
    """Bring a store to hold the searched chunks of all documents; return those added, by document."""
    # What else a corpus has decides which of the copies is searched.
    wanted = {name: digest([documents[name], ids]) for name, ids in searched.items()}
    held = store.documents()
    store.remove([name for name, known in held.items() if wanted.get(name) != known])
    missing = {name: chunks.get(ids) for name, ids in searched.items() if held.get(name) != wanted[name]}
    texts = [chunk.text for of_it in missing.values() for chunk in of_it]
    vectors = embedder.embed(texts, progress=f"embedding for {config.name}")
    entries, first = [], 0
    for name, of_it in missing.items():
        entries.append(Entry(name, wanted[name], of_it, vectors[first : first + len(of_it)]))
        first += len(of_it)
    store.add(entries)
    return missing


def _coverage(added: Sequence[Chunk], embedder: AnyEmbedder) -> tuple[Mapping[str, Coverage], int | None]:
    """Return what the embedder reads of each document; nothing for an embedder that does not tell."""
    if not hasattr(embedder, "coverage"):
        return {}, None
    counts, length = embedder.coverage([chunk.text for chunk in added])
    return by_document([chunk.document for chunk in added], counts), length


def _opened(place: Path) -> OpenIndex | None:
    """Read an index; None for one that is damaged, which is taken away."""
    import sqlite3

    try:
        return _load(place)
    except PermissionError:
        raise  # it cannot be taken away either
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        sqlite3.Error,
    ) as error:
        _take_away(place, error)
    return None


def _take_away(place: Path, error: Exception) -> None:
    say(f"the index in {place} is damaged ({type(error).__name__}: {error}): it is built anew")
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


def _load(place: Path) -> OpenIndex:
    """Read an index.

    Raises:
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, sqlite3.Error: It is
            damaged.
    """
    notes = read_notes(place)
    if notes is None:
        raise ValueError(f"{NOTES} is missing or cut short")
    check_files(place, notes)
    chunks, store = ChunkTable(place), LocalStore(place)
    if set(chunks.documents()) != set(store.documents()):
        raise ValueError("documents are missing")
    return OpenIndex(chunks, store, store, notes)


def _with_copies(hit: Hit, notes: IndexNotes) -> Context:
    """Return a passage with every place where its text stands."""
    copies = notes.copies.get(hit.chunk.id)
    return replace(hit.context, copies=copies) if copies else hit.context


def _without_nested(contexts: Sequence[Context]) -> tuple[Context, ...]:
    """Leave out passages that lie within another: merging may give a parent and also one of its leaves."""
    return tuple(one for one in contexts if not any(_lies_within(one, other) for other in contexts))


def _lies_within(one: Context, other: Context) -> bool:
    inner, outer = ((context.start or 0, context.end or 0) for context in (one, other))
    return one.document == other.document and inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]
