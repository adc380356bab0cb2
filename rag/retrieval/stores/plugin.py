"""Vector stores of LlamaIndex that a plugin knows how to open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rag_evals.rag.errors import StoreError
from rag_evals.rag.retrieval.stores.setting import StoreSetting

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore


class PluginStore:
    """What a plugin's factory gives for the rest of the setting, a name for the collection and the dimension.

    Attributes:
        place: Its kind and address.
        is_exact: Always False: what it finds is measured.
        is_told: False: there is no way to ask all of them.
        options: None.
    """

    def __init__(self, setting: StoreSetting, name: str, known: Mapping[str, int]) -> None:
        self.place = f"{setting.kind} at {setting.place}"
        self.is_exact = False
        self.is_told = False
        self.options: Mapping[str, Any] = {}
        self._setting = setting
        self._name = name
        self._known = known

    def open(self, dimension: int) -> BasePydanticVectorStore:
        """Call the plugin."""
        assert self._setting.plugin is not None
        opened: BasePydanticVectorStore = self._setting.plugin.load()(
            self._setting.rest, self._name, dimension
        )
        if not callable(getattr(opened, "query", None)) or not getattr(opened, "stores_text", False):
            raise StoreError(
                f"store = {self._setting.kind}: its plugin gives no vector store of LlamaIndex that keeps "
                "nodes with their vectors"
            )
        return opened

    def held(self) -> Mapping[str, int]:
        """Return what was put in the last time."""
        return self._known

    def finish(self) -> None:
        """Do nothing."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do nothing."""
        yield

    def close(self) -> None:
        """Do nothing."""

    def is_connection_lost(self, error: Exception) -> bool:  # noqa: ARG002 - servers alike
        """Return whether the same call may succeed once the server is back."""
        return False

    def explain(self, error: Exception) -> str:
        """Return in a line what went wrong, without credentials."""
        return self._setting.masked(f"{type(error).__name__}: {error}")
