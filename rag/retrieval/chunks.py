"""Documents to chunks that know their place: what an index finds, and the parents that chunks merge into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rag_evals.rag.answer import Context, Span
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Document
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.text.pieces import VERSION as PIECES
from rag_evals.rag.retrieval.text.pieces import sentence_pieces

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document.

    Attributes:
        id: SHA-256 over its parents, its size and its number: the same in every build.
        text: The document's text from `start` to `end`.
        document: Name of the document.
        page: 1-based page on which it begins; None for formats without pages.
        start: Character offset in the document's text.
        end: Character offset behind it.
        page_end: 1-based page on which it ends, where that is another one.
        parent: Id of the larger chunk that it is a piece of; None for a piece of the document itself.
        level: 0 for the largest chunks, 1 for their pieces, and so on.
        number: Its place among the pieces of its parent, from 0.
        around: What stands around it and has to be alike, too, in a copy of it; a table of chunks gives it no
            more than the words.
    """

    id: str
    text: str
    document: str
    page: int | None
    start: int
    end: int
    page_end: int | None = None
    parent: str | None = None
    level: int = 0
    number: int = 0
    around: str = field(default="", compare=False, repr=False)

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.document, self.page, self.start, self.end, self.page_end)


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with its score: higher is better."""

    chunk: Chunk
    score: float

    @property
    def context(self) -> Context:
        """The passage as an answer has it."""
        chunk = self.chunk
        return Context(
            chunk.text, chunk.document, chunk.page, chunk.start, chunk.end, self.score, chunk.page_end
        )


def chunk_of(
    document: Document,
    start: int,
    end: int,
    *,
    id: str,
    parent: str | None = None,
    level: int = 0,
    number: int = 0,
    around: str = "",
) -> Chunk:
    """Return the text of a document from `start` to `end` as a chunk."""
    page, page_end = document.pages_at(start, end)
    text = document.text[start:end]
    return Chunk(id, text, document.name, page, start, end, page_end, parent, level, number, around)


def chunking(config: PipelineConfig) -> dict[str, Any]:
    """Return everything of a pipeline's settings that shapes its chunks, and the library that makes them."""
    return {
        "chunk_sizes": config.chunk_sizes,
        "chunk_overlap": config.chunk_overlap,
        "llama_index": version("llama-index-core"),  # of what is installed: importing it takes seconds
        **({"sentences": [PIECES, config.retriever]} if config.has_sentences else {}),
    }


def words(text: str) -> str:
    """Return text without its layout: chunks with the same words are copies of each other."""
    return " ".join(text.split())


def leaves(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return the chunks that have no pieces: those that are searched."""
    chunks = list(chunks)
    parents = {chunk.parent for chunk in chunks}
    return [chunk for chunk in chunks if chunk.id not in parents]


def split(document: Document, config: PipelineConfig) -> list[Chunk]:
    """Split a document, parents before their pieces; one size makes chunks without parents.

    Ids are made from the place, not drawn at random, so that equal scores come in the same order in every
    build.
    """
    if not document.text.strip():
        return []
    if config.retriever == "sentence_window":
        return _sentences(document, config.chunk_sizes[0])
    from llama_index.core import Document as LlamaDocument
    from llama_index.core.node_parser import HierarchicalNodeParser

    whole = LlamaDocument(text=document.text, doc_id=document.name)
    splitters = {str(size): _splitter(size, config.chunk_overlap) for size in config.chunk_sizes}
    if len(splitters) == 1:
        nodes = next(iter(splitters.values())).get_nodes_from_documents([whole])
    else:
        nodes = HierarchicalNodeParser.from_defaults(
            node_parser_ids=list(splitters), node_parser_map=splitters
        ).get_nodes_from_documents([whole])
    chunks = _placed(nodes, document)
    return _with_sentences(chunks, document) if config.has_sentences else chunks


def _sentences(document: Document, size: int) -> list[Chunk]:
    """Return the sentences of a document; one of more than `size` tokens is cut."""
    splitter = _splitter(size, 0)
    places: list[tuple[int, int]] = []
    for start, end in sentence_pieces(document.text):
        at = start
        # No token is shorter than a byte, no character longer than four.
        parts = splitter.split_text(document.text[start:end]) if 4 * (end - start) > size else []
        for part in parts if len(parts) > 1 else [document.text[start:end]]:
            at = document.text.index(part, at)
            places.append((at, at + len(part)))
            at += len(part)
    around = (document.text[slice(*_neighbours(places, n))] for n in range(len(places)))
    return [
        chunk_of(document, start, end, id=digest([document.name, "sentence", size, n]), number=n, around=both)
        for n, ((start, end), both) in enumerate(zip(places, around, strict=True))
    ]


def _neighbours(places: Sequence[tuple[int, int]], number: int) -> tuple[int, int]:
    """Return where the sentence before begins and where the one behind ends."""
    return places[max(0, number - 1)][0], places[min(len(places) - 1, number + 1)][1]


def _with_sentences(chunks: list[Chunk], document: Document) -> list[Chunk]:
    """Return chunks with what has a vector for each of the smallest ones: itself, and its sentences."""
    pieces = []
    for leaf in leaves(chunks):
        places = sentence_pieces(leaf.text)
        for n, (start, end) in enumerate([(0, len(leaf.text)), *(places if len(places) > 1 else [])]):
            id = digest([leaf.id, "sentence", n])
            pieces.append(
                chunk_of(
                    document,
                    leaf.start + start,
                    leaf.start + end,
                    id=id,
                    parent=leaf.id,
                    level=leaf.level + 1,
                    number=n,
                    around=leaf.text,
                )
            )
    return [*chunks, *pieces]


def _splitter(size: int, overlap: int) -> Any:
    from llama_index.core.node_parser import SentenceSplitter

    def node_id(number: int, parent: BaseNode) -> str:
        return digest([parent.node_id, size, number])

    # An overlap of a whole chunk or more would never end.
    return SentenceSplitter(chunk_size=size, chunk_overlap=min(overlap, size // 4), id_func=node_id)


def _placed(nodes: Sequence[BaseNode], document: Document) -> list[Chunk]:
    """Return nodes as chunks, with page and character offsets.

    Parents come before their children, and siblings in the order of the text. LlamaIndex's own offsets do not
    serve: a child's count from its parent's start, and a chunk that begins where the chunk before it does (a
    short heading behind blank lines, repeated as overlap) may have none, nor those that follow it.
    """
    placed: dict[str, Chunk] = {}
    latest: dict[str | None, Chunk] = {}
    for node in nodes:
        text = node.get_content()
        around = placed[node.parent_node.node_id] if node.parent_node else None
        parent, first = (around.id, around.start) if around else (None, 0)
        before = latest.get(parent)
        start = _find(text, document.text, first, (before.start, before.end) if before else (first, first))
        placed[node.node_id] = latest[parent] = chunk_of(
            document,
            start,
            start + len(text),
            id=node.node_id,
            parent=parent,
            level=around.level + 1 if around else 0,
            number=before.number + 1 if before else 0,
        )
    return list(placed.values())


def _find(chunk: str, text: str, first: int, before: tuple[int, int]) -> int:
    """Find the offset of `chunk` in `text`: it begins no earlier than the chunk `before`, and ends later.

    One that adds nothing but blanks to the chunk before does not end later: search from `first`.
    """
    start, end = before
    found = text.find(chunk, max(start, end + 1 - len(chunk)))
    return found if found >= 0 else text.index(chunk, first)
