"""The run-level gate: each condition is judged with a 95 % interval.

PASS when the whole interval is on the right side of the bound, BLOCK when it is on the wrong one, else
INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rag_evals.evals.base.drawn import Drawn, needed_of
from rag_evals.evals.base.intervals import (
    Interval,
    Sample,
    least_for_quantile,
    mean_interval,
    quantile_interval,
    questions_needed,
    rate_interval,
)
from rag_evals.evals.gate.comparison.baseline_gate import passed, score_getter
from rag_evals.evals.gate.condition import (
    CONVERSATIONS,
    COVERAGE,
    LATENCY,
    PASS_RATE,
    TOKENS,
    Condition,
    parse_condition,
)
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.judges.metrics import RECORDED
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score, is_below

Value = Callable[[Evaluation], float | None]


LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """A condition that was held against evaluations of one pipeline.

    Attributes:
        condition: The condition.
        pipeline: The pipeline; None when no evaluation is in the condition's scope and it names none.
        count: Questions that the value was made of; of `coverage` it is evaluations, and of `conversations`
            conversations.
        interval: The value and its interval, which is the value itself where it is counted; None without a
            value.
        verdict: What is decided.
        needed: About how many further questions would decide; None when it is decided, or when that cannot
            be said: `notes` tell why.
        notes: What is to be known of it.
    """

    condition: Condition
    pipeline: str | None
    count: int
    interval: Interval | None
    verdict: Verdict
    needed: int | None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The condition with the pipeline that it was held for."""
        return self.condition.text_for(self.pipeline)

    def with_verdict(self, verdict: Verdict, *notes: str) -> ConditionResult:
        """Return the condition with a verdict that its interval does not give, and with `notes`."""
        return replace(self, verdict=verdict, needed=None, notes=notes)


def check_conditions(
    conditions: Sequence[Condition], evaluations: Sequence[Evaluation], *, level: float = LEVEL
) -> tuple[ConditionResult, ...]:
    """Hold the evaluations of a run to `conditions`, and to those that marks put on their tests.

    A condition without a pipeline in its scope is held for each pipeline apart: a number over several would
    say nothing. One that marks put on tests is held on the evaluations of the tests so marked. The result is
    the same in whatever order the evaluations were finished.

    Args:
        conditions: What the run as a whole is held to.
        evaluations: Those of the run, repeats as they are; here each question counts once.
        level: Level of the intervals.

    Raises:
        ConditionError: What an evaluation was marked with is no condition.
    """
    ordered = sorted(evaluations, key=lambda e: (e.pipeline, e.question.id, e.repeat))
    held = [one for condition in conditions for one in _held(condition, ordered, level)]
    for condition, marked in _marked(ordered):
        ours = _held(condition, marked, level)
        held += [replace(one, notes=("of the tests marked with it", *one.notes)) for one in ours]
    return tuple(held)


def _marked(evaluations: Iterable[Evaluation]) -> Iterator[tuple[Condition, list[Evaluation]]]:
    """Return each condition of a mark with the evaluations that carry it, in whatever spelling."""
    parsed: dict[str, Condition] = {}
    carried: dict[Condition, list[Evaluation]] = {}
    for evaluation in evaluations:
        for text in evaluation.conditions:
            if text not in parsed:
                parsed[text] = parse_condition(text, RECORDED)
        for condition in {parsed[text] for text in evaluation.conditions}:
            carried.setdefault(condition, []).append(evaluation)
    return ((condition, carried[condition]) for condition in sorted(carried, key=lambda c: c.text))


def _held(condition: Condition, evaluations: Iterable[Evaluation], level: float) -> list[ConditionResult]:
    by_pipeline: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if is_in_scope(condition, evaluation):
            by_pipeline.setdefault(evaluation.pipeline, []).append(evaluation)
    if not by_pipeline:
        return [_undecided(condition, condition.pipeline, "no evaluation is in its scope")]
    return [_held_for(condition, pipeline, group, level) for pipeline, group in by_pipeline.items()]


def is_in_scope(condition: Condition, evaluation: Evaluation) -> bool:
    """Return whether an evaluation is one that `condition` is about."""
    if condition.measure == CONVERSATIONS and evaluation.question.conversation is None:
        return False
    is_pipeline = condition.pipeline in (None, evaluation.pipeline)
    is_kind = condition.is_of_retrieval == evaluation.is_retrieval
    return is_pipeline and is_kind and set(condition.tags) <= set(evaluation.question.tags)


def _held_for(
    condition: Condition, pipeline: str, group: Sequence[Evaluation], level: float
) -> ConditionResult:
    """Hold the evaluations of one pipeline that are in scope."""
    measured = [e for e in group if _is_measured(condition, e)]
    if not measured:
        return _undecided(condition, pipeline, f"{condition.measure} was not scored")
    odd = sum(_is_odd(condition, evaluation) for evaluation in measured)
    notes = [f"{odd:,} with NaN or an infinity for a score"] if odd else []
    readable = [_readable(evaluation) for evaluation in measured]
    if condition.measure == COVERAGE:
        covered = sum(not (e.error or e.unscored) for e in readable)
        return _counted(condition, pipeline, covered / len(readable), len(readable), notes)
    sample, left_out = _sample(condition, readable)
    if left_out:
        what = "an answer" if condition.measure in (LATENCY, TOKENS) else "a verdict"
        notes.insert(0, f"{left_out:,} of {len(readable):,} without {what} left out")
    if not sample.values:
        return _undecided(condition, pipeline, "there is no value", *notes)
    if condition.is_counted:
        least_or_greatest = min if condition.statistic == "min" else max
        return _counted(condition, pipeline, least_or_greatest(sample.values), len(sample.values), notes)
    return _estimated(condition, pipeline, sample, notes, level)


# --- verdicts ---


def _undecided(condition: Condition, pipeline: str | None, *notes: str) -> ConditionResult:
    return ConditionResult(condition, pipeline, 0, None, Verdict.INCONCLUSIVE, None, notes)


def _counted(
    condition: Condition, pipeline: str, value: float, count: int, notes: Sequence[str]
) -> ConditionResult:
    """Judge a value as it is.

    Coverage is a fact of this run, not a sample of anything: so many verdicts are there or not. Least and
    greatest are as well, as the greatest value of a sample has no useful interval.
    """
    interval = Interval(value, value, value)
    return ConditionResult(
        condition, pipeline, count, interval, _verdict(condition, interval), None, tuple(notes)
    )


def _estimated(
    condition: Condition, pipeline: str, sample: Sample, notes: Sequence[str], level: float
) -> ConditionResult:
    """Judge a value by its interval."""
    interval, count = _interval(condition, sample, level), len(sample.values)
    verdict = _verdict(condition, interval) if count > 1 else Verdict.INCONCLUSIVE
    needed, why = None, None
    if count == 1:
        why = "one question says nothing of others"
    elif verdict is Verdict.INCONCLUSIVE:
        needed, why = _needed(condition, interval, sample)
    whys = (why,) if why else ()
    return ConditionResult(condition, pipeline, count, interval, verdict, needed, (*whys, *notes))


def _interval(condition: Condition, sample: Sample, level: float) -> Interval:
    if condition.is_rate:
        return rate_interval(sample, level=level)
    if condition.quantile is not None:
        return quantile_interval(sample, condition.quantile, level=level)
    return mean_interval(sample, level=level)


def _verdict(condition: Condition, interval: Interval) -> Verdict:
    low, high, bound = interval.low, interval.high, condition.bound
    if not condition.is_at_least:
        low, high, bound = -high, -low, -bound
    if low > bound or (low == bound and not condition.is_strict):
        return Verdict.PASS
    if high < bound or (high == bound and condition.is_strict):
        return Verdict.BLOCK
    return Verdict.INCONCLUSIVE


def _needed(condition: Condition, interval: Interval, sample: Sample) -> tuple[int | None, str | None]:
    """Return the number of further questions that would decide, or None and why there is none."""
    count = len(sample.values)
    if interval.value == condition.bound:
        return None, "the value is the bound: more questions like these would not tell"
    needed = questions_needed(interval, count, condition.bound, is_rate=condition.is_rate)
    if needed and sample.drawn:
        needed = needed_of(needed, count, sample.drawn)
    if condition.quantile is not None:
        # With fewer, one end of the interval is no value that was seen.
        needed = max(needed or 0, least_for_quantile(condition.quantile) - count) or None
    return (needed, None) if needed else (None, "how many questions would tell cannot be said")


# --- values ---


def _sample(condition: Condition, evaluations: Sequence[Evaluation]) -> tuple[Sample, int]:
    """Return one value a question, and how many evaluations have none.

    The value of a question is the mean of those of its repeats that are there. Its cluster is its
    conversation, or the document of its first source. Joining all questions that share any document instead
    would let a few questions on many documents make a single cluster of the whole set, and of a single
    cluster no spread is known.
    """
    if condition.measure == CONVERSATIONS:
        return _of_conversations(evaluations)
    value = value_of(condition)
    values: dict[str, list[float]] = {}
    clusters: dict[str, str] = {}
    drawn: dict[str, Drawn | None] = {}
    left_out = 0
    for evaluation in evaluations:
        question, found = evaluation.question, value(evaluation)
        if found is None or not math.isfinite(found):
            left_out += 1
            continue
        values.setdefault(question.id, []).append(found)
        clusters[question.id] = question.cluster
        drawn[question.id] = evaluation.drawn
    is_share = condition.measure not in (LATENCY, TOKENS)
    means = tuple(fmean(repeats) for repeats in values.values())
    limits = (0.0, 1.0 if is_share else math.inf)
    # What was not drawn, beside what was, is of no population that is known.
    known = tuple(one for name in values if (one := drawn[name]) is not None)
    is_drawn = len(known) == len(values)
    return Sample(means, tuple(clusters.values()), limits, known if is_drawn else ()), left_out


def _of_conversations(evaluations: Sequence[Evaluation]) -> tuple[Sample, int]:
    """Return one value a conversation: whether all its turns passed, on average over its repeats.

    One that has no breach, but a turn without a verdict, has no value.
    """
    found: dict[tuple[str, int], list[Evaluation]] = {}
    for evaluation in evaluations:
        found.setdefault((evaluation.question.conversation or "", evaluation.repeat), []).append(evaluation)
    values: dict[str, list[float]] = {}
    left_out = 0
    for (name, _), turns in found.items():
        value = all_passed(turns)
        if value is None:
            left_out += len(turns)
        else:
            values.setdefault(name, []).append(value)
    return Sample(tuple(map(fmean, values.values())), ("",) * len(values)), left_out


def all_passed(turns: Sequence[Evaluation]) -> float | None:
    """Return 1 where all turns of a conversation passed, 0 where one did not, None where one is not known."""
    found = [passed(turn) for turn in turns]
    if 0.0 in found:
        return 0.0
    return None if None in found else 1.0


def value_of(condition: Condition) -> Value:
    """Return what reads a condition's value from one evaluation: None where it has none."""
    metric = condition.measure
    if metric == PASS_RATE:
        return passed
    if metric == LATENCY:
        return lambda e: sum(e.seconds.values()) if e.answer else None
    if metric == TOKENS:
        return lambda e: e.total.evaluated + e.total.generated if e.answer else None
    if condition.is_rate:
        return lambda e: _is_above(e, metric)
    return score_getter(metric)


def _is_above(evaluation: Evaluation, metric: str) -> float | None:
    value, threshold = score_getter(metric)(evaluation), evaluation.thresholds.get(metric)
    return None if value is None or threshold is None else float(not is_below(value, threshold))


# --- what cannot be read ---


def _is_measured(condition: Condition, evaluation: Evaluation) -> bool:
    """Return whether an evaluation has to do with a condition's measure: a metric need not apply to it."""
    if condition.measure in (PASS_RATE, CONVERSATIONS, COVERAGE, LATENCY, TOKENS):
        return True
    return any(score.metric == condition.measure for score in evaluation.scores)


def _is_odd(condition: Condition, evaluation: Evaluation) -> bool:
    is_of_all = condition.measure in (PASS_RATE, CONVERSATIONS, COVERAGE)
    return any(_is_no_number(s) for s in evaluation.scores if is_of_all or s.metric == condition.measure)


def _readable(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with NaN and infinities, which a file from elsewhere may have, as no verdict."""
    if not any(map(_is_no_number, evaluation.scores)):
        return evaluation
    reason = "NaN or an infinity is no score"
    scores = (replace(s, value=None, reason=reason) if _is_no_number(s) else s for s in evaluation.scores)
    return replace(evaluation, scores=tuple(scores))


def _is_no_number(score: Score) -> bool:
    return score.value is not None and not math.isfinite(score.value)
