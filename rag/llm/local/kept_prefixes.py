"""Beginnings of prompts that are kept when another prompt takes their place in the key/value cache.

A run asks in turns: an answer from passages, then verdicts on sentences of them, then the next question,
whose first passage is often one that was read before. The cache of llama.cpp holds one prompt here, because
prompts that share its cells change each other's last digits. So what a prompt leaves behind is copied out,
and copied back to the very place it was evaluated at, which changes nothing to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TokenBlock = tuple[int, ...]

# Tokens. Saving costs about as much as evaluating one; what is shorter is evaluated again with what follows.
LEAST = 8
# Tokens. Questions share their first passage, seldom the second: longer beginnings only crowd out others.
LONGEST = 350
# The template's head and one part behind it are kept however long they are.
ALWAYS = 2


@dataclass(frozen=True, slots=True)
class Saved:
    """The beginning of a prompt.

    Attributes:
        blocks: Its tokens, block by block as they were evaluated.
        state: The keys and values, whatever form they have.
    """

    blocks: tuple[TokenBlock, ...]
    state: Any


class Prefixes:
    """Saved beginnings of prompts, the least recently used given up first.

    Args:
        most_tokens: Tokens of all that is kept; one takes 28 kB with a 1.5B model, 12 kB with a 0.5B model.
    """

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._saved: list[Saved] = []  # the one used last at the end

    @property
    def tokens(self) -> int:
        """Tokens of all that is kept."""
        return sum(length_of(saved.blocks) for saved in self._saved)

    def longest(self, blocks: Sequence[TokenBlock], *, beyond: int) -> Saved | None:
        """Return what shares most leading blocks with `blocks`, if these are more than `beyond`."""
        best = max(self._saved, key=lambda saved: common(saved.blocks, blocks), default=None)
        if best is None or common(best.blocks, blocks) <= beyond:
            return None
        self._use(best)
        return best

    def worth_saving(self, cached: Sequence[TokenBlock], *, beyond: int) -> tuple[TokenBlock, ...]:
        """Return the beginning of `cached` that is worth keeping when all behind `beyond` blocks is dropped.

        Args:
            cached: The blocks of a whole prompt. The last is never part of it: no other prompt goes on from
                there.
            beyond: Leading blocks that stay in the cache.

        Returns:
            Leading blocks of `cached`; none where they are kept already or too short.
        """
        beginning = _beginning(cached[:-1])
        length = length_of(beginning)
        if length - length_of(cached[:beyond]) < LEAST or length > self._most_tokens:
            return ()
        for saved in self._saved:
            if saved.blocks[: len(beginning)] == beginning:
                self._use(saved)
                return ()
        return beginning

    def keep(self, saved: Saved) -> None:
        """Keep `saved` in place of those that it begins with, and give up others until all fits."""
        self._saved = [
            other for other in self._saved if other.blocks != saved.blocks[: len(other.blocks)]
        ] + [saved]
        while self.tokens > self._most_tokens:
            del self._saved[0]

    def _use(self, saved: Saved) -> None:
        self._saved = [*(other for other in self._saved if other is not saved), saved]


def common(cached: Sequence[TokenBlock], wanted: Sequence[TokenBlock]) -> int:
    """Count the leading blocks that are equal."""
    count = 0
    for have, want in zip(cached, wanted, strict=False):
        if have != want:
            break
        count += 1
    return count


def length_of(blocks: Sequence[TokenBlock]) -> int:
    """Count the tokens of `blocks`."""
    return sum(map(len, blocks))


def _beginning(blocks: Sequence[TokenBlock]) -> tuple[TokenBlock, ...]:
    """Return the leading blocks of at most `LONGEST` tokens, and in any case the first `ALWAYS`."""
    count, length = 0, 0
    for block in blocks:
        length += len(block)
        if count >= ALWAYS and length > LONGEST:
            break
        count += 1
    return tuple(blocks[:count])
