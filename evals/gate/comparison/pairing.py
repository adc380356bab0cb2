"""Pairs of evaluations of two runs: which belong together, and what stands in their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# Pipeline, question id, and whether it is about retrieval alone.
PairKey = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class Pair:
    """One question put to one pipeline in both runs.

    Attributes:
        before: Its evaluations in the baseline, by repeat; held to the thresholds of the run.
        after: Those in the run.
    """

    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]

    @property
    def pipeline(self) -> str:
        """Name of the pipeline."""
        return self.after[0].pipeline

    @property
    def is_retrieval(self) -> bool:
        """Whether they are evaluations of retrieval alone."""
        return self.after[0].is_retrieval

    @property
    def question(self) -> Question:
        """The question as the run has it."""
        return self.after[0].question

    @property
    def repeats(self) -> tuple[tuple[Evaluation, Evaluation], ...]:
        """The evaluations that have the same number of repeat, side by side."""
        after = {evaluation.repeat: evaluation for evaluation in self.after}
        return tuple((e, after[e.repeat]) for e in self.before if e.repeat in after)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Everything of two runs, sorted by pipeline and question.

    Attributes:
        pairs: What is in both.
        added: What is only in the run; also questions that kept their id but ask something else.
        removed: What is only in the baseline, in the same way.
        rewritten: Ids of the questions that ask something else.
        thresholds: What the runs were held to, where it differs: lines such as `faithfulness 0.50 -> 0.80`.
    """

    pairs: tuple[Pair, ...]
    added: tuple[Evaluation, ...]
    removed: tuple[Evaluation, ...]
    rewritten: tuple[str, ...]
    thresholds: tuple[str, ...]


def pair_up(run: Run, base: Run) -> Pairing:
    """Put the evaluations of two runs side by side, by pipeline and question id.

    Both are held to the thresholds of the run: a threshold that was raised is no regression.
    """
    after, before = _grouped(run.evaluations), _grouped(base.evaluations)
    shared = sorted(after.keys() & before.keys())
    rewritten = {key for key in shared if not _is_same(before[key][0].question, after[key][0].question)}
    whole = [key for key in shared if key not in rewritten]
    return Pairing(
        pairs=tuple(_levelled(before[key], after[key]) for key in whole),
        added=_others(after, whole),
        removed=_others(before, whole),
        rewritten=tuple(sorted({key[1] for key in rewritten})),
        thresholds=tuple(sorted({line for key in whole for line in _raised(before[key], after[key])})),
    )


def of_pipeline(run: Run, pipeline: str, *, called: str) -> Run:
    """Return what one pipeline did in `run`, as if it were called `called`: to put it beside another.

    Raises:
        UsageError: There is no evaluation of it; says which pipelines there are.
    """
    names = sorted({evaluation.pipeline for evaluation in run.evaluations})
    if pipeline not in names:
        known = printable(", ".join(names))
        raise UsageError(f"{printable(run.name)} has no pipeline {printable(pipeline)!r}: it has {known}")
    ours = (replace(one, name=called) for one in run.pipelines if one.name == pipeline)
    return replace(
        run,
        name=f"{run.name} [{pipeline}]",
        components=(*ours, *run.judges),
        evaluations=tuple(replace(e, pipeline=called) for e in run.evaluations if e.pipeline == pipeline),
    )


def _grouped(evaluations: Iterable[Evaluation]) -> dict[PairKey, tuple[Evaluation, ...]]:
    groups: dict[PairKey, list[Evaluation]] = {}
    for evaluation in sorted(evaluations, key=lambda e: e.repeat):
        key = (evaluation.pipeline, evaluation.question.id, evaluation.is_retrieval)
        groups.setdefault(key, []).append(evaluation)
    return {key: tuple(group) for key, group in groups.items()}


def _others(
    groups: Mapping[PairKey, tuple[Evaluation, ...]], shared: Iterable[PairKey]
) -> tuple[Evaluation, ...]:
    known = set(shared)
    return tuple(e for key in sorted(groups) if key not in known for e in groups[key])


def _is_same(before: Question, after: Question) -> bool:
    # Whether it is to be answered at all is part of what is asked.
    return (before.question, before.answerable) == (after.question, after.answerable)


def _levelled(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> Pair:
    """Hold both sides to one set of thresholds: those of the run, for metrics that both have scores of."""
    shared = _metrics(before) & _metrics(after)
    given = {metric: value for e in after for metric, value in e.thresholds.items()}
    if not _metrics(before) or not _metrics(after):  # a pipeline that raised has no scores
        return Pair(tuple(before), tuple(after))
    thresholds = {metric: value for metric, value in given.items() if metric in shared}
    sides = (tuple(replace(e, thresholds=thresholds) for e in side) for side in (before, after))
    return Pair(*sides)


def _raised(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> list[str]:
    old, new = before[0].thresholds, after[0].thresholds
    return [f"{m} {old[m]:g} -> {new[m]:g}" for m in old if m in new and old[m] != new[m]]


def _metrics(evaluations: Iterable[Evaluation]) -> set[str]:
    return {score.metric for evaluation in evaluations for score in evaluation.scores}
