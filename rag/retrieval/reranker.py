"""Rerankers: put the passages that help most with the question first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rag_evals.rag.answer import Context, Tokens, question_part
from rag_evals.rag.errors import ModelError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.native.hosting.hosted_model import TORCH, HostedModel
from rag_evals.rag.retrieval.cross_encoder import load_cross_encoder


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages best first, each with its new score, and the tokens it took a language model."""

    contexts: tuple[Context, ...]
    tokens: Tokens = Tokens()


class Reranker(Protocol):
    """Orders passages by how much they help with a question."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes the order."""

    def rerank(self, question: str, contexts: Sequence[Context]) -> Ranking:
        """Put `contexts` in order, each with its new score."""


class NoReranker:
    """Keeps the retriever's order."""

    name = "none"
    fingerprint = "none"

    def rerank(self, question: str, contexts: Sequence[Context]) -> Ranking:  # noqa: ARG002
        """Return `contexts` as they are."""
        return Ranking(tuple(contexts))


class LLMReranker:
    """Orders by the language model's probability that the passage helps to answer the question.

    The question comes first in every prompt, so that all passages share its key/value cache.
    """

    _TASK = "Does the passage help to answer the question? Answer yes or no."

    def __init__(self, llm: LLM) -> None:
        self.name = f"llm ({llm.name})"
        self.fingerprint = digest({"llm": llm.fingerprint, "task": self._TASK})
        self._llm = llm

    def rerank(self, question: str, contexts: Sequence[Context]) -> Ranking:
        """Order `contexts` by falling probability of "yes"."""
        choices = [self._llm.choose(self._prompt(question, context), ("yes", "no")) for context in contexts]
        ranked = _by_score(contexts, [choice.share("yes") for choice in choices])
        return Ranking(ranked, sum((choice.tokens for choice in choices), Tokens()))

    def _prompt(self, question: str, context: Context) -> Prompt:
        return Prompt((question_part(question), f"Passage:\n{context.text}\n\n{self._TASK}"))


class CrossEncoderReranker:
    """Orders by a cross-encoder, which reads question and passage together; loaded when first wanted.

    Args:
        path: Folder of a sequence classification model with one label.
        name: Name for people.
        sha256: Digest of the weights.
        models_folder: Where the processes of a session share their models; None for a process of its own.
    """

    def __init__(self, path: Path, *, name: str, sha256: str, models_folder: Path | None = None) -> None:
        self.name = name
        self.fingerprint = digest({"cross_encoder": sha256})
        self._hosted = HostedModel(PairScorer, path, name=name, folder=models_folder, group=TORCH)

    def load(self) -> None:
        """Load the model now.

        Raises:
            ModelError: The folder cannot be loaded, has no trained classification head (it would load with
                a random one and rank at random), has more than one label, or no vocabulary.
        """
        self._hosted.call("load")

    def rerank(self, question: str, contexts: Sequence[Context]) -> Ranking:
        """Order `contexts` by falling cross-encoder score."""
        if not contexts:
            return Ranking(())
        pairs = [(question, context.text) for context in contexts]
        return Ranking(_by_score(contexts, self._hosted.call("scores", pairs)))


class PairScorer:
    """A cross-encoder, by its folder, in the process that calls it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder: Any = None

    def load(self) -> None:
        """Load the model now, where it is not loaded yet.

        Raises:
            ModelError: As `CrossEncoderReranker.load` says.
        """
        self._encoder = self._encoder or _loaded(self._path)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the score of each pair of a question and a passage."""
        self.load()
        scores: list[float] = self._encoder.predict(pairs, show_progress_bar=False).tolist()
        return scores


def _by_score(contexts: Sequence[Context], scores: Sequence[float]) -> tuple[Context, ...]:
    scored = [replace(context, score=score) for context, score in zip(contexts, scores, strict=True)]
    # sorted() is stable: passages with equal scores keep the retriever's order.
    return tuple(sorted(scored, key=lambda context: -(context.score or 0.0)))


def _loaded(path: Path) -> Any:
    encoder = load_cross_encoder(
        path,
        kind="a cross-encoder",
        at_random='it would rank at random. Use a trained cross-encoder, or reranker = "llm" or "none".',
    )
    labels = encoder.config.num_labels
    if labels != 1:
        raise ModelError(f"{path} has {labels} labels, a reranker has one: use a trained reranker.")
    return encoder
