"""A local model in the process that measures it, for benchmarks that look inside."""

from __future__ import annotations

from typing import Any

from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.models.resolve import resolve
from rag_evals.rag.pipelines.resources import Resources


class InProcessLLM(LocalLLM):
    """A local model whose calls go to a `LlamaCppModel` of this process.

    Args:
        config: Which model, and how to run it.
        kind: The class of `here`.

    Attributes:
        here: What runs it.
    """

    def __init__(self, config: LLMConfig, kind: type[LlamaCppModel] = LlamaCppModel) -> None:
        model = resolve(config.model)
        super().__init__(model, config)
        self.here: Any = kind(model, config)

    def load(self) -> None:
        """Load it here."""
        self.here.load()

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        return getattr(self.here, method)(*arguments, **named)


def run_here(
    resources: Resources, config: LLMConfig, kind: type[LlamaCppModel] = LlamaCppModel
) -> InProcessLLM:
    """Make the language model of `resources` run in this process, and return it."""
    llm = resources._llms[config] = InProcessLLM(config, kind)
    return llm
