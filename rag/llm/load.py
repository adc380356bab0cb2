"""From the settings of a language model to the model: a local file or a server."""

from __future__ import annotations

from rag.config import LLMConfig
from rag.llm.local.llama_cpp import LocalLLM
from rag.llm.protocol import LLM
from rag.llm.remote.remote_llm import PREFIX, remote_llm
from rag.models import resolve


def load_llm(config: LLMConfig, *, offline: bool = False) -> LLM:
    """Resolve the model that `config` names, or make one that asks the server it names; load nothing.

    Raises:
        ModelError: The model cannot be found, fetched or verified, or the server's address is wrong.
    """
    if config.model.startswith(PREFIX):
        return remote_llm(config, offline=offline)
    return LocalLLM(resolve(config.model, offline=offline), config)
