"""What people are asked of an answer, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rag_evals.evals.judges.calibration.labels.examples import LABELS


@dataclass(frozen=True, slots=True)
class Asked:
    """What people are asked by one metric.

    Attributes:
        asks: The question; yes is label 1.
        helps: When it is yes, and when no.
        shows: What it is to be answered from, besides question and answer: `passages`, `reference`.
    """

    asks: str
    helps: str
    shows: tuple[str, ...] = ()


ASKED: Mapping[str, Asked] = MappingProxyType(
    {
        "faithful": Asked(
            "Do the passages support everything that the answer says?",
            "No, if one statement is not in the passages or against them, even if you know it to be true.",
            ("passages",),
        ),
        "relevant": Asked(
            "Does the answer answer the question?",
            "Whether it is true does not matter here. No, if it speaks of something else or only declines.",
        ),
        "correct": Asked(
            "Does the answer say what the right answer says?",
            "In any words; it may say more. No, if something of the right answer is missing or contradicted.",
            ("reference",),
        ),
        "declined": Asked(
            "Does the answer decline to answer?",
            "Yes, if it says that it does not know, cannot tell, or that the documents do not say it.",
        ),
        "useful": Asked(
            "Does this passage help to answer the question?",
            "Yes, if a part of a right answer can be taken from it. The answer above does not matter.",
            ("passage",),
        ),
        "recalled": Asked(
            "Do the passages say everything that the right answer says?",
            "In any words. No, if a part of it is not in them.",
            ("passages", "reference"),
        ),
    }
)
assert ASKED.keys() == LABELS.keys()
