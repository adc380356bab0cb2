"""Judges and scorers, and the raw scores: what is seen of an answer, claim by claim, before it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore, Decline, Judgement
from rag_evals.rag.answer import Answer, Citation, Context, Tokens
from rag_evals.rag.tracing.conventions import INPUT, OUTPUT

# Features that only a model has which says how likely its prompt is: one on a server does not.
OF_LIKELIHOOD = frozenset({"gain"})


@dataclass(frozen=True, slots=True)
class RawScore:
    """What is seen of one claim, or of whatever else a metric goes through one by one.

    Attributes:
        text: The claim.
        value: From 0 to 1, higher is better, as the model says it; None when there is no verdict.
        features: Numbers a judge card weighs, by name; empty when there is no verdict, or a rule gave it.
        start: Character offset of the claim in the text it was taken from.
        end: Character offset behind it.
        closest: The part of the contexts that is closest to the claim.
        reason: Why there is no verdict.
        graded: False when the verdict was read from a word, not from probabilities.
        is_opposite: Whether the features speak for the opposite of `value`, as a decline does where there is
            an answer.
        unsupported: Words of the claim that nothing in the contexts speaks for, in order.
        citations: What stands behind the claim, where it was held against what it cites.
        fault: What is wrong with the claim, where no model has to tell: it cites what was not retrieved.
        state: What a card's probe reads: of the model's hidden states, float16, shape (width,); None without.
    """

    text: str
    value: float | None
    features: Mapping[str, float] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    closest: Context | None = None
    reason: str | None = None
    graded: bool = True
    is_opposite: bool = False
    unsupported: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    fault: str | None = None
    state: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RawScores:
    """The raw scores of one metric on one answer.

    Attributes:
        items: One raw score a claim; empty when there is nothing to read.
        tokens: What they cost.
        reason: Why there is nothing to read.
        declines: What of the answer declines, with what decided that.
    """

    items: tuple[RawScore, ...] = ()
    tokens: Tokens = Tokens()
    reason: str | None = None
    declines: tuple[Decline, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a judging model writes on a breach, None where it wrote nothing, and what that took."""

    text: str | None
    tokens: Tokens = Tokens()
    seconds: float = 0.0


@runtime_checkable
class Explains(Protocol):
    """A scorer with a language model, which says in a sentence what is wrong."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes what it says."""

    def explain(self, metric: str, question: Question, answer: Answer, claim: ClaimScore) -> Explanation:
        """Say what is wrong with `claim`, the weakest of `answer` by `metric`, in the calling thread."""


def explainer_of(judge: object) -> Explains | None:
    """Return what explains the breaches of a judge: its `explainer`; None where it has none."""
    explainer = getattr(judge, "explainer", None)
    return explainer if isinstance(explainer, Explains) else None


class Scorer(Protocol):
    """Reads answers for a judge.

    What else it may say of itself is its `profile` (`rag_evals.rag.profile`).
    """

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a raw score."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics it can read."""

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        """Read `answer` for each of `metrics`, in the calling thread."""


def trace_attributes(raw_score: RawScore) -> dict[str, Any]:
    """Describe `raw_score` for a trace: the claim, and its value or why there is none."""
    return {
        INPUT: raw_score.text,
        OUTPUT: str(raw_score.reason if raw_score.value is None else raw_score.value),
        "evals.claim": raw_score.text,
        "evals.value": raw_score.value,
        "evals.closest": raw_score.closest.text if raw_score.closest else None,
    }


@runtime_checkable
class Judge(Protocol):
    """Scores answers. What else it may say of itself is its `profile` (`rag_evals.rag.profile`)."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a score."""

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that applies to `question`."""


def checked_judge(given: object) -> Judge:
    """Return what a fixture gave as the judge.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(given, Judge):
        raise UsageError(
            f"fixture 'judge' gave {type(given).__name__}, which is no judge: return an object with a "
            "name, a fingerprint and an async score(question, answer), such as those of rag_evals.testing"
        )
    return given
