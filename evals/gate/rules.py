"""The rules that a run as a whole is held to."""

from __future__ import annotations

from dataclasses import dataclass

from rag_evals.evals.gate.condition import Condition, parse_conditions
from rag_evals.evals.judges.metrics import RECORDED
from rag_evals.evals.runs.header import Inconclusive, Mode, RunHeader

_DEFAULTS = RunHeader()


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

    mode: Mode = _DEFAULTS.mode
    conditions: tuple[Condition, ...] = ()
    inconclusive: Inconclusive = _DEFAULTS.inconclusive
    max_unscored: float = _DEFAULTS.max_unscored
    judge_floor: float = _DEFAULTS.judge_floor
    margin: float = _DEFAULTS.margin
    stop_early: bool = _DEFAULTS.stop_early


def rules_from(header: RunHeader) -> Rules:
    """Return what a recorded run was held to.

    Raises:
        ConditionError: A condition is none.
    """
    return Rules(
        header.mode,
        parse_conditions(header.gate, RECORDED),
        header.inconclusive,
        header.max_unscored,
        header.judge_floor,
        header.margin,
        header.stop_early,
    )
