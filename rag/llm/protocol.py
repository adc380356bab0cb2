"""The LLM protocol: what pipelines and judges ask of a language model, whatever runs it.

Two calls are all the harness needs. `complete` writes text; `choose` reads the probability of each
offered option at the first answer position, which costs one forward pass and leaves nothing to parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.weights import Weights

SYSTEM = "You answer questions and check statements, using only the passages you are given."


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn in parts, and the system text before it.

    Every part is tokenized by itself and as plain text: a chat-template token written in a document is
    just letters. Put what several prompts share in the leading parts.
    """

    parts: tuple[str, ...]
    system: str = SYSTEM


@dataclass(frozen=True, slots=True)
class Completion:
    """Generated text; `finished` is False when it was cut at `max_tokens`, or where it repeated itself."""

    text: str
    tokens: Tokens
    finished: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Probability of each option at the first answer position; with `other` they sum to 1.

    Attributes:
        probabilities: Probability by option.
        other: Probability of everything else.
        tokens: Tokens that the choice took.
        graded: False when a server gave text in place of probabilities: then one option has all of the
            probability, or none has any.
        text: The reply that an ungraded choice was read from, for the reason of a verdict that could not be
            had; None when graded.
        reason: Why no option could be read from it, where more is known than the text.
    """

    probabilities: Mapping[str, float]
    other: float
    tokens: Tokens
    graded: bool = True
    text: str | None = None
    reason: str | None = None

    def share(self, option: str) -> float:
        """Return the probability of `option` against the other options alone; 0 where all have none."""
        offered = sum(self.probabilities.values())
        return self.probabilities[option] / offered if offered else 0.0


@runtime_checkable
class LLM(Protocol):
    """What the pipelines and the judges ask of a language model."""

    @property
    def name(self) -> str:
        """Name for people: the catalogue's name or the file's."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a result."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as a prompt part."""

    def complete(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Write the answer to `prompt`, greedily; as JSON of `schema` (a JSON schema), if one is given."""

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options` (single words) as the answer to `prompt`."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a text is to the model: the natural logarithm of the probability of each of its tokens."""

    logs: tuple[float, ...]
    tokens: Tokens


@runtime_checkable
class ReadsLikelihood(Protocol):
    """A model that also says how likely the words of its prompt are; servers seldom do."""

    def likelihood(self, prompt: Prompt) -> Likelihood:
        """Read how likely each token of the last part of `prompt` is behind what stands before it."""


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What a model holds of a text when it has read half its layers.

    Attributes:
        values: The hidden state of each token, float32, shape (tokens, width).
        spans: Where in the text each of these tokens stands, by the offset of its first character and that
            behind its last; empty where that cannot be told.
        tokens: What it took.
    """

    values: Any
    spans: tuple[tuple[int, int], ...]
    tokens: Tokens


@runtime_checkable
class ReadsStates(Protocol):
    """A model whose hidden states can be read: one that runs here."""

    def states(self, prompt: Prompt) -> States:
        """Read the hidden states of the last part of `prompt` behind what stands before it."""


@runtime_checkable
class Served(Protocol):
    """A model on a server, whose weights the server may tell of."""

    def weights(self) -> Weights:
        """Ask the server what the model's weights are known by."""
