"""Rules on the rest of the documents: nothing there answers or makes true what should be neither."""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.examiner import Examiner, is_silent
from rag_evals.evals.generation.rules.answerable import agreement
from rag_evals.evals.generation.rules.rule import Criterion, Measured
from rag_evals.evals.judges.prompts import USEFUL, Wording
from rag_evals.rag.retrieval.embedder import Embedder, Vectors

# Passages: those closest to a question, and of them those that are read for it one by one.
CLOSEST = 4
READ = 2

UNSUPPORTED = Criterion(
    name="unsupported",
    description=f"Nothing in all documents answers it: of the {CLOSEST} passages closest to it the model "
    "makes no answer that they support, and none helps.",
    threshold=0.68,
    side="at most",
    why="mean of two probabilities, that the passages support what the model answers from them and "
    "that the most useful helps; of 8 questions that the primer answers all have more, of 8 "
    "that it does not 4",
    kinds=frozenset({"unanswerable"}),
)
PREMISE_IS_FALSE = Criterion(
    name="premise-is-false",
    description="What the question takes for granted is not so by the passages that are closest to it.",
    threshold=0.64,
    side="at most",
    why="probability that it is so; of 5 questions with a true premise all have more, of 6 with a false "
    "one 1",
    kinds=frozenset({"false_premise"}),
)
TOLD_APART = Criterion(
    name="told-apart",
    description="The similar passage does not give the reference: who retrieves it alone answers wrongly.",
    threshold=0.5,
    side="at most",
    why="agreement with the reference of what the model answers from the similar passage; where it says the "
    "same, 0.82 and more, where it says something else 0.36 and less",
    kinds=frozenset({"distractor"}),
)

# "No" first, as everywhere: these models lean to yes, and less to what is named first.
_TAKEN_FOR_GRANTED = Wording(
    "Question",
    "Is what the question takes for granted true according to the passages above? Answer no or yes.",
)


class Nearest:
    """Finds the passages that are closest to a question, among all of them, for the examiner to read."""

    def __init__(self, embedder: Embedder, texts: Sequence[str], examiner: Examiner) -> None:
        self._embedder = embedder
        self._texts = texts
        self._examiner = examiner
        self._vectors: Vectors | None = None

    def to(self, question: str) -> list[str]:
        """Return the texts of the passages closest to `question`, the closest first."""
        if self._vectors is None:
            self._vectors = self._embedder.embed(list(self._texts))
        cosines = self._vectors @ self._embedder.embed([question])[0]
        order = sorted(range(len(self._texts)), key=lambda place: -float(cosines[place]))
        return [self._texts[place] for place in order[:CLOSEST]]

    def unsupported(self, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
        """Measure how far the documents answer a question that they should not answer."""
        question = candidate.question
        texts = self.to(question.question)
        said = self._examiner.answer(question.question, texts)
        if is_silent(said):
            return Measured(0.0)
        support = self._examiner.support(question, said, texts)
        helps = max(self._examiner.read(USEFUL, text, question) for text in texts[:READ])
        return Measured((support + helps) / 2, f'the documents seem to answer it: "{said}"')

    def premise_is_false(self, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
        """Measure how far the documents say what a question takes for granted."""
        question = candidate.question
        texts = self.to(question.question)[:READ]
        value = self._examiner.read(_TAKEN_FOR_GRANTED, question.question, question, texts)
        return Measured(value, "what it takes for granted seems to be so")


def told_apart(examiner: Examiner, candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Measure how far the similar passage answers as the source does."""
    texts = [candidate.other.text] if candidate.other else []
    return agreement(examiner, candidate, texts, "the similar passage says it as well:")
