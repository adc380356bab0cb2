"""The decision on a run as a whole, by its conditions, the baseline and the budget: does the session fail?

A judge that is not known to be better than `judge_floor` decides nothing by itself: PASS and BLOCK of a
condition on its scores become INCONCLUSIVE. Against a baseline only PASS does: a drop beyond chance is one
whatever the judge is worth, as it judged both sides alike; that nothing dropped is not, as it may not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.gate.comparison.baseline_gate import (
    BaselineGate,
    BaselineRow,
    hold_to_baseline,
    verdict_of_rows,
)
from rag_evals.evals.gate.condition import CONVERSATIONS, PASS_RATE, parse_condition
from rag_evals.evals.gate.early_stop import decided_early, early_of, rows_decided_early
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.gate.run_gate import ConditionResult, check_conditions
from rag_evals.evals.gate.sequential import END_LEVEL, difference_at_end
from rag_evals.evals.gate.verdict import Verdict, worst
from rag_evals.evals.judges.calibration.judge_card import trusts_of
from rag_evals.evals.judges.metrics import RECORDED
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import fields_of, from_fields, from_json


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found.

    Attributes:
        rules: What the run was held to.
        held: The conditions, one by one.
        baseline: The comparison; None without a baseline.
        over_budget: The line that says that too many evaluations have no verdict; None when they are few.
    """

    rules: Rules
    held: tuple[ConditionResult, ...]
    baseline: BaselineGate | None
    over_budget: str | None

    @property
    def verdict(self) -> Verdict | None:
        """The worst of all verdicts; None where the run was held to nothing."""
        verdicts = [one.verdict for one in self.held]
        verdicts += [self.baseline.verdict] if self.baseline else []
        return worst(verdicts) if verdicts else None

    @property
    def fails(self) -> bool:
        """Whether the session fails by it.

        In report mode only by what says that there is too little to report on: the budget and the coverage.
        """
        if self.over_budget:
            return True
        if self.rules.mode == "report":
            return any(h.verdict is Verdict.BLOCK for h in self.held if h.condition.measure == "coverage")
        if self.verdict is Verdict.INCONCLUSIVE:
            return self.rules.inconclusive == "block"
        return self.verdict is Verdict.BLOCK


def decide(rules: Rules, run: Run, base: Run | None = None) -> Decision:
    """Hold `run` to `rules`, and to `base` if there is one."""
    doubted = untrusted_metrics(run.judges, run.evaluations, rules.judge_floor)
    held, baseline = _held_early(rules, run, base) if rules.stop_early else _held(rules, run, base)
    return Decision(
        rules,
        tuple(_doubting(one, doubted) for one in held),
        _doubting_baseline(baseline, doubted) if baseline else None,
        budget_line(run.evaluations, rules.max_unscored),
    )


def _held(rules: Rules, run: Run, base: Run | None) -> tuple[Sequence[ConditionResult], BaselineGate | None]:
    baseline = hold_to_baseline(run, base, margin=rules.margin) if base else None
    return check_conditions(rules.conditions, run.evaluations), baseline


def _held_early(
    rules: Rules, run: Run, base: Run | None
) -> tuple[Sequence[ConditionResult], BaselineGate | None]:
    """Take what was decided early, and decide the rest with what the early looks have left of the 5 %."""
    early = early_of(rules, run, base)
    held = [
        decided_early(one, early)
        for one in check_conditions(rules.conditions, run.evaluations, level=END_LEVEL)
    ]
    if base is None:
        return held, None
    baseline = hold_to_baseline(run, base, margin=rules.margin, difference=difference_at_end)
    return held, rows_decided_early(baseline, early)


def untrusted_metrics(
    judges: Iterable[ComponentInfo], evaluations: Sequence[Evaluation], floor: float
) -> frozenset[str]:
    """Return the metrics of the run in which a judge's card puts it below `floor`, by its lower bound."""
    used = {score.metric for evaluation in evaluations for score in evaluation.scores}
    trusts = [trust for judge in judges for trust in trusts_of(judge.settings)]
    return frozenset(t.metric for t in trusts if t.metric in used and t.balanced_accuracy.low < floor)


def _doubting(held: ConditionResult, doubted: frozenset[str]) -> ConditionResult:
    concerned = _concerned(held.condition.measure, doubted)
    if not concerned or held.verdict is Verdict.INCONCLUSIVE:
        return held
    return held.with_verdict(Verdict.INCONCLUSIVE, *held.notes, _note(concerned))


def _doubting_baseline(gate: BaselineGate, doubted: frozenset[str]) -> BaselineGate:
    rows = tuple(_doubting_row(row, doubted) for row in gate.rows)
    if rows == gate.rows:
        return gate
    names = sorted({name for row in gate.rows for name in _concerned(row.metric, doubted)})
    verdict = verdict_of_rows(rows)
    return replace(
        gate,
        rows=rows,
        verdict=worst([verdict, gate.verdict]),
        notes=(*gate.notes, f"{_note(names)}: that it sees no drop does not tell that there is none"),
    )


def _doubting_row(row: BaselineRow, doubted: frozenset[str]) -> BaselineRow:
    if row.verdict is Verdict.PASS and _concerned(row.metric, doubted):
        return replace(row, verdict=Verdict.INCONCLUSIVE)
    return row


def _concerned(measure: str, doubted: frozenset[str]) -> list[str]:
    return sorted(doubted) if measure in (PASS_RATE, CONVERSATIONS) else sorted(doubted & {measure})


def _note(metrics: Sequence[str]) -> str:
    return f"the judge is not trusted in {' and '.join(metrics)}"


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return what stands in the records of a decision; what it was held to stands in their first line."""
    return {
        "type": "ruling",
        "verdict": decision.verdict,
        "is_over_budget": decision.over_budget is not None,
        "conditions": [_held_to_json(one) for one in decision.held],
        "comparison": _comparison_to_json(decision.baseline) if decision.baseline else None,
    }


def decision_from_json(event: Mapping[str, Any], rules: Rules, evaluations: Sequence[Evaluation]) -> Decision:
    """Read back what `decision_to_json` wrote of a run that was held to `rules`.

    Raises:
        KeyError: A key is missing.
        ValueError: A verdict is none.
    """
    return Decision(
        rules,
        tuple(_held_from_json(one) for one in event["conditions"]),
        from_json(BaselineGate, event["comparison"]) if event["comparison"] else None,
        budget_line(evaluations, rules.max_unscored),
    )


def _held_to_json(held: ConditionResult) -> dict[str, Any]:
    interval = fields_of(held.interval) if held.interval else {}
    # An interval may be open above: JSON has no infinity.
    numbers = {name: number if math.isfinite(number) else None for name, number in interval.items()}
    return {**fields_of(held), "condition": held.condition.text, "interval": numbers or None}


def _held_from_json(line: Mapping[str, Any]) -> ConditionResult:
    interval = line["interval"]
    if interval:
        high = math.inf if interval["high"] is None else interval["high"]
        interval = Interval(interval["value"], interval["low"], high)
    read = {
        "condition": parse_condition(line["condition"], RECORDED),
        "interval": interval,
        "verdict": Verdict(line["verdict"]),
        "notes": tuple(line["notes"]),
    }
    return from_fields(ConditionResult, {**line, **read})


def _comparison_to_json(gate: BaselineGate) -> dict[str, Any]:
    rows = [{**fields_of(row), "difference": fields_of(row.difference)} for row in gate.rows]
    return {**fields_of(gate), "rows": rows}


def budget_line(evaluations: Sequence[Evaluation], max_unscored: float) -> str | None:
    """Return the line that more evaluations lack a verdict than may do so; None when they do not.

    At most the share `max_unscored`, 0 to 1, may be unscored or without an answer.
    """
    unscored = sum(evaluation.outcome in ("unscored", "error") for evaluation in evaluations)
    if unscored <= max_unscored * len(evaluations):
        return None
    return (
        f"{unscored} of {len(evaluations)} evaluations have no verdict, more than "
        f"evals_max_unscored = {max_unscored:g} allows: the run fails in every mode"
    )
