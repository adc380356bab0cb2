"""A collection of Qdrant, in a folder or on a server, through LlamaIndex."""

from __future__ import annotations

import os
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.errors import StoreError
from rag_evals.rag.retrieval.stores.setting import StoreSetting

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

# Seconds for a request.
REQUEST_SECONDS = 10
# Seconds that a server may take to index what it was given; it searches the rest one by one meanwhile.
INDEXING_SECONDS = 600
_AT_ONCE = 5000


class Qdrant:
    """A collection of its own for one index, made where it is not there.

    Attributes:
        place: Folder or URL.
        is_exact: Whether it searches without an approximate index; in a folder always.
        is_told: True.
        options: What each query is given.
    """

    def __init__(self, setting: StoreSetting, config: PipelineConfig, name: str) -> None:
        self._is_folder = "://" not in setting.rest
        self.place = f"Qdrant {'in' if self._is_folder else 'at'} {setting.place}"
        self.is_exact = self._is_folder or config.store_index == "none"
        search = {"exact": True} if self.is_exact else {"hnsw_ef": max(config.ef_search, config.top_k)}
        self.is_told = True
        self.options: Mapping[str, Any] = {} if self._is_folder else {"search_params": search}
        self._setting = setting
        self._name = name
        self._client: Any = None

    def open(self, dimension: int) -> BasePydanticVectorStore:
        """Connect, and check what stands under the name of the collection."""
        try:
            from llama_index.vector_stores.qdrant import QdrantVectorStore
            from qdrant_client import QdrantClient
        except ImportError:
            raise StoreError("store = qdrant needs a library: pip install 'rag-evals[qdrant]'") from None
        if self._is_folder:
            self._client = QdrantClient(path=str(Path(self._setting.rest).expanduser()))
            # While Python ends it cannot close the folder any more, and says so.
            weakref.finalize(self, self._client.close)
        else:
            self._client = QdrantClient(
                url=self._setting.rest,
                api_key=os.environ.get("QDRANT_API_KEY") or None,
                timeout=REQUEST_SECONDS,
                check_compatibility=False,
            )
        if self._client.collection_exists(self._name):
            sizes = self._client.get_collection(self._name).config.params.vectors
            size = getattr(sizes, "size", dimension)
            if size != dimension:
                raise StoreError(
                    f"{self.place}: collection {self._name} has vectors of {size} dimensions, not "
                    f"{dimension}: nothing was changed; take it away or name another folder or server"
                )
        # A folder has no index of what filters ask for, and warns of each.
        return QdrantVectorStore(self._name, client=self._client, index_doc_id=not self._is_folder)

    def held(self) -> Mapping[str, int]:
        """Return how many vectors there are of each mark."""
        counts: Counter[str] = Counter()
        if not self._client.collection_exists(self._name):
            return counts
        offset = None
        while True:
            points, offset = self._client.scroll(
                self._name, limit=_AT_ONCE, offset=offset, with_payload=["mark"], with_vectors=False
            )
            counts.update(str((point.payload or {}).get("mark", "")) for point in points)
            if offset is None:
                return counts

    def finish(self) -> None:
        """Wait until the server has indexed what it was given."""
        end = time.monotonic() + INDEXING_SECONDS
        while self._client.get_collection(self._name).status != "green" and time.monotonic() < end:
            time.sleep(0.5)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do nothing: what two processes add under the same names is there once."""
        yield

    def close(self) -> None:
        """Close its connection, or its folder for others."""
        self._client.close()

    def is_connection_lost(self, error: Exception) -> bool:
        """Return whether the same call may succeed once the server is back."""
        return type(error).__name__ == "ResponseHandlingException"

    def explain(self, error: Exception) -> str:
        """Return in a line what went wrong and what to do, without credentials."""
        said = str(error)
        if "already accessed by another instance" in said:
            return "the folder is open in another process: give each its own, or start a server"
        if getattr(error, "status_code", None) in (401, 403):
            return "it refuses the key: check QDRANT_API_KEY"
        if self.is_connection_lost(error):
            return f"no answer within {REQUEST_SECONDS} seconds or none at all: is it running there?"
        return self._setting.masked(f"{type(error).__name__}: {said}")
