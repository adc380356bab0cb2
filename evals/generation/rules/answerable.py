"""Rules on answers: the source gives one, and nobody gives it without the source. The model tries."""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.examiner import Examiner
from rag_evals.evals.generation.rules.rule import ANSWERED, Criterion, Measured
from rag_evals.evals.judges.prompts import Wording

GROUNDED = Criterion(
    name="grounded",
    description="The reference is the correct answer by the source, as the model reads it.",
    threshold=0.7,
    side="at least",
    why="probability of yes; of 69 right references 1 has less, of 30 wrong ones 7: most are left to the "
    "next rule",
    kinds=ANSWERED,
)
ANSWERABLE = Criterion(
    name="answerable",
    description="The model answers the question from the source alone, and agrees with the reference.",
    threshold=0.6,
    side="at least",
    why="agreement; of 14 questions whose source does not give the reference 11 have less, of 39 others 4",
    kinds=ANSWERED,
)
NEEDS_DOCUMENTS = Criterion(
    name="needs-documents",
    description="The model does not give the reference from memory: else the question tests the model, not "
    "the retrieval.",
    threshold=0.65,
    side="at most",
    why="agreement; of 4 questions that people answer from memory 3 have more, of 39 others 1, "
    "which the model does know",
    kinds=ANSWERED,
)

# "No" first, as everywhere: these models lean to yes, and less to what is named first. Put as a claim that
# the source is to support, a reference that answers something else is as well supported as a right one.
_CORRECT = Wording(
    "Reply", "Is the reply the correct answer to the question, by the passages above? Answer no or yes."
)


def grounded(examiner: Examiner, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure how far the reference is the correct answer by the source."""
    question = candidate.question
    value = examiner.read(_CORRECT, question.reference or "", question, sources_of(candidate))
    return Measured(value, f'"{question.reference}" is not what the source says')


def answerable(examiner: Examiner, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure how far the model, with the source before it, agrees with the reference."""
    return agreement(examiner, candidate, sources_of(candidate), "from the source the model says")


def needs_documents(examiner: Examiner, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure how far the model, with nothing before it, agrees with the reference."""
    return agreement(examiner, candidate, (), "from memory the model says")


def sources_of(candidate: Candidate) -> list[str]:
    """Return the words of a candidate's sources."""
    return [source.quote or "" for source in candidate.question.sources]


def agreement(examiner: Examiner, candidate: Candidate, passages: Sequence[str], reason: str) -> Measured:
    """Measure how far the model, with `passages` before it, agrees with the reference of `candidate`."""
    question = candidate.question
    said = examiner.answer(question.question, passages)
    return Measured(examiner.agreement(question, said), f'{reason} "{said}"')
