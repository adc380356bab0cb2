"""A run beside a baseline: the verdict, the flips, and everything that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.attribution import Stage, stage_of
from evals.baseline_gate import BaselineGate, held_pairs, mean_of, passed
from evals.changes import Change, changes_between
from evals.costs import CostChange, cost_changes
from evals.differences import Corpora, corpora_of
from evals.pairing import Pair, pair_up
from evals.questions import Question
from evals.records import Evaluation
from evals.retrieval_changes import RetrievalChange, retrieval_change
from evals.runs import Run

__all__ = ["Change", "Comparison", "CostChange", "Flip", "RetrievalChange", "compare"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A question whose verdict is another than in the baseline.

    Attributes:
        pipeline: Name of the pipeline.
        question: The question, as the run has it.
        before: Its evaluation in the baseline, held to the thresholds of the run.
        after: Its evaluation in the run.
        is_fixed: Whether it failed before; else it fails now.
        retrieval: How the passages changed.
        stage: Where the answer was lost, of the side that failed; None where it is not known.
    """

    pipeline: str
    question: Question
    before: Evaluation
    after: Evaluation
    is_fixed: bool
    retrieval: RetrievalChange
    stage: Stage | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside a baseline.

    Attributes:
        run: Name of the run.
        base: Name of the baseline.
        notes: What is to be known first; the same lines as the gate's.
        gate: The paired differences and the verdict.
        flips: Newly failing questions first, then fixed ones; sorted by pipeline and question.
        added: Evaluations that only the run has, or of a question that asks something else now.
        removed: Those that only the baseline has, in the same way.
        changes: What is different in configuration, model, prompt, corpus, judge and versions.
        retrieval: Pipeline, question id and change, of questions whose passages changed.
        costs: Seconds and tokens a question, per pipeline and stage, over the questions of both.
        pairs: Evaluations of the same repeat of a question, before and after.
    """

    run: str
    base: str
    notes: tuple[str, ...]
    gate: BaselineGate
    flips: tuple[Flip, ...]
    added: tuple[Evaluation, ...]
    removed: tuple[Evaluation, ...]
    changes: tuple[Change, ...]
    retrieval: tuple[tuple[str, str, RetrievalChange], ...]
    costs: tuple[CostChange, ...]
    pairs: tuple[tuple[Evaluation, Evaluation], ...]


def compare(run: Run, base: Run, *, margin: float = 0.05) -> Comparison:
    """Compare `run` with `base`; the same two give the same comparison.

    Args:
        run: The run.
        base: The baseline, or any other run.
        margin: The drop that is too much, in the unit of the scores.
    """
    pairing = pair_up(run, base)
    gate = held_pairs(run, base, pairing, margin=margin)
    return Comparison(
        run=run.name,
        base=base.name,
        notes=gate.notes,
        gate=gate,
        flips=_flips(pairing.pairs, corpora_of(base), corpora_of(run)),
        added=pairing.added,
        removed=pairing.removed,
        changes=changes_between(run, base),
        retrieval=_retrieval(pairing.pairs),
        costs=cost_changes(pairing.pairs),
        pairs=tuple(sides for pair in pairing.pairs for sides in pair.repeats),
    )


def _flips(pairs: Sequence[Pair], before: Corpora, after: Corpora) -> tuple[Flip, ...]:
    flips = [_flip(pair, before, after) for pair in pairs]
    return tuple(sorted((flip for flip in flips if flip), key=lambda flip: flip.is_fixed))


def _flip(pair: Pair, before: Corpora, after: Corpora) -> Flip | None:
    """Give the flip of a question; with repeats it fails when fewer than half of them pass."""
    old, new = mean_of(pair.before, passed), mean_of(pair.after, passed)
    if old is None or new is None or (old >= 0.5) == (new >= 0.5):
        return None
    is_fixed = new >= 0.5
    first = _first(pair.before, passes=not is_fixed), _first(pair.after, passes=is_fixed)
    failing, corpora = (first[0], before) if is_fixed else (first[1], after)
    return Flip(
        pair.pipeline,
        pair.question,
        *first,
        is_fixed,
        _change(*first),
        stage_of(failing, corpora.get(pair.pipeline)),
    )


def _first(evaluations: Iterable[Evaluation], *, passes: bool) -> Evaluation:
    return next(e for e in evaluations if passed(e) == float(passes))


def _retrieval(pairs: Sequence[Pair]) -> tuple[tuple[str, str, RetrievalChange], ...]:
    """Give the changes of the first repeat: what is retrieved does not depend on the repeat."""
    found = ((pair, _change(*pair.repeats[0])) for pair in pairs if pair.repeats)
    return tuple((pair.pipeline, pair.question.id, change) for pair, change in found if change)


def _change(before: Evaluation, after: Evaluation) -> RetrievalChange:
    contexts = [e.answer.contexts if e.answer else () for e in (before, after)]
    return retrieval_change(*contexts)
