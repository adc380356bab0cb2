"""A local model as pipelines and judges see it: llama.cpp runs it in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.deadline import remaining
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.speeds import Speeds, speeds_of
from rag_evals.rag.llm.protocol import Choice, Completion, Likelihood, Prompt, States
from rag_evals.rag.llm.weights import Weights
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.hosting.hosted_model import HostedModel


class LocalLLM:
    """A chat model in a GGUF file; its process is started and it is loaded when it is first wanted.

    One call runs at a time, whichever thread or process of the session it comes from. Decoding is greedy, so
    the same prompt gives the same tokens and the same probabilities, with a warm or a cold cache.

    Besides the weights it takes the memory of the context window and, at most, that of `kept_tokens` more
    tokens: 28 kB each with the 1.5B model, 12 kB with the 0.5B model.

    Every call can raise what `HostedModel.call` raises, beside what it says itself. One that is not done
    within the time of its question (`rag_evals.rag.llm.deadline`) is given up together with its process.

    Args:
        model: The resolved model file.
        config: Context size, threads, GPU layers.
        models_folder: Where the processes of a session share their models; None for a process of its own.
    """

    def __init__(self, model: Model, config: LLMConfig, *, models_folder: Path | None = None) -> None:
        self.name = model.name
        self._model = model
        self._config = config
        self._hosted = HostedModel(LlamaCppModel, model, config, name=model.name, folder=models_folder)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, the library version and the settings that change a result."""
        config = self._config
        settings: dict[str, Any] = {"n_gpu_layers": config.n_gpu_layers, "n_batch": config.n_batch}
        # Later settings count where they are not the default: fingerprints of before stay what they were.
        if config.flash_attn:
            settings |= {"flash_attn": True, "cache_type": config.cache_type}
        # Of what is installed: importing the library takes long, and most runs ask for no more than this.
        library = version("llama_cpp_python")
        return digest({"weights": self._model.sha256, "llama_cpp": library, **settings})

    @property
    def file(self) -> Weights:
        """What its weights are known by."""
        return Weights((self._model.name, self._model.path.name), self._model.sha256)

    def load(self) -> None:
        """Load the model now, where it is not loaded yet.

        Raises:
            ModelError: The file cannot be loaded, has no chat template, or is larger than the free memory.
        """
        # As long as it takes: others wait for the same loading, whose time is not that of one question.
        self._hosted.call("load")

    @property
    def speeds(self) -> Speeds | None:
        """How fast it ran on this machine when it was measured; None if it never was."""
        return speeds_of(self._model, n_gpu_layers=self._config.n_gpu_layers)

    @cached_property
    def context_size(self) -> int:
        """Tokens the context window holds; known once the model is loaded."""
        return int(self._call("context_size"))

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text` as a prompt part."""
        return int(self._call("count_tokens", text))

    def complete(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Write the answer to `prompt`: see `LlamaCppModel.complete`."""
        completion: Completion = self._call("complete", prompt, max_tokens=max_tokens, schema=schema)
        return completion

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options`: see `LlamaCppModel.choose`."""
        choice: Choice = self._call("choose", prompt, tuple(options))
        return choice

    def likelihood(self, prompt: Prompt) -> Likelihood:
        """Read how likely the last part of `prompt` is: see `LlamaCppModel.likelihood`."""
        likelihood: Likelihood = self._call("likelihood", prompt)
        return likelihood

    def states(self, prompt: Prompt) -> States:
        """Read the hidden states of the last part of `prompt`: see `LlamaCppModel.states`."""
        states: States = self._call("states", prompt)
        return states

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        # A question whose time is over is not to keep the model from those behind it.
        return self._hosted.call(method, *arguments, seconds=remaining(), **named)

    def close(self) -> None:
        """Let the model go, and with its last user its process; whoever asks again loads it again."""
        self._hosted.close()
