"""The early stop: the gate of each pipeline, decided as evaluations come in.

What was decided depends on nothing but the order of the evaluations: the record of a run tells it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rag_evals.evals.gate.comparison.baseline_gate import (
    BaselineGate,
    BaselineRow,
    passed,
    score_getter,
    verdict_of_rows,
)
from rag_evals.evals.gate.condition import CONVERSATIONS, LATENCY, PASS_RATE, TOKENS, Condition
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.gate.run_gate import ConditionResult, is_in_scope, value_of
from rag_evals.evals.gate.sequential import EarlyBound, EarlyDifference
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run
from rag_evals.rag.identity import digest


@dataclass(slots=True)
class _PipelineBounds:
    """What is to be decided of one pipeline."""

    bounds: dict[Condition, EarlyBound] = field(default_factory=dict)
    differences: dict[str, EarlyDifference] = field(default_factory=dict)
    has_turns: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """BLOCK as soon as anything blocks, PASS when everything passes; None before."""
        found = [bound.verdict for bound in self.bounds.values()]
        found += [difference.verdict for difference in self.differences.values()]
        if Verdict.BLOCK in found:
            return Verdict.BLOCK
        return Verdict.PASS if found and None not in found else None


class EarlyStop:
    """Takes evaluations in their order, and tells when the gate of their pipeline is decided.

    Conditions on coverage, on the least and the greatest, and on means of what has no bound (latency, tokens)
    decide nothing early: they are held at the end, on what there is. A run without a baseline has only
    conditions. Where there are conversations nothing is decided early: their turns are no independent
    questions, and are not in a random order.
    """

    def __init__(self, rules: Rules, base: Run | None = None) -> None:
        self._rules = rules
        self._before: Mapping[tuple[str, str], Evaluation] = {
            (e.pipeline, e.question.id): e for e in (base.answers if base else ()) if not e.repeat
        }
        self._lanes: dict[str, _PipelineBounds] = {}

    def add(self, evaluation: Evaluation) -> None:
        """Take the next evaluation."""
        lane = self._lane(evaluation)
        lane.has_turns = lane.has_turns or evaluation.question.conversation is not None
        for condition, bound in lane.bounds.items():
            if is_in_scope(condition, evaluation):
                _feed(bound, condition, evaluation)
        before = self._before.get((evaluation.pipeline, evaluation.question.id))
        if before is not None and before.question.question == evaluation.question.question:
            _feed_pair(lane.differences, replace(before, thresholds=evaluation.thresholds), evaluation)

    def verdict(self, pipeline: str) -> Verdict | None:
        """Return what is decided of `pipeline`; None while it is not."""
        lane = self._decidable_lane(pipeline)
        return lane.verdict if lane else None

    def of_condition(self, held: ConditionResult) -> Verdict | None:
        """Return what was decided early of a condition."""
        lane = self._decidable_lane(held.pipeline or "")
        bound = lane.bounds.get(held.condition) if lane else None
        return bound.verdict if bound else None

    def of_row(self, pipeline: str, metric: str) -> Verdict | None:
        """Return what was decided early of a metric against the baseline."""
        lane = self._decidable_lane(pipeline)
        row = lane.differences.get(metric) if lane else None
        return row.verdict if row else None

    def _decidable_lane(self, pipeline: str) -> _PipelineBounds | None:
        """Return what is to be decided early of `pipeline`; None of one that has conversations."""
        lane = self._lanes.get(pipeline)
        return None if lane is None or lane.has_turns else lane

    def _lane(self, evaluation: Evaluation) -> _PipelineBounds:
        name = evaluation.pipeline
        if name not in self._lanes:
            self._lanes[name] = _PipelineBounds(self._bounds(name), self._differences(evaluation))
        return self._lanes[name]

    def _bounds(self, pipeline: str) -> dict[Condition, EarlyBound]:
        ours = [c for c in self._rules.conditions if c.pipeline in (None, pipeline) and is_decidable(c)]
        return {c: EarlyBound(_bound(c), conditions=len(ours)) for c in ours}

    def _differences(self, evaluation: Evaluation) -> dict[str, EarlyDifference]:
        if not any(pipeline == evaluation.pipeline for pipeline, _ in self._before):
            return {}
        names = (PASS_RATE, *(score.metric for score in evaluation.scores))
        count = len(names) * len({pipeline for pipeline, _ in self._before})
        return {name: EarlyDifference(self._rules.margin, comparisons=count) for name in names}


def is_comparable(base: Run, judge: str) -> bool:
    """Return whether the judge with the fingerprint `judge` was the baseline's as well."""
    return {one.fingerprint for one in base.judges} <= {judge}


def early_of(rules: Rules, run: Run, base: Run | None) -> EarlyStop:
    """Decide again what was decided in the course of a run."""
    early = EarlyStop(rules, base)
    for evaluation in run.answers:
        early.add(evaluation)
    return early


def decided_early(held: ConditionResult, early: EarlyStop) -> ConditionResult:
    """Return `held` with what was decided early of it, or that it was not when the run stopped."""
    verdict = early.of_condition(held)
    if verdict:
        return held.with_verdict(verdict, "decided early", *held.notes)
    if is_decidable(held.condition) and early.verdict(held.pipeline or ""):
        note = "not decided when the run stopped"
        return held.with_verdict(Verdict.INCONCLUSIVE, note, *held.notes)
    return held


def rows_decided_early(gate: BaselineGate, early: EarlyStop) -> BaselineGate:
    """Return the comparison with what was decided early of its rows."""
    if not gate.is_comparable:
        return gate
    rows = tuple(_row(row, early) for row in gate.rows)
    return replace(gate, rows=rows, verdict=verdict_of_rows(rows)) if rows != gate.rows else gate


def _row(row: BaselineRow, early: EarlyStop) -> BaselineRow:
    verdict = None if row.tag else early.of_row(row.pipeline, row.metric)
    if verdict is None and early.verdict(row.pipeline):
        # A test at the moment of the stop, which depends on the data, would err more often than it says.
        verdict = Verdict.INCONCLUSIVE
    return replace(row, verdict=verdict) if verdict else row


def is_decidable(condition: Condition) -> bool:
    """Return whether a condition can be decided before the last question."""
    if condition.is_counted or condition.measure == CONVERSATIONS:
        return False
    is_bounded = condition.measure not in (LATENCY, TOKENS) or condition.quantile is not None
    return is_bounded and 0 < _bound(condition) < 1


def _bound(condition: Condition) -> float:
    """Return the share that the mean of `_share` must reach."""
    if condition.quantile is not None:
        return 1 - condition.quantile if condition.is_at_least else condition.quantile
    return condition.bound if condition.is_at_least else 1 - condition.bound


def _feed(bound: EarlyBound, condition: Condition, evaluation: Evaluation) -> None:
    value = value_of(condition)(evaluation)
    if value is not None:
        bound.add(_share(condition, value))


def _share(condition: Condition, value: float) -> float:
    """Return the value so that the condition is one on a mean that is at least `_bound`."""
    if condition.quantile is not None:
        return float(value >= condition.bound if condition.is_at_least else value <= condition.bound)
    return value if condition.is_at_least else 1 - value


def _feed_pair(differences: Mapping[str, EarlyDifference], before: Evaluation, after: Evaluation) -> None:
    for name, difference in differences.items():
        value: Callable[[Evaluation], float | None] = passed if name == PASS_RATE else score_getter(name)
        old, new = value(before), value(after)
        if old is not None and new is not None:
            difference.add(old, new)


def shuffled_order(asked: Iterable[tuple[str, str]]) -> Sequence[int]:
    """Return a random order of tests that is the same each time.

    Args:
        asked: Lane (test function and pipeline) of each test, and the question or conversation that it asks.
            Each lane stays together, in the place of its first test, and so does each conversation.

    Returns:
        The places of the tests in their new order.
    """
    places: dict[str, list[tuple[str, int]]] = {}
    for place, (lane, unit) in enumerate(asked):
        places.setdefault(lane, []).append((digest(["stop early", unit]), place))
    return [place for lane in places.values() for _, place in sorted(lane)]
