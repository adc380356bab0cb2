"""The rules that a run as a whole is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rag_evals.evals.gate.condition import Condition, parse_conditions

Mode = Literal["strict", "gate", "report"]
Inconclusive = Literal["pass", "warn", "block"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run is held to, besides the thresholds of its questions.

    Attributes:
        mode: `strict`, `gate` or `report`.
        conditions: Conditions on the run.
        inconclusive: What INCONCLUSIVE does: `pass`, `warn` or `block`.
        max_unscored: Largest share of evaluations that may be without a verdict.
        judge_floor: Least balanced accuracy, lower bound, of a judge that is trusted.
        margin: The drop against the baseline that is too much.
        stop_early: Whether the run was to stop when it was decided.
    """

    mode: Mode = "strict"
    conditions: tuple[Condition, ...] = ()
    inconclusive: Inconclusive = "warn"
    max_unscored: float = 0.1
    judge_floor: float = 0.7
    margin: float = 0.05
    stop_early: bool = False


def rules_from(head: Mapping[str, Any]) -> Rules:
    """Return what a recorded run was held to, by its first line; what it does not say is as by default.

    Raises:
        ConditionError: A condition is none.
    """
    given = {name: head[name] for name in Rules.__dataclass_fields__ if name in head}
    return Rules(conditions=parse_conditions(head.get("gate") or ()), **given)
