"""A run beside a baseline: the verdict, the flips, and everything that changed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rag_evals.evals.gate.comparison.attribution import Stage, stage_of
from rag_evals.evals.gate.comparison.baseline_gate import BaselineGate, hold_to_baseline, mean_of, passed
from rag_evals.evals.gate.comparison.comparability import Corpora, corpora_of
from rag_evals.evals.gate.comparison.config_changes import Change, changes_between
from rag_evals.evals.gate.comparison.pairing import Pair, pair_up
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run
from rag_evals.rag.answer import Context


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
    """Compare `run` with `base`, a baseline or any other run; the same two give the same comparison.

    `margin` is the drop that is too much, in the unit of the scores.
    """
    pairing = pair_up(run, base)
    gate = hold_to_baseline(run, base, margin=margin, pairing=pairing)
    return Comparison(
        run=run.name,
        base=base.name,
        notes=gate.notes,
        gate=gate,
        flips=_flips(pairing.pairs, corpora_of(base.pipelines), corpora_of(run.pipelines)),
        added=pairing.added,
        removed=pairing.removed,
        changes=changes_between(run, base),
        retrieval=_retrieval(pairing.pairs),
        costs=cost_changes([pair for pair in pairing.pairs if not pair.is_retrieval]),
        pairs=tuple(sides for pair in pairing.pairs for sides in pair.repeats),
    )


def _flips(pairs: Sequence[Pair], before: Corpora, after: Corpora) -> tuple[Flip, ...]:
    flips = [_flip(pair, before, after) for pair in pairs]
    return tuple(sorted((flip for flip in flips if flip), key=lambda flip: flip.is_fixed))


def _flip(pair: Pair, before: Corpora, after: Corpora) -> Flip | None:
    """Return the flip of a question; with repeats it fails when fewer than half of them pass."""
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
    """Return the changes of the first repeat: what is retrieved does not depend on the repeat.

    Of a question whose answer is compared as well, the passages of the answer count.
    """
    last = {
        (pair.pipeline, pair.question.id): pair for pair in sorted(pairs, key=lambda p: not p.is_retrieval)
    }
    found = ((key, _change(*pair.repeats[0])) for key, pair in sorted(last.items()) if pair.repeats)
    return tuple((*key, change) for key, change in found if change)


def _change(before: Evaluation, after: Evaluation) -> RetrievalChange:
    contexts = [e.answer.contexts if e.answer else () for e in (before, after)]
    return retrieval_change(*contexts)


ALL = "all"
# Stages of ours; those of other pipelines come between them.
_FIRST, _LAST = ("retrieve", "rerank"), ("generate", "judge")


@dataclass(frozen=True, slots=True)
class CostChange:
    """Means a question, over the questions that both runs have; repeats are averaged first.

    Attributes:
        pipeline: Name of the pipeline.
        stage: `retrieve`, `generate`, `judge`, ...; `all` for their sum.
        count: Number of questions.
        seconds_before: Wall-clock seconds in the baseline; of what was reused, those of when it was made.
        seconds_after: Those in the run.
        tokens_before: Tokens read and written in the baseline, without those that were read already.
        tokens_after: Those in the run.
    """

    pipeline: str
    stage: str
    count: int
    seconds_before: float
    seconds_after: float
    tokens_before: float
    tokens_after: float


def cost_changes(pairs: Sequence[Pair]) -> tuple[CostChange, ...]:
    """Return a row for each pipeline and stage, and one for all stages; pipelines sorted by name."""
    rows = []
    for pipeline in sorted({pair.pipeline for pair in pairs}):
        # What raised took no time worth comparing.
        group = [
            p for p in pairs if p.pipeline == pipeline and not any(e.error for e in (*p.before, *p.after))
        ]
        if group:
            rows += [_row(pipeline, stage, group) for stage in (*_stages(group), ALL)]
    return tuple(rows)


def _row(pipeline: str, stage: str, group: Sequence[Pair]) -> CostChange:
    before, after = [p.before for p in group], [p.after for p in group]
    return CostChange(
        pipeline,
        stage,
        len(group),
        _mean(before, lambda e: _seconds(e, stage)),
        _mean(after, lambda e: _seconds(e, stage)),
        _mean(before, lambda e: _tokens(e, stage)),
        _mean(after, lambda e: _tokens(e, stage)),
    )


def _stages(group: Sequence[Pair]) -> list[str]:
    """Return the stages in the order in which they come; a record has them in that of the alphabet."""
    found = {
        stage for pair in group for e in (*pair.before, *pair.after) for stage in (*e.seconds, *e.tokens)
    }
    first, last = ([stage for stage in known if stage in found] for known in (_FIRST, _LAST))
    return [*first, *sorted(found.difference(_FIRST, _LAST)), *last]


def _mean(sides: Iterable[Iterable[Evaluation]], cost: Callable[[Evaluation], float]) -> float:
    return fmean(fmean(map(cost, side)) for side in sides)


def _seconds(evaluation: Evaluation, stage: str) -> float:
    if stage == ALL:
        return sum(evaluation.seconds.values())
    return evaluation.seconds.get(stage, 0.0)


def _tokens(evaluation: Evaluation, stage: str) -> float:
    if stage == ALL:
        return evaluation.total.evaluated + evaluation.total.generated
    used = evaluation.tokens.get(stage)
    return used.evaluated + used.generated if used else 0


@dataclass(frozen=True, slots=True)
class RetrievalChange:
    """How the contexts of an answer changed; false when they did not.

    Attributes:
        gained: Contexts that the run has and the baseline has not, in their order.
        lost: Contexts that the baseline has and the run has not.
        moved: How many of the others would have to be moved to get from one order to the other.
    """

    gained: tuple[Context, ...] = ()
    lost: tuple[Context, ...] = ()
    moved: int = 0

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost or self.moved)


def retrieval_change(before: Sequence[Context], after: Sequence[Context]) -> RetrievalChange:
    """Compare two lists of contexts.

    Two are the same when they stand at the same place of a document, or, where none is known or the document
    has changed, when they have the same text.
    """
    matched: dict[int, int] = {}
    for key in (_place, _words):
        _match(before, after, key, matched)
    order = [matched[n] for n in sorted(matched)]
    kept = set(order)
    return RetrievalChange(
        gained=tuple(context for n, context in enumerate(after) if n not in kept),
        lost=tuple(context for n, context in enumerate(before) if n not in matched),
        moved=len(order) - _longest_rise(order),
    )


def _match(
    before: Sequence[Context],
    after: Sequence[Context],
    key: Callable[[Context], object | None],
    matched: dict[int, int],
) -> None:
    """Add to `matched`, index before to index after, what has the same key and is not in it yet."""
    free: dict[object, list[int]] = {}
    taken = set(matched.values())
    for n, context in enumerate(after):
        if n not in taken:
            free.setdefault(key(context), []).append(n)
    for n, context in enumerate(before):
        known = key(context)
        if n not in matched and known is not None and free.get(known):
            matched[n] = free[known].pop(0)


def _place(context: Context) -> object | None:
    if context.start is None or context.end is None:
        return None
    return context.document, context.start, context.end


def _words(context: Context) -> object:
    return context.document, context.text


def _longest_rise(numbers: Sequence[int]) -> int:
    """Return the length of the longest rising subsequence of distinct `numbers` (patience sorting)."""
    ends: list[int] = []
    for number in numbers:
        at = bisect_left(ends, number)
        ends[at : at + 1] = [number]
    return len(ends)
