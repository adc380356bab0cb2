"""Criteria: a yes/no question about each answer, in a project's own words, put to the judging model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import kind_name, printable, short_repr
from rag_evals.evals.judges.prompts import Wording
from rag_evals.evals.questions.question import Question
from rag_evals.rag.identity import digest

Part = Literal["question", "answer", "contexts", "reference"]
Applies = Callable[[Question], bool]
# Counts up when the same criterion is put to the model in another way.
VERSION = 1
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_answerable(question: Question) -> bool:
    """Return whether the documents answer `question`."""
    return question.answerable


@dataclass(frozen=True, slots=True)
class Criterion:
    """A yes/no question about an answer; its score is the probability of the good reply.

        Criterion("names_price", asks="Does the reply name the price?")

    Attributes:
        name: Name of the metric in options, records and reports.
        asks: What the judging model is asked of the answer, which it is shown as `Reply`.
        applies: Tells whether it is asked of a question; by default of those that the documents answer.
        good: The reply that is good.
        sees: What the model is shown: the answer, and of `question`, `contexts` and `reference` what is named
            here. With `reference` it is asked only of questions that have one.
        threshold: Least score that is no breach; None for that of the judge card, or 0.5.

    Raises:
        UsageError: Something of it is wrong.
    """

    name: str
    asks: str
    applies: Applies = is_answerable
    good: Literal["yes", "no"] = "yes"
    sees: tuple[Part, ...] = ("question", "answer")
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_name("criterion", self.name)
        check_parameters("criterion", self.name, self.applies, self.threshold)
        if not isinstance(self.asks, str) or not self.asks.strip():
            raise UsageError(
                f"criterion {self.name}: asks = {short_repr(self.asks)} asks nothing: give a question that "
                'is answered by yes or no, such as asks="Does the reply name the price?"'
            )
        if self.good not in ("yes", "no"):
            raise UsageError(f"criterion {self.name}: good = {short_repr(self.good)}: one of yes, no")
        sees = (self.sees,) if isinstance(self.sees, str) else tuple(self.sees)
        if unknown := [part for part in sees if part not in get_args(Part)]:
            raise UsageError(
                f"criterion {self.name}: sees {', '.join(map(short_repr, unknown))}: known are "
                f"{', '.join(get_args(Part))}"
            )
        # It is the answer that is judged, whatever else is seen.
        object.__setattr__(self, "sees", tuple(dict.fromkeys((*sees, "answer"))))

    @property
    def wording(self) -> Wording:
        """The question as the model is asked."""
        return Wording("Reply", f"{' '.join(self.asks.split())} Answer yes or no.", self.good)

    @property
    def breach(self) -> str:
        """What a low score means, said of the answer."""
        other = "no" if self.good == "yes" else "yes"
        return f'gets a {other} for "{printable(" ".join(self.asks.split()))}"'

    @property
    def told(self) -> dict[str, Any]:
        """What a run says of it."""
        return {
            "asks": " ".join(self.asks.split()),
            "good": self.good,
            "sees": [part for part in get_args(Part) if part in self.sees],
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a score: not its name, nor what it is asked of."""
        return digest({"version": VERSION, **self.told})

    def is_for(self, question: Question) -> bool:
        """Return whether it is asked of `question`."""
        has_all = "reference" not in self.sees or question.reference is not None
        return has_all and bool(self.applies(question))


def check_name(kind: str, name: object) -> None:
    """Check that a metric can have this name.

    Raises:
        UsageError: It is no word of letters, digits and underscores.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"{kind} {short_repr(name)}: its name has to be one word of letters, digits and underscores that "
            "does not begin with a digit, such as names_price"
        )


def check_parameters(kind: str, name: str, applies: object, threshold: object) -> None:
    """Check what criteria and checks have alike.

    Raises:
        UsageError: Something is wrong with it.
    """
    if not callable(applies):
        raise UsageError(
            f"{kind} {name}: applies is {kind_name(applies)} ({short_repr(applies)}): give a function of the "
            'question, such as lambda question: "price" in question.tags'
        )
    if threshold is None:
        return
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not is_number or not 0 <= threshold <= 1:  # type: ignore[operator]
        raise UsageError(f"{kind} {name}: threshold = {short_repr(threshold)} is no number from 0 to 1")
