"""Rules: a criterion that a candidate has to meet, and a function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.generation.candidate import KINDS, Candidate

EVERY_KIND = frozenset(KINDS)
# Kinds whose reference is an answer that stands in the documents.
ANSWERED = EVERY_KIND - {"unanswerable", "false_premise"}


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a candidate has to be, in a number.

    Attributes:
        name: What a kept question is; the rule's name in work files, options and reports.
        description: What is asked of a candidate, for people.
        threshold: The number that it needs.
        side: On which side of the threshold a good candidate is.
        why: Why the threshold is where it is.
        kinds: Kinds of question that it applies to.
    """

    name: str
    description: str
    threshold: float
    side: Literal["at least", "at most"]
    why: str
    kinds: frozenset[str] = EVERY_KIND

    def is_met(self, value: float) -> bool:
        """Return whether a candidate with `value` is good enough."""
        return value >= self.threshold if self.side == "at least" else value <= self.threshold


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a candidate.

    Attributes:
        value: The number; None when none could be had.
        reason: What speaks against the candidate, one line for people; without a number, why there is none.
    """

    value: float | None
    reason: str = ""


Measure = Callable[[Candidate, Sequence[Candidate]], Measured]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule says of a candidate.

    Attributes:
        value: What was measured; None where the rule does not apply, or could not measure.
        drop: Why the candidate is dropped, one line for people; None when it passes.
    """

    value: float | None
    drop: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A criterion and the way to measure it.

    Attributes:
        criterion: What a candidate has to be.
        measure: Measures a candidate, next to those that are kept already, or raises `NoVerdict`.
    """

    criterion: Criterion
    measure: Measure

    @property
    def name(self) -> str:
        """The criterion's name."""
        return self.criterion.name

    def judge(self, candidate: Candidate, kept: Sequence[Candidate]) -> RuleResult:
        """Measure `candidate`, and say whether it is dropped.

        A candidate that could not be measured is dropped: nobody has seen that it is good.
        """
        if candidate.kind not in self.criterion.kinds:
            return RuleResult(None)
        try:
            found = self.measure(candidate, kept)
        except NoVerdict as error:
            found = Measured(None, str(error))
        if found.value is None:
            return RuleResult(None, f"no verdict: {found.reason}")
        return RuleResult(found.value, None if self.criterion.is_met(found.value) else found.reason)
