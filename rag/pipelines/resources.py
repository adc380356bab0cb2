"""Models found once and shared by the pipelines of a session."""

from __future__ import annotations

from pathlib import Path

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.config.service import ServiceConfig
from rag_evals.rag.identity import Memory
from rag_evals.rag.llm.load import load_llm
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM
from rag_evals.rag.models.resolve import is_cached, resolve
from rag_evals.rag.native.hosting.models_folder import models_folder as folder_for
from rag_evals.rag.pipelines.services.service import Service, service_for
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.reranker import CrossEncoderReranker, LLMReranker, NoReranker, Reranker

# What `auto` takes where it can be had.
AUTO_RERANKER = "ms-marco-minilm-l-6-v2"


class Resources:
    """Models, found once and shared by the pipelines and the judge of a session.

    Args:
        offline: Fetch nothing; use only what is on this machine.
        memory: Keeps vectors from one run to the next; None computes each anew.
        concurrency: How many requests may be under way at once to a server; 0 leaves it to the model.
        models_folder: Where the processes of a session share local models; by default one of this object's.
        uses_llm: Whether language models will be asked; else none is fetched.
    """

    def __init__(
        self,
        *,
        offline: bool = False,
        memory: Memory | None = None,
        concurrency: int = 0,
        models_folder: Path | None = None,
        uses_llm: bool = True,
    ) -> None:
        self.offline = offline
        self.models_folder = models_folder or folder_for()
        self._concurrency = concurrency
        self._uses_llm = uses_llm
        self._memory = memory
        self._llms: dict[LLMConfig, LLM] = {}
        self._embedders: dict[str, Embedder] = {}
        self._cross_encoders: dict[str, Reranker] = {}

    def llm(self, config: LLMConfig) -> LLM:
        """Return the language model of `config`."""
        if config not in self._llms:
            self._llms[config] = llm = load_llm(
                config, offline=self.offline, models_folder=self.models_folder, is_used=self._uses_llm
            )
            if self._concurrency and isinstance(llm, RemoteLLM):
                llm.allow(self._concurrency)
        return self._llms[config]

    def service(self, config: ServiceConfig) -> Service:
        """Return the pipeline of the service of `config`."""
        service = service_for(config, offline=self.offline)
        if self._concurrency:
            service.allow(self._concurrency)
        return service

    def embedder(self, name: str) -> Embedder:
        """Return the embedder `name`; it is loaded when the first vector is wanted."""
        if name not in self._embedders:
            model = resolve(name, offline=self.offline)
            self._embedders[name] = Embedder(model, self._memory, models_folder=self.models_folder)
        return self._embedders[name]

    def reranker(self, config: PipelineConfig) -> Reranker:
        """Return the reranker of `config`."""
        name = reranker_name(config)
        if name == "none":
            return NoReranker()
        if name == "llm":
            return LLMReranker(self.llm(config.llm))
        return self._cross_encoder(name)

    def _cross_encoder(self, name: str) -> Reranker:
        if name not in self._cross_encoders:
            model = resolve(name, offline=self.offline)
            self._cross_encoders[name] = CrossEncoderReranker(
                model.path, name=model.name, sha256=model.sha256, models_folder=self.models_folder
            )
        return self._cross_encoders[name]


def reranker_name(config: PipelineConfig) -> str:
    """Return the reranker that `config` comes to on this machine: the cache decides on `auto`."""
    if config.reranker != "auto":
        return config.reranker
    return AUTO_RERANKER if is_cached(AUTO_RERANKER) else "none"
