"""Documents to a vector index on disk, under the fingerprint of everything that shapes it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.rag.answer import CANDIDATES, Context, Retrieval, Span
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import MOST_REMARKS, Corpus, Document, remark_lines
from rag_evals.rag.errors import say
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.coverage import Coverage, by_document
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.index_notes import NOTES, IndexNotes, read_notes, write_notes
from rag_evals.rag.tracing.conventions import RETRIEVED, documents
from rag_evals.rag.tracing.spans import span

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, NodeWithScore

# Counts up when the same documents give another index than before.
VERSION = 3
# The vector index and the node store carry these; they are not for the embedder or the model to read.
_PLACE = ("document", "page", "start", "end", "page_end")


class Index:
    """The index of a corpus; opened when the first passage is wanted, built where it is not on disk yet.

    Indexes lie in `folder`, each in a folder of its own, named for its fingerprint.

    Attributes:
        identity: Everything that shapes the index.
        fingerprint: SHA-256 over it; its folder's name.
        built: Whether this object built it; False when it was read from disk, or not opened yet.
    """

    def __init__(self, corpus: Corpus, config: PipelineConfig, embedder: Embedder, folder: Path) -> None:
        self.identity = _identity(corpus, config, embedder)
        self.fingerprint = digest(self.identity)
        self._corpus = corpus
        self._config = config
        self._embedder = embedder
        self._folder = folder
        self._lock = threading.Lock()
        self.built = False
        self._vectors: Any = None
        self._notes: IndexNotes | None = None

    @property
    def remarks(self) -> list[str]:
        """What of the documents was not read, a line each, with the first of many of a kind.

        What the embedder does not read of them is among it once the index is built.
        """
        notes = self._notes or read_notes(self._place)
        remarks = [*self._corpus.remarks, *(notes.remarks(self._embedder.name) if notes else ())]
        return remark_lines(self._corpus.unreadable, remarks, MOST_REMARKS)

    @property
    def _place(self) -> Path:
        return self._folder / self.fingerprint[:16]

    def load(self) -> None:
        """Open the index; build it first where it is not there.

        Building happens in a temporary folder that is renamed into place, under a lock: a killed build leaves
        nothing behind that looks like an index, and of two processes one builds and the other reads. One that
        is damaged is built anew, which a line on stderr says.

        Raises:
            ModelError: The embedder cannot be loaded.
        """
        from filelock import FileLock

        with self._lock:
            if self._vectors is not None:
                return
            place = self._place
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / f"{place.name}.lock"):
                opened = _opened(place, self._embedder) if os.path.lexists(place) else None
                self.built = opened is None
                if self.built:
                    _build(self._corpus, self._config, self._embedder, place)
                self._vectors, self._notes = opened or _load(place, self._embedder)
            if self.built:
                for remark in self._notes.remarks(self._embedder.name):
                    say(str(remark))

    def retrieve(self, question: str) -> Retrieval:
        """Find the passages for `question`, best first: nearest chunks, merged where the retriever merges."""
        self.load()
        nearest = self._vectors.as_retriever(similarity_top_k=self._config.top_k).retrieve(question)
        is_merging = self._config.retriever == "auto_merging"
        candidates = tuple(
            place
            for context in map(self._with_copies, nearest)
            for number, place in enumerate(context.places)
            # Copies within a document are found each by itself where they may be merged.
            if not (number and is_merging and place.document == context.document)
        )
        merged = self._merged(question, nearest) if is_merging else nearest
        contexts: dict[str, Context] = {}
        for context in map(self._with_copies, merged):
            contexts.setdefault(_words(context.text), context)
        found = _without_nested(list(contexts.values()))
        stages = {CANDIDATES: candidates}
        if is_merging:
            stages["merged"] = tuple(context.places[0] for context in found)
        return Retrieval(found, stages=stages)

    def _with_copies(self, found: NodeWithScore) -> Context:
        """Return a passage with every place where its text stands."""
        context = _context(found)
        copies = self._notes.copies.get(found.node.node_id) if self._notes else None
        return replace(context, copies=copies) if copies else context

    def _merged(self, question: str, nearest: Sequence[NodeWithScore]) -> Sequence[NodeWithScore]:
        """Put parents in the place of chunks of which enough were found."""
        from llama_index.core.retrievers import AutoMergingRetriever
        from rag_evals.rag.retrieval.llamaindex import FoundNodes

        merging = AutoMergingRetriever(
            FoundNodes(nearest),  # type: ignore[arg-type]  # it only asks it to retrieve
            self._vectors.storage_context,
            simple_ratio_thresh=self._config.merge_ratio,
        )
        with span("merge") as step:
            found: Sequence[NodeWithScore] = merging.retrieve(question)
            step.set_from(_merge_told, nearest, found)
        return found


def _identity(corpus: Corpus, config: PipelineConfig, embedder: Embedder) -> dict[str, Any]:
    return {
        "version": VERSION,
        # The text as read, not the files: another version of a PDF reader gives another text.
        "documents": {d.name: digest([d.text, d.page_starts]) for d in corpus.documents},
        "retriever": config.retriever,
        "chunk_sizes": config.chunk_sizes,
        "chunk_overlap": config.chunk_overlap,
        "embedder": embedder.fingerprint,
        "llama_index": version("llama-index-core"),  # of what is installed: importing it takes seconds
    }


def _build(corpus: Corpus, config: PipelineConfig, embedder: Embedder, place: Path) -> None:
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.node_parser import get_leaf_nodes
    from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding

    nodes = [node for document in corpus.documents for node in _split(document, config)]
    is_merging = config.retriever == "auto_merging"
    leaves = _without_copies(get_leaf_nodes(nodes) if is_merging else nodes, across=is_merging)
    vectors = embedder.embed([node.get_content() for node in leaves], progress=f"embedding for {config.name}")
    for node, vector in zip(leaves, vectors, strict=True):
        node.embedding = vector.tolist()
    storage = StorageContext.from_defaults()
    storage.docstore.add_documents(nodes)
    VectorStoreIndex(leaves, storage_context=storage, embed_model=LlamaIndexEmbedding(embedder))
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=place.parent))
    try:
        storage.persist(str(scratch))
        write_notes(scratch, IndexNotes(len(leaves), _copies(nodes), *_coverage(leaves, embedder)))
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _words(text: str) -> str:
    return " ".join(text.split())


def _without_copies(leaves: Sequence[BaseNode], *, across: bool) -> list[BaseNode]:
    """Leave out leaves whose text another has: they would fill the places of other passages.

    The first one stays. `across` documents only, those of its document stay too: where leaves are merged, a
    text that a section repeats counts for that section.
    """
    first: dict[str, BaseNode] = {}
    kept = []
    for leaf in leaves:
        known = first.setdefault(_words(leaf.get_content()), leaf)
        if known is leaf or (across and known.metadata["document"] == leaf.metadata["document"]):
            kept.append(leaf)
    return kept


def _copies(nodes: Sequence[BaseNode]) -> dict[str, tuple[Span, ...]]:
    """Return where else the text of a node stands, by the id of each node that has copies."""
    places: dict[str, dict[Span, None]] = {}
    for node in nodes:
        places.setdefault(_words(node.get_content()), {})[_span(node)] = None
    found = {}
    for node in nodes:
        if others := tuple(span for span in places[_words(node.get_content())] if span != _span(node)):
            found[node.node_id] = others
    return found


def _coverage(leaves: Sequence[BaseNode], embedder: Embedder) -> tuple[Mapping[str, Coverage], int | None]:
    """Return what the embedder reads of each document; nothing for an embedder that does not tell."""
    if not hasattr(embedder, "coverage"):
        return {}, None
    counts, length = embedder.coverage([node.get_content() for node in leaves])
    return by_document([node.metadata["document"] for node in leaves], counts), length


def _opened(place: Path, embedder: Embedder) -> tuple[Any, IndexNotes] | None:
    """Read an index; None for one that is damaged, which is taken away."""
    try:
        return _load(place, embedder)
    except PermissionError:
        raise  # it cannot be taken away either
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        say(f"the index in {place} is damaged ({type(error).__name__}: {error}): it is built anew")
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()
    return None


def _load(place: Path, embedder: Embedder) -> tuple[Any, IndexNotes]:
    """Read an index.

    Raises:
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError: It is damaged.
    """
    for file in [place, *place.iterdir()]:
        if not (stat.S_ISDIR if file == place else stat.S_ISREG)(file.lstat().st_mode):
            raise ValueError(f"{file.name} is no plain file")
    from llama_index.core import StorageContext, load_index_from_storage
    from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding

    notes = read_notes(place)
    if notes is None:
        raise ValueError(f"{NOTES} is missing or cut short")
    storage = StorageContext.from_defaults(persist_dir=str(place))
    vectors: Any = load_index_from_storage(storage, embed_model=LlamaIndexEmbedding(embedder))
    known = vectors.index_struct.nodes_dict
    kept = vectors.vector_store.data.embedding_dict
    if len(known) != notes.passages or not all(
        id in kept and vectors.docstore.document_exists(id) for id in known.values()
    ):
        raise ValueError("passages are missing")
    return vectors, notes


def _split(document: Document, config: PipelineConfig) -> list[BaseNode]:
    """Split one document into nodes that know their place in it.

    Node ids are made from the place, not drawn at random, so that equal scores come in the same order in
    every build.
    """
    from llama_index.core import Document as LlamaDocument
    from llama_index.core.node_parser import HierarchicalNodeParser

    whole = LlamaDocument(text=document.text, doc_id=document.name)
    splitters = {str(size): _splitter(size, config.chunk_overlap) for size in config.chunk_sizes}
    if config.retriever == "vector":
        nodes = next(iter(splitters.values())).get_nodes_from_documents([whole])
    else:
        nodes = HierarchicalNodeParser.from_defaults(
            node_parser_ids=list(splitters), node_parser_map=splitters
        ).get_nodes_from_documents([whole])
    _place(nodes, document)
    return list(nodes)


def _splitter(size: int, overlap: int) -> Any:
    from llama_index.core.node_parser import SentenceSplitter

    def node_id(number: int, parent: BaseNode) -> str:
        return digest([parent.node_id, size, number])

    # An overlap of a whole chunk or more would never end.
    return SentenceSplitter(chunk_size=size, chunk_overlap=min(overlap, size // 4), id_func=node_id)


def _place(nodes: Sequence[BaseNode], document: Document) -> None:
    """Write document, page and character offsets on every node.

    Parents come before their children, and siblings in the order of the text. LlamaIndex's own offsets do not
    serve: a child's count from its parent's start, and a chunk that begins where the chunk before it does (a
    short heading behind blank lines, repeated as overlap) may have none, nor those that follow it.
    """
    starts: dict[str, int] = {}
    latest: dict[str, tuple[int, int]] = {}
    for node in nodes:
        text, parent = node.get_content(), node.parent_node.node_id if node.parent_node else ""
        first = starts.get(parent, 0)
        start = _find(text, document.text, first, latest.get(parent, (first, first)))
        end = start + len(text)
        starts[node.node_id] = start
        latest[parent] = (start, end)
        page, last = document.page_at(start), document.page_at(max(start, end - 1))
        place = (document.name, page, start, end, last if last != page else None)
        node.metadata = dict(zip(_PLACE, place, strict=True))
        node.excluded_embed_metadata_keys = list(_PLACE)
        node.excluded_llm_metadata_keys = list(_PLACE)


def _find(chunk: str, text: str, first: int, before: tuple[int, int]) -> int:
    """Find the offset of `chunk` in `text`: it begins no earlier than the chunk `before`, and ends later.

    One that adds nothing but blanks to the chunk before does not end later: search from `first`.
    """
    start, end = before
    found = text.find(chunk, max(start, end + 1 - len(chunk)))
    return found if found >= 0 else text.index(chunk, first)


def _without_nested(contexts: Sequence[Context]) -> tuple[Context, ...]:
    """Leave out passages that lie within another: merging may give a parent and also one of its leaves."""
    return tuple(one for one in contexts if not any(_lies_within(one, other) for other in contexts))


def _lies_within(one: Context, other: Context) -> bool:
    inner, outer = ((context.start or 0, context.end or 0) for context in (one, other))
    return one.document == other.document and inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def _merge_told(nearest: Sequence[NodeWithScore], found: Sequence[NodeWithScore]) -> dict[str, Any]:
    return {"evals.passages_before": len(nearest), **documents(RETRIEVED, list(map(_context, found)))}


def _span(node: BaseNode) -> Span:
    return Span(**{key: node.metadata[key] for key in _PLACE})


def _context(found: NodeWithScore) -> Context:
    from llama_index.core.schema import MetadataMode

    text = found.node.get_content(metadata_mode=MetadataMode.NONE)
    return Context(text, score=found.score, **{key: found.node.metadata[key] for key in _PLACE})
