"""What a question takes in two runs: seconds and tokens, per pipeline and stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from evals.pairing import Pair
from evals.records import Evaluation

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
    """Give a row for each pipeline and stage, and one for all stages; pipelines sorted by name."""
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
    """Give the stages in the order in which they come; a record has them in that of the alphabet."""
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
