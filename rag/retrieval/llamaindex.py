"""Our language model and our embedder as LlamaIndex components."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import CompletionResponse, CompletionResponseGen, LLMMetadata
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.retrieval.embedder import Embedder


class LlamaIndexLLM(CustomLLM):
    """A local model wherever LlamaIndex wants an LLM: chat template, greedy decoding, prefix reuse.

    What it writes has at most `max_tokens` tokens.
    """

    max_tokens: int = 256
    _llm: LocalLLM = PrivateAttr()

    def __init__(self, llm: LocalLLM, *, max_tokens: int = 256) -> None:
        super().__init__(max_tokens=max_tokens)
        self._llm = llm

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex packs its prompts by."""
        return LLMMetadata(
            context_window=self._llm.context_size, num_output=self.max_tokens, model_name=self._llm.name
        )

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        """Write the answer to `prompt` as one user turn."""
        completion = self._llm.complete(Prompt((prompt,)), max_tokens=self.max_tokens)
        return CompletionResponse(text=completion.text, raw=completion)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:  # noqa: ARG002
        """Write the answer and give it in one piece."""
        completion = self._llm.complete(Prompt((prompt,)), max_tokens=self.max_tokens)
        yield CompletionResponse(text=completion.text, delta=completion.text, raw=completion)


class LlamaIndexEmbedding(BaseEmbedding):
    """The embedder wherever LlamaIndex wants an embedding model."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(model_name=embedder.name)
        self._embedder = embedder

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed(texts).tolist()
        return vectors
