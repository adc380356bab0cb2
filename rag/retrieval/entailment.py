"""Entailment models: how probable it is that one text follows from another, through sentence-transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.identity import digest
from rag_evals.rag.models.catalogue import CatalogueEntry, load_catalogue
from rag_evals.rag.models.resolve import Model, resolve
from rag_evals.rag.models.sources import HubSource
from rag_evals.rag.native.hosting.hosted_model import TORCH, HostedModel
from rag_evals.rag.retrieval.cross_encoder import load_cross_encoder
from rag_evals.rag.retrieval.embedder import Vectors

_ENTAILED = frozenset(
    {
        *("entailment", "entails", "entailed", "entail", "supported", "supports", "support"),
        *("consistent", "factually_consistent", "faithful", "grounded"),
    }
)
_CONTRADICTED = frozenset(
    {
        *("contradiction", "contradicts", "contradicted", "contradictory", "contradict"),
        *("refuted", "refutes", "refute"),
    }
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_EXAMPLE = "such as cross-encoder/nli-deberta-v3-base"


@dataclass(frozen=True, slots=True)
class Labels:
    """Which outputs of a model mean what: their positions; `contradicted` is None where none means it."""

    entailed: int
    contradicted: int | None = None


@dataclass(frozen=True, slots=True)
class Entailment:
    """Probability that a hypothesis follows from its premise; that it contradicts it, None where not said."""

    entailed: float
    contradicted: float | None = None


@dataclass(frozen=True, slots=True)
class Entailments:
    """What a model says to some pairs, in their order, and the tokens they had as evaluated."""

    items: tuple[Entailment, ...]
    tokens: Tokens


class EntailmentModel:
    """A cross-encoder that reads a premise and a hypothesis together, in a process of its own.

    Accepted are classifiers of two labels or more (softmax over all of them), exactly one of which means
    entailment by its name in the config; and models of one logit (sigmoid), such as Vectara's first
    hallucination model, whose label says entailment or, as the only one, nothing. Code that comes with a
    model is not run, so that models which need it are refused.

    Args:
        model: The resolved model folder.
        models_folder: Where the processes of a session share their models; None for a process of its own.

    Attributes:
        name: Name for people.
        limit: Tokens that fit premise and hypothesis together.

    Raises:
        ModelError: The folder cannot be loaded, has no trained classification head (it would load with a
            random one), no vocabulary, or no label that is known to mean entailment.
    """

    def __init__(self, model: Model, *, models_folder: Path | None = None) -> None:
        self.name = model.name
        self._model = model
        self._hosted = HostedModel(
            PairClassifier, model.path, name=model.name, folder=models_folder, group=TORCH
        )
        self.limit: int = self._hosted.call("limit")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights and the versions of the libraries that run them."""
        versions = [version("sentence-transformers"), version("transformers")]
        return digest({"weights": self._model.sha256, "versions": versions})

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text`, special ones left out."""
        return int(self._hosted.call("count_tokens", text))

    def read(self, pairs: Sequence[tuple[str, str]]) -> Entailments:
        """Read pairs of premise and hypothesis; of what is longer than `limit`, the end is not read."""
        if not pairs:
            return Entailments((), Tokens())
        entailments: Entailments = self._hosted.call("read", list(pairs))
        return entailments


class PairClassifier:
    """An entailment model, by its folder, in the process that calls it.

    Raises:
        ModelError: As `EntailmentModel` says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _encoder(self) -> Any:
        encoder = load_cross_encoder(
            self._path,
            kind="an entailment model",
            remedy=f"Give the folder or the name of one, {_EXAMPLE}.",
            at_random=f"it would judge at random. Use a trained entailment model, {_EXAMPLE}.",
        )
        encoder.max_seq_length = _length(encoder)
        return encoder

    @cached_property
    def _labels(self) -> Labels:
        return labels_of(self._encoder.config.id2label, self._path, _is_sigmoid(self._encoder))

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._encoder.tokenizer.all_special_tokens)) or r"\Z.")

    def limit(self) -> int:
        """Return the tokens that fit premise and hypothesis together; what is wrong with the model is said.

        Raises:
            ModelError: As `EntailmentModel` says.
        """
        self._labels  # noqa: B018 - read for what is wrong with them
        special = int(self._encoder.tokenizer.num_special_tokens_to_add(pair=True))
        return _length(self._encoder) - special

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text`, special ones left out."""
        ids = self._encoder.tokenizer(self._plain(text), add_special_tokens=False, verbose=False)["input_ids"]
        return len(ids)

    def read(self, pairs: Sequence[tuple[str, str]]) -> Entailments:
        """Read pairs of premise and hypothesis."""
        import torch

        plain = [(self._plain(premise), self._plain(hypothesis)) for premise, hypothesis in pairs]
        logits = self._encoder.predict(plain, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        ids = self._encoder.tokenizer(*map(list, zip(*plain, strict=True)), truncation=True)["input_ids"]
        shares = _shares(logits.reshape(len(pairs), -1))
        items = (self._entailment(row) for row in shares.tolist())
        return Entailments(tuple(items), Tokens(evaluated=sum(map(len, ids))))

    def _entailment(self, shares: list[float]) -> Entailment:
        at = self._labels.contradicted
        return Entailment(shares[self._labels.entailed], None if at is None else shares[at])

    def _plain(self, text: str) -> str:
        """Break up what the tokenizer would take for a separator: in a document it is just letters."""
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def load_entailment(
    name: str, *, offline: bool = False, models_folder: Path | None = None
) -> EntailmentModel:
    """Resolve an entailment model and load it.

    Args:
        name: A name of the catalogue, a repository of the Hugging Face hub ("owner/name"), or a folder.
        offline: Try no network at all.
        models_folder: Where the processes of a session share their models; None for a process of its own.

    Raises:
        ModelError: The model cannot be found, fetched, verified or loaded, or is a reranker.
    """
    catalogue = load_catalogue()
    if name in catalogue and catalogue[name].kind == "reranker":
        raise ModelError(
            f"{name} is a reranker: it says what a passage is about, not what follows from it. "
            f"Use an entailment model, {_EXAMPLE}."
        )
    if name in catalogue or not _HUB_NAME.fullmatch(name) or Path(name).exists():
        return EntailmentModel(resolve(name, offline=offline), models_folder=models_folder)
    return EntailmentModel(_from_hub(name, offline=offline), models_folder=models_folder)


def labels_of(names: Mapping[int, str], path: Path, is_sigmoid: bool = True) -> Labels:
    """Tell by their names which labels mean entailment and contradiction.

    Args:
        names: The names by position: `id2label` of the model's config.
        path: The model's folder, for the message.
        is_sigmoid: Whether a lone logit is one of a probability; rerankers give theirs as it is.

    Raises:
        ModelError: None of the labels is known to mean entailment, or several are.
    """
    plain = {at: re.sub(r"[\s-]+", "_", name.strip().lower()) for at, name in names.items()}
    entailed = [at for at, name in plain.items() if name in _ENTAILED]
    contradicted = [at for at, name in plain.items() if name in _CONTRADICTED]
    if is_sigmoid and list(plain.values()) == ["label_0"]:
        entailed = [0]
    if len(entailed) != 1:
        raise ModelError(
            f"{path} does not say which of its labels means entailment: its config.json (id2label) names "
            f"{', '.join(names[at] for at in sorted(names))}. Use a model whose config names its labels, "
            f"exactly one of them entailment, entails, supported or consistent, {_EXAMPLE}."
        )
    return Labels(entailed[0], contradicted[0] if len(contradicted) == 1 else None)


def _from_hub(name: str, *, offline: bool) -> Model:
    """Resolve a repository of the hub that is not in the catalogue, by the catalogue's own ways."""
    slug = name.lower().replace("/", "--").lstrip("._-")
    entry = CatalogueEntry(slug, "reranker", f"{name} of the Hugging Face hub", "", hub=HubSource(name))
    try:
        return replace(resolve(slug, offline=offline, catalogue={slug: entry}), name=name)
    except ModelError as error:
        text = str(error).replace(f"{slug!r}", f"{name!r}")
        command = f"hf download {name} --local-dir {slug}"
        raise ModelError(text.replace(f"rag-evals models fetch {slug}", command)) from error


def _shares(logits: Vectors) -> Any:
    """Return the probability of each label, shape (pairs, labels): softmax, of a lone logit the sigmoid."""
    import numpy as np

    values = logits.astype(np.float64)
    if values.shape[1] == 1:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _is_sigmoid(encoder: Any) -> bool:
    import torch

    return isinstance(encoder.activation_fn, torch.nn.Sigmoid)


def _length(encoder: Any) -> int:
    """Return the tokens that the model reads at once, special ones included."""
    import torch

    tables = [getattr(module, "position_embeddings", None) for module in encoder.modules()]
    # RoBERTa and its kin count positions from behind that of the padding token.
    lost = [
        int(table.padding_idx) + 1
        for table in tables
        if isinstance(table, torch.nn.Embedding) and table.padding_idx is not None
    ]
    positions = int(getattr(encoder.config, "max_position_embeddings", None) or 512)
    return min(int(encoder.tokenizer.model_max_length), positions - max(lost, default=0))
