"""Documents to chunks that know their place: what an index finds, and the parents that chunks merge into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rag_evals.rag.answer import Context, Span
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Document
from rag_evals.rag.identity import digest

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


def chunking(config: PipelineConfig) -> dict[str, Any]:
    """Return everything of a pipeline's settings that shapes its chunks, and the library that makes them."""
    return {
        "chunk_sizes": config.chunk_sizes,
        "chunk_overlap": config.chunk_overlap,
        "llama_index": version("llama-index-core"),  # of what is installed: importing it takes seconds
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
    return _placed(nodes, document)


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
        end = start + len(text)
        page, last = document.page_at(start), document.page_at(max(start, end - 1))
        placed[node.node_id] = latest[parent] = Chunk(
            node.node_id,
            text,
            document.name,
            page,
            start,
            end,
            page_end=last if last != page else None,
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
