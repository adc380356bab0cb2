"""What the weights of a model are known by, wherever it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# How the precision of weights is spelled at the end of a name, and what names of files have besides.
_ENDING = re.compile(
    r"[-._](?:latest|gguf|instruct|chat|it|(?:i?q\d|tq\d)[\w]*|(?:b?f|fp|int)\d+|awq|gptq|\d+bits?)$"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a model's weights are known by.

    Attributes:
        names: What the model and its file are called.
        sha256: SHA-256 of the file; None where it is not known.
    """

    names: tuple[str, ...]
    sha256: str | None = None

    def may_be(self, other: Weights) -> bool:
        """Return whether these may be the weights of `other`: by digest, or by a name however it is spelled.

        Precision is no part of a name: how much it changes a model's verdicts, only those can tell.
        """
        if self.sha256 and self.sha256 == other.sha256:
            return True
        return not _spellings(self.names).isdisjoint(_spellings(other.names))


def _spellings(names: Sequence[str]) -> set[str]:
    return {spelled for name in names if (spelled := _bare(name))}


def _bare(name: str) -> str:
    bare = re.split(r"[/\\]", name.strip().lower())[-1].replace(":", "-")
    while (shorter := _ENDING.sub("", bare)) != bare:
        bare = shorter
    return bare
