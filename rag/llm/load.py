"""From the settings of a language model to the model: a local file or a server."""

from __future__ import annotations

from pathlib import Path

from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.llm.remote.address import PREFIX
from rag_evals.rag.llm.remote.remote_llm import remote_llm
from rag_evals.rag.models.resolve import resolve, unfetched


def load_llm(
    config: LLMConfig, *, offline: bool = False, models_folder: Path | None = None, is_used: bool = True
) -> LLM:
    """Resolve the model that `config` names, or make one that asks the server it names; load nothing.

    Offline nothing is fetched. Processes of a session share local models by way of `models_folder`; without
    one a model has a process of its own. One that is only named, and not `is_used`, is not fetched.

    Raises:
        ModelError: The model cannot be found, fetched or verified, or the server's address is wrong.
    """
    if config.model.startswith(PREFIX):
        return remote_llm(config, offline=offline)
    named = None if is_used else unfetched(config.model)
    return LocalLLM(named or resolve(config.model, offline=offline), config, models_folder=models_folder)
