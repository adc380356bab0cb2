"""The passages of a question held against its sources: what each stage found, and the figures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

from rag_evals.evals.base.errors import NoVerdict, UsageError
from rag_evals.evals.questions.question import Question
from rag_evals.evals.retrieval.characters import CharacterCounts, count_characters
from rag_evals.evals.retrieval.coverage import Coverage, Passage, RankedPassages, targets_of
from rag_evals.evals.retrieval.metric_names import RetrievalMetric, is_of_characters
from rag_evals.evals.retrieval.ranks import Ranking, Reached, best_grades, rank_finds, reached_targets

# How much of a source a passage has to hold. A border between two chunks cuts a source in two, and the larger
# piece holds half of it or more.
DEFAULT_TAU = 0.5

Stages = Mapping[str, Sequence[Passage]]


def check_tau(tau: float) -> None:
    """Check that `tau` is a share of a source that can be covered.

    Raises:
        UsageError: It is not.
    """
    if not 0 < tau <= 1:
        raise UsageError(f"tau = {tau:g}: it is the share of a source to be covered, above 0 and at most 1")


_OF_RANKING: Mapping[str, Callable[[Ranking], float]] = {
    "hit": lambda ranking: ranking.hit,
    "recall": lambda ranking: ranking.recall,
    "mrr": lambda ranking: ranking.reciprocal_rank,
    "map": lambda ranking: ranking.average_precision,
}


class JudgedRetrieval:
    """The passages of a question, held against its sources.

    Attributes:
        targets: What is to be found.
        stages: The passages of each stage.
        tau: Share of a source that has to be covered.
        coverages: How the passages of the last stage cover each target.
        grades: What each group of alternatives is worth at best, from the highest.
        problem: Why none of its figures can be told; None where they can.
    """

    def __init__(self, question: Question, stages: Stages, tau: float = DEFAULT_TAU) -> None:
        self.targets = targets_of(question)
        self.stages = stages
        self.tau = tau
        *_, last = stages
        self._ranked = RankedPassages(stages[last])
        self.coverages = self._covered(self._ranked)
        self._by_stage = {last: self.coverages}
        self.grades = best_grades(self.targets)
        self._reached: tuple[Reached, ...] | None = None
        self._rankings: dict[int | None, Ranking] = {}
        self._characters: CharacterCounts | None = None
        self.problem = self._problem()

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages that are scored."""
        return self._ranked.passages

    def coverages_at(self, stage: str) -> tuple[Coverage, ...]:
        """Return how the passages of a stage cover each target."""
        if stage not in self._by_stage:
            self._by_stage[stage] = self._covered(RankedPassages(self.stages[stage]))
        return self._by_stage[stage]

    def at(self, tau: float) -> JudgedRetrieval:
        """Return the same with another share of a source that has to be covered."""
        other = copy(self)
        other.tau, other._reached, other._rankings = tau, None, {}
        return other

    def _covered(self, ranked: RankedPassages) -> tuple[Coverage, ...]:
        return tuple(ranked.coverage(target.source) for target in self.targets)

    def ranking(self, k: int | None) -> Ranking:
        """Return what the first `k` passages find."""
        if k not in self._rankings:
            if self._reached is None:
                self._reached = reached_targets(self.targets, self.coverages, self.tau)
            self._rankings[k] = rank_finds(self._reached, self.grades, k)
        return self._rankings[k]

    def characters(self) -> CharacterCounts:
        """Return the characters of the sources and the passages.

        Raises:
            NoVerdict: A source or a passage tells no offsets.
        """
        if self._characters is None:
            self._characters = count_characters(self.targets, self.coverages, self._ranked)
        return self._characters

    def value(self, metric: RetrievalMetric) -> float:
        """Return the figure of a metric, from 0 to 1.

        Raises:
            NoVerdict: It cannot be told.
        """
        if self.problem:
            raise NoVerdict(self.problem)
        kind, k = metric.kind, metric.k
        if kind == "unjudged":
            return len(self.unjudged(k)) / len(self.passages[:k]) if self.passages else 0.0
        if is_of_characters(metric):
            return float(getattr(self.characters(), kind))
        ranking = self.ranking(k)
        if kind == "ndcg":
            return ranking.ndcg(k or len(self.passages))
        if kind == "precision":
            return ranking.useful / (k or 1)
        return _OF_RANKING[kind](ranking)

    def unjudged(self, k: int | None) -> list[int]:
        """Return those of the first `k` passages that no source says anything of, counted from 0."""
        ranking = self.ranking(k)
        judged = {rank for one in self.coverages for rank, share in one.alone.items() if share >= self.tau}
        for find in ranking.finds:
            judged.update(find.reached.taken)
        return [rank for rank in range(len(self.passages[:k])) if rank not in judged]

    def _problem(self) -> str | None:
        """Return why no figure can be told: nothing can be found, or it cannot be seen what was."""
        if not self.targets:
            return "the question has no source"
        if not self.grades:
            return "the question has no source with a relevance above 0"
        return next((one.undecided for one in self.coverages if one.undecided), None)
