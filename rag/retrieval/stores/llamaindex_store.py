"""Any vector store of LlamaIndex as a store of ours: pgvector, Qdrant, and those of plugins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

from rag_evals.rag.documents.document import printable
from rag_evals.rag.errors import StoreError
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.chunks import Chunk
from rag_evals.rag.retrieval.embedder import Vectors
from rag_evals.rag.retrieval.stores.local import LocalStore
from rag_evals.rag.retrieval.stores.protocol import Entry

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

T = TypeVar("T")

# Vectors in one transaction or request.
AT_ONCE = 1000
# Seconds before a call that failed for want of a connection is made again: a server that is started anew.
PAUSES = (0.5, 2.0, 5.0)


class Server(Protocol):
    """What is particular of a vector store of LlamaIndex.

    Attributes:
        place: What messages call it, without credentials.
        is_exact: Whether it finds what an exact search finds.
        is_told: Whether it tells what is in it.
        options: What each query is given.
    """

    place: str
    is_exact: bool
    is_told: bool
    options: Mapping[str, Any]

    def open(self, dimension: int) -> BasePydanticVectorStore:
        """Connect, and make table or collection where it is not there."""

    def held(self) -> Mapping[str, int]:
        """Return how many vectors there are of each mark, see `mark`; else what was put in the last time."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep others from filling it meanwhile."""

    def finish(self) -> None:
        """Do what is left to do once all vectors are there."""

    def close(self) -> None:
        """Close what is open."""

    def is_connection_lost(self, error: Exception) -> bool:
        """Return whether the same call may succeed once the server is back."""

    def explain(self, error: Exception) -> str:
        """Return in a line what went wrong and what to do, without credentials."""


class LlamaIndexStore:
    """Keeps the vectors of one index in a vector store of LlamaIndex.

    A document is kept whole when there are as many vectors with its mark as the mark says.

    Args:
        server: The store.
        local: The local store of the same index.
        documents: The digests of the documents that have vectors, by their names.

    Raises:
        StoreError: It cannot be reached, refuses, or holds something else than this index.
    """

    def __init__(self, server: Server, local: LocalStore, documents: Mapping[str, str]) -> None:
        self._server = server
        self._local = local
        self._by_digest = {known: name for name, known in documents.items()}
        self._by_key = {_key(name): name for name in documents}
        self._begun: set[str] = set()
        self._is_lost = True  # until it has answered once
        self._inner = self._do(lambda: server.open(local.dimension))

    @property
    def is_exact(self) -> bool:
        """Whether it finds what an exact search finds."""
        return self._server.is_exact

    @property
    def place(self) -> str:
        """What messages call it."""
        return self._server.place

    def documents(self) -> dict[str, str]:
        """Return the digest of each document that is kept whole, by its name.

        Raises:
            StoreError: There are vectors of other documents.
        """
        whole: dict[str, str] = {}
        for one, count in self._do(self._server.held).items():
            name, known, number = _read_mark(one)
            if known not in self._by_digest:
                raise StoreError(
                    f"{self.place} holds another corpus ({name or 'not of rag-evals'}): nothing was changed; "
                    "name another database or folder, or take that one away yourself"
                )
            self._begun.add(self._by_digest[known])
            if count == number:
                whole[self._by_digest[known]] = known
        return whole

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from filling it meanwhile."""
        with ExitStack() as stack:
            self._do(lambda: stack.enter_context(self._server.alone()))
            yield

    def close(self) -> None:
        """Close what is open."""
        self._server.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Add documents, whatever an earlier try left of them."""
        for entry in entries:
            if not self._server.is_told:
                # What is not there cannot be removed, which some take amiss.
                with suppress(StoreError):
                    self.remove([entry.document])
            elif entry.document in self._begun:
                self.remove([entry.document])
        for some in _batches(entries):
            self._do(partial(self._inner.add, some))

    def finish(self) -> None:
        """Do what is left to do once all documents are there."""
        self._do(self._server.finish)

    def remove(self, documents: Collection[str]) -> None:
        """Remove what is kept of documents, by their names."""
        for name in documents:
            self._do(partial(self._inner.delete, _key(name)))
            self._begun.discard(name)

    def nearest(
        self, vector: Vectors, k: int, documents: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the `k` nearest chunks with their cosine, best first; equal ones by their ids."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        if documents is not None and not documents:
            return []
        asked = VectorStoreQuery(
            query_embedding=vector.tolist(), similarity_top_k=k, filters=_only(documents)
        )
        found = self._do(lambda: self._inner.query(asked, **self._server.options)).nodes or ()
        try:
            # The last digits of their scores differ from one machine to the next, and from call to call.
            scored = [
                self._local.scored(vector, self._by_key[told["of"]], told["row"])
                for told in (node.metadata for node in found)
            ]
        except (LookupError, TypeError):
            raise StoreError(f"{self.place} holds what rag-evals did not put in: take it away") from None
        return [(id, score) for score, id in sorted(scored, reverse=True)]

    def _do(self, action: Callable[[], T]) -> T:
        """Call the store, again where the connection was lost; once it stays away, not at every question."""
        pauses = iter(() if self._is_lost else PAUSES)
        while True:
            try:
                done = action()
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - each store has errors of its own
                pause = next(pauses, None) if self._server.is_connection_lost(error) else None
                if pause is None:
                    self._is_lost = self._server.is_connection_lost(error)
                    raise StoreError(f"{self.place}: {self._server.explain(error)}") from None
                time.sleep(pause)
            else:
                self._is_lost = False
                return done


def mark(document: str, known: str, count: int) -> str:
    """Return what each vector of a document is marked with: its name, its digest and how many there are."""
    return json.dumps([printable(document), known, count])


def _read_mark(own: str) -> tuple[str, str, int]:
    try:
        name, known, count = json.loads(own)
        return str(name), str(known), int(count)
    except (ValueError, TypeError):
        return "", "", 0


def _key(document: str) -> str:
    # Names are hostile, and stores put values of filters into their queries as they are; the letter in front
    # keeps one from being taken for a number.
    return f"d{digest(document)}"


def _batches(entries: Iterable[Entry]) -> Iterator[list[TextNode]]:
    batch: list[TextNode] = []
    for entry in entries:
        own = mark(entry.document, entry.digest, len(entry.chunks))
        key = _key(entry.document)
        for row, (chunk, vector) in enumerate(zip(entry.chunks, entry.vectors, strict=True)):
            about = {"document": printable(entry.document), "row": row, "mark": own, "of": key}
            batch.append(_node(chunk, vector.tolist(), about))
            if len(batch) == AT_ONCE:
                yield batch
                batch = []
    if batch:
        yield batch


def _node(chunk: Chunk, vector: list[float], about: Mapping[str, Any]) -> TextNode:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    return TextNode(
        id_=str(UUID(chunk.id[:32])),  # Qdrant takes no other names
        # The text is for people who look into the store. No database takes a zero or half a letter.
        text=chunk.text.replace("\0", "").encode(errors="replace").decode(),
        embedding=vector,
        metadata=dict(about),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=about["of"])},
    )


def _only(documents: Collection[str] | None) -> MetadataFilters | None:
    from llama_index.core.vector_stores.types import FilterCondition, MetadataFilter, MetadataFilters

    if documents is None:
        return None
    return MetadataFilters(
        filters=[MetadataFilter(key="of", value=_key(name)) for name in documents],
        condition=FilterCondition.OR,
    )
