"""An entailment model as judges see it: it runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from rag_evals.rag.answer import Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.hosting.hosted_model import TORCH, HostedModel
from rag_evals.rag.retrieval.entailment.form_reader import FormReader
from rag_evals.rag.retrieval.entailment.forms import NLI, Form
from rag_evals.rag.retrieval.entailment.pair_classifier import PairClassifier
from rag_evals.rag.retrieval.entailment.verdicts import Ask, Entailments


class EntailmentModel:
    """A trained judge that reads a premise and a claim in its own form, in a process of its own.

    Code that comes with a model is not run: one that needs it is refused, or known by its form.

    Args:
        model: The resolved model folder.
        form: How it reads; by default a pair, with labels by their names in the config.
        words: The folder of its tokenizer, where that is another.
        models_folder: Where the processes of a session share their models; None for a process of its own.

    Attributes:
        name: Name for people.
        form: How it reads.
        limit: Tokens that fit premise and claim together.

    Raises:
        ModelError: The folder cannot be loaded, or is no trained model of its form.
    """

    def __init__(
        self,
        model: Model,
        form: Form = NLI,
        *,
        words: Model | None = None,
        models_folder: Path | None = None,
    ) -> None:
        self.name = model.name
        self.form = form
        self._model = model
        self._words = words
        maker: Callable[..., object] = PairClassifier if form == NLI else FormReader
        more = () if form == NLI else (form.name, (words or model).path)
        self._hosted = HostedModel(
            maker, model.path, *more, name=model.name, folder=models_folder, group=TORCH
        )
        self.limit: int = self._hosted.call("limit")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, the form, and the versions of the libraries that run them."""
        if self.form == NLI:
            versions = [version("sentence-transformers"), version("transformers")]
            return digest({"weights": self._model.sha256, "versions": versions})
        words = self._words.sha256 if self._words else None
        versions = [version("tokenizers"), version("transformers")]
        return digest(
            {"weights": self._model.sha256, "words": words, "form": asdict(self.form), "versions": versions}
        )

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text`, special ones left out."""
        return int(self._hosted.call("count_tokens", text))

    def read(self, asks: Sequence[tuple[str, str] | Ask]) -> Entailments:
        """Read premises and hypotheses; of what is longer than `limit`, the end is not read."""
        if not asks:
            return Entailments((), Tokens())
        entailments: Entailments = self._hosted.call("read", list(asks))
        return entailments
