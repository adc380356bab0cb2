"""The verdicts of a gate: PASS, INCONCLUSIVE or BLOCK."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a gate decides, in order of severity.

    Attributes:
        PASS: The run meets what it is held to, beyond chance.
        INCONCLUSIVE: The data cannot tell.
        BLOCK: The run misses it, beyond chance.
    """

    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    BLOCK = "BLOCK"


_SEVERITY = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most severe of `verdicts`; PASS for none, as nothing was held against the run."""
    return max(verdicts, key=_SEVERITY.index, default=Verdict.PASS)
