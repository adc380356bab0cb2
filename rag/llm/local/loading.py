"""Loading a model file with llama.cpp: what fits the memory, and how many threads."""

from __future__ import annotations

from typing import Any

from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.local.hidden_states import HiddenStates
from rag_evals.rag.llm.local.probe import may_probe, probe
from rag_evals.rag.llm.local.speeds import keep, tuning_of
from rag_evals.rag.llm.threads import let_threads_sleep
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.hosting.free_memory import free_memory

# Of the metadata: the chat template; what begins with it are others, by name.
_TEMPLATES = "tokenizer.chat_template"
# Bytes that a model takes at least besides its weights: caches, buffers, libraries.
WORKING_MEMORY = 400_000_000


def load_llama(model: Model, config: LLMConfig) -> tuple[Any, HiddenStates]:
    """Return the `llama_cpp.Llama` of a model file, with the number of threads that suits it best.

    Beside it stands what looks at its hidden states.

    Raises:
        ModelError: The file cannot be loaded, or is larger than the free memory.
    """
    if config.n_gpu_layers == 0:
        check_memory(model, free_memory())
    let_threads_sleep()
    import llama_cpp

    hidden = HiddenStates()

    class Llama(llama_cpp.Llama):
        """A `Llama` that keeps the chat template of its file and does not compile it, which may never end.

        Its context is made with the callback that looks at hidden states.
        """

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "context_params":
                value.cb_eval = hidden.callback
            if name == "metadata":
                self.chat_template = value.get(_TEMPLATES)
                value = {key: text for key, text in value.items() if not key.startswith(_TEMPLATES)}
            super().__setattr__(name, value)

    kind = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}[config.cache_type]
    try:
        llama = Llama(
            str(model.path),
            n_ctx=config.n_ctx,
            n_batch=config.n_batch,
            n_ubatch=config.n_batch,
            n_threads=config.threads,
            n_threads_batch=config.threads,
            n_gpu_layers=config.n_gpu_layers,
            flash_attn=config.flash_attn,
            type_k=kind,
            type_v=kind,
            verbose=False,
        )
    except ValueError as error:
        raise ModelError(
            f"{model.path} is not a model that llama.cpp can load ({error}). "
            "Check it with `rag-evals models verify`, or give another file."
        ) from error
    hidden.layer = llama_cpp.llama_model_n_layer(llama._model.model) // 2
    if config.n_threads == 0:
        _use_best_threads(llama, model, config)
    return llama, hidden


def check_memory(model: Model, free: int | None) -> None:
    """Refuse a model file that does not fit `free` bytes of memory before it is read; None is not known.

    Raises:
        ModelError: It does not fit.
    """
    weights = model.path.stat().st_size if model.path.exists() else 0
    if free is not None and weights + WORKING_MEMORY > free:
        raise ModelError(
            f"{model.name} does not fit the memory: {_gigabytes(weights)} of weights and about "
            f"{_gigabytes(WORKING_MEMORY)} to work with, but {_gigabytes(free)} are free. "
            "Use a smaller model (`rag-evals models list`), or end what else takes memory."
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _use_best_threads(llama: Any, model: Model, config: LLMConfig) -> None:
    """Use the threads that were measured to be fastest; measure where it was never done."""
    known = tuning_of(model, n_gpu_layers=config.n_gpu_layers)
    if known is None and not may_probe():
        return
    if known is None:
        try:
            known, is_fit = probe(llama, n_gpu_layers=config.n_gpu_layers)
        except (ValueError, RuntimeError):
            return  # a kind of model that cannot be measured runs with all threads
        if is_fit:
            keep(model, known, n_gpu_layers=config.n_gpu_layers)
    llama._ctx.set_n_threads(known.threads.decode, known.threads.prefill)
