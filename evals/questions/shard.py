"""Shards: which machine evaluates which question, decided by the question's id alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rag_evals.evals.base.errors import UsageError

EXAMPLE = "write INDEX/COUNT, such as 2/5 for the second of five shards"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of the questions.

    Attributes:
        index: Which part, from 1 to `count`.
        count: How many parts there are.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, question_id: str) -> bool:
        """Return whether the question is in this shard.

        Each question is in exactly one shard, on every machine and for every pipeline; adding questions
        moves none of the others.
        """
        # surrogatepass: an id is taken from a file, and need not be valid Unicode.
        hashed = hashlib.sha256(question_id.encode(errors="surrogatepass")).digest()
        return int.from_bytes(hashed) % self.count == self.index - 1


def parse_shard(text: str) -> Shard:
    """Parse `INDEX/COUNT`, the index from 1.

    Raises:
        UsageError: The text has another form, or there is no such shard.
    """
    index, slash, count = (part.strip() for part in text.partition("/"))
    if not slash:
        raise UsageError(f"shard {text!r} does not say of how many: {EXAMPLE}")
    for part in (index, count):
        if not (part.isascii() and part.isdigit()):
            raise UsageError(f"shard {text!r}: {part!r} is not a whole number: {EXAMPLE}")
    shard = Shard(int(index), int(count))
    if shard.count == 0:
        raise UsageError(f"shard {text!r}: there is no shard of none: {EXAMPLE}")
    if not 1 <= shard.index <= shard.count:
        raise UsageError(f"shard {text!r}: shards of {shard.count} are numbered 1 to {shard.count}")
    return shard
