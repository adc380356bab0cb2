"""Rules against duplicates, by the embedding of a question, its letters, its names and its answer.

Closeness alone does not tell: "at 16 bits" and "at 4 bits" are as close as two wordings of one question
(cosine 0.97). Two questions that name different things, or have different answers, are two questions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import Criterion, Measured
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.questions.question import Question
from rag_evals.rag.retrieval.embedder import Embedder, Vectors

CRITERION = Criterion(
    name="new",
    description="The question asks what no kept or curated question asks: none that is as close by embedding "
    "or letters has the same names and an answer that may be the same.",
    threshold=0.8,
    side="at most",
    why="cosine, or share of common letter groups where that is more; 24 of 24 pairs that ask the same have "
    "more, and of 28 close pairs that ask different things none does that has other names or another answer",
)

SAME = Criterion(
    name="same-question",
    description="A paraphrase asks what its original asks.",
    threshold=0.8,
    side="at least",
    why="cosine of the two; of 6 paraphrases with less 4 ask something else, of 13 with more 1",
    kinds=frozenset({"paraphrase"}),
)

# Share of the stems of the shorter answer that both have: below, they are two answers.
SAME_ANSWER = 0.5
LETTERS = 4

_NAME = re.compile(r"\b(?:[A-Z][\w-]*[A-Z\d][\w.-]*|\w*\d[\w.,-]*)|(?<!^)\b[A-Z][\w-]+")
_ASKING = frozenset(stems("what which who why how many much long does do did reason number mean call"))


class Duplicates:
    """Finds the question that is most like a candidate, also among curated ones, whatever their origin."""

    def __init__(self, embedder: Embedder, curated: Sequence[Question] = ()) -> None:
        self._embedder = embedder
        self._curated = tuple(curated)
        # By the text of the question: the embedder itself may have no memory.
        self._vectors: dict[str, Vectors] = {}

    def __call__(self, candidate: Candidate, kept: Sequence[Candidate]) -> Measured:
        """Measure how like the most similar kept or curated question is, of those that may ask the same."""
        ours = candidate.question
        original = (ours.provenance or {}).get("paraphrase_of")
        others = [*self._curated, *(one.question for one in kept if one.question.id != original)]
        rivals = [other for other in others if may_ask_the_same(ours, other)]
        if not rivals:
            return Measured(0.0)
        vectors = self._embedded([ours, *rivals])
        asked = vectors[ours.question]
        likeness = {
            other.id: max(float(asked @ vectors[other.question]), _letters_alike(ours, other))
            for other in rivals
        }
        closest = max(rivals, key=lambda other: likeness[other.id])
        reason = f'asks the same as "{closest.question}" ({closest.id})'
        return Measured(min(1.0, likeness[closest.id]), reason)

    def to_original(self, candidate: Candidate, kept: Sequence[Candidate]) -> Measured:
        """Measure how like its original a paraphrase is."""
        ours = candidate.question
        wanted = (ours.provenance or {}).get("paraphrase_of")
        original = next((one.question for one in kept if one.question.id == wanted), None)
        if original is None:
            return Measured(None, "its original is not kept")
        vectors = self._embedded([ours, original])
        likeness = float(vectors[ours.question] @ vectors[original.question])
        return Measured(min(1.0, likeness), f'asks something else than "{original.question}"')

    def _embedded(self, questions: Sequence[Question]) -> Mapping[str, Vectors]:
        missing = list(dict.fromkeys(q.question for q in questions if q.question not in self._vectors))
        self._vectors |= dict(zip(missing, self._embedder.embed(missing), strict=True))
        return self._vectors


def may_ask_the_same(one: Question, other: Question) -> bool:
    """Return whether two questions name the same things and have no different answers."""
    if one.answerable != other.answerable:
        return False
    ours, theirs = _names(one.question), _names(other.question)
    if ours - theirs and theirs - ours:
        return False
    if one.reference is None or other.reference is None:
        return True
    told, other_told = set(stems(one.reference)), set(stems(other.reference))
    fewest = min(len(told), len(other_told))
    return fewest == 0 or len(told & other_told) >= SAME_ANSWER * fewest


def _names(question: str) -> set[str]:
    return {found.lower().rstrip(".,") for found in _NAME.findall(question)}


def _letters_alike(one: Question, other: Question) -> float:
    """Return the share of groups of letters that two questions have in common, words of asking left out."""
    ours, theirs = _letters(one.question), _letters(other.question)
    both = len(ours) + len(theirs)
    return 2 * len(ours & theirs) / both if both else 0.0


def _letters(question: str) -> set[str]:
    text = " ".join(stem for stem in stems(question) if stem not in _ASKING)
    return {text[n : n + LETTERS] for n in range(len(text) - LETTERS + 1)}
