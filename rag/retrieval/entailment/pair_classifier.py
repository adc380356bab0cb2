"""Entailment models that read a pair: labels by their names, and the classifier in the process that calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.retrieval.cross_encoder import load_cross_encoder
from rag_evals.rag.retrieval.embedder import Vectors
from rag_evals.rag.retrieval.entailment.verdicts import (
    Entailment,
    Entailments,
    plain_text,
    positions,
    token_count,
)

EXAMPLE = "such as cross-encoder/nli-deberta-v3-base"
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


@dataclass(frozen=True, slots=True)
class Labels:
    """Which outputs of a model mean what: their positions; `contradicted` is None where none means it."""

    entailed: int
    contradicted: int | None = None


class PairClassifier:
    """An entailment model that reads a pair, by its folder.

    Accepted are classifiers of two labels or more (softmax over all of them), exactly one of which means
    entailment by its name in the config; and models of one logit (sigmoid), such as Vectara's first
    hallucination model, whose label says entailment or, as the only one, nothing.

    Raises:
        ModelError: The folder cannot be loaded, has no trained classification head (it would load with a
            random one), no vocabulary, or no label that is known to mean entailment; said when it is first
            used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _encoder(self) -> Any:
        encoder = load_cross_encoder(
            self._path,
            kind="an entailment model",
            remedy=f"Give the folder or the name of one, {EXAMPLE}.",
            at_random=f"it would judge at random. Use a trained entailment model, {EXAMPLE}.",
        )
        encoder.max_seq_length = _length(encoder)
        return encoder

    @cached_property
    def _labels(self) -> Labels:
        names = self._encoder.config.id2label
        try:
            return labels_of(names, self._path, _is_sigmoid(self._encoder))
        except ModelError as error:
            if len(names) != 2:
                raise
            raise ModelError(
                f"{error} If it is a MiniCheck, write cross-encoder:minicheck@{self._path}; if it is a "
                f"FactCG, write cross-encoder:factcg@{self._path}."
            ) from error

    def limit(self) -> int:
        """Return the tokens that fit premise and hypothesis together; what is wrong with the model is said.

        Raises:
            ModelError: As the class says.
        """
        self._labels  # noqa: B018 - read for what is wrong with them
        special = int(self._encoder.tokenizer.num_special_tokens_to_add(pair=True))
        return _length(self._encoder) - special

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text`, special ones left out."""
        return token_count(self._encoder.tokenizer, text)

    def read(self, pairs: Sequence[tuple[str, str]]) -> Entailments:
        """Read pairs of premise and hypothesis."""
        import torch

        tokenizer = self._encoder.tokenizer
        plain = [(plain_text(tokenizer, one), plain_text(tokenizer, two)) for one, two in pairs]
        logits = self._encoder.predict(plain, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        ids = tokenizer(*map(list, zip(*plain, strict=True)), truncation=True)["input_ids"]
        shares = _shares(logits.reshape(len(pairs), -1))
        items = (self._entailment(row) for row in shares.tolist())
        return Entailments(tuple(items), Tokens(evaluated=sum(map(len, ids))))

    def _entailment(self, shares: list[float]) -> Entailment:
        at = self._labels.contradicted
        return Entailment(shares[self._labels.entailed], None if at is None else shares[at])


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
            f"exactly one of them entailment, entails, supported or consistent, {EXAMPLE}."
        )
    return Labels(entailed[0], contradicted[0] if len(contradicted) == 1 else None)


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
    told = int(getattr(encoder.config, "max_position_embeddings", None) or 512)
    return min(int(encoder.tokenizer.model_max_length), positions(encoder, told))
