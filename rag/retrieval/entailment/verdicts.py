"""What entailment models say, and what all of them are asked about their lengths and special tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from rag_evals.rag.answer import Tokens


class Ask(NamedTuple):
    """What is read at once: a premise, a text, and the part of the text that the verdict is on.

    Only what reads token by token knows parts: for others the text is all of it.
    """

    premise: str
    text: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Entailment:
    """Probability that a hypothesis follows from its premise; that it contradicts it, None where not said.

    `graded` is False where both were read from a word.
    """

    entailed: float
    contradicted: float | None = None
    graded: bool = True


@dataclass(frozen=True, slots=True)
class Entailments:
    """What a model says to some asks, in their order, and the tokens they had as evaluated."""

    items: tuple[Entailment, ...]
    tokens: Tokens


def plain_text(tokenizer: Any, text: str) -> str:
    """Break up what `tokenizer` would take for a separator: in a document it is just letters."""
    special = re.compile("|".join(map(re.escape, tokenizer.all_special_tokens)) or r"\Z.")
    return special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def token_count(tokenizer: Any, text: str) -> int:
    """Count the tokens of `text`, special ones left out."""
    ids = tokenizer(plain_text(tokenizer, text), add_special_tokens=False, verbose=False)["input_ids"]
    return len(ids)


def positions(model: Any, otherwise: int) -> int:
    """Return how many tokens the table of positions of `model` has room for.

    Args:
        model: What was loaded.
        otherwise: What is returned where it has no such table, but relative positions.
    """
    import torch

    tables = [getattr(module, "position_embeddings", None) for module in model.modules()]
    # RoBERTa and its kin count positions from behind that of the padding token.
    rooms = [
        table.num_embeddings - (0 if table.padding_idx is None else int(table.padding_idx) + 1)
        for table in tables
        if isinstance(table, torch.nn.Embedding)
    ]
    return min(rooms, default=otherwise)
