"""What a run may take: planned before its first evaluation of a pipeline, and counted as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from evals.errors import UsageError
from evals.planning import Plan, Prices, cost_of, over_bounds, plan_of
from evals.records import Evaluation
from evals.remembering import ANSWER, SCORES, Remembering, Task
from rag.profile import profile_of


class Spending:
    """Minutes and money of a run; counted in the process that evaluates.

    Args:
        remembering: Has what was made before.
        prices: Prices by model.
        max_minutes: Minutes that the run may take; None for no bound.
        max_usd: USD that it may cost; None for no bound.
        clock: Gives seconds that only ever grow.

    Attributes:
        plans: What the pipelines that were planned will take, by name.
    """

    def __init__(
        self,
        remembering: Remembering,
        prices: Prices,
        *,
        max_minutes: float | None = None,
        max_usd: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plans: dict[str, Plan] = {}
        self._remembering = remembering
        self._prices = prices
        self._max_minutes = max_minutes
        self._max_usd = max_usd
        self._clock = clock
        self._begun: float | None = None
        self._usd = 0.0
        self._done = 0

    @property
    def is_bounded(self) -> bool:
        """Whether there is a bound to hold."""
        return self._max_minutes is not None or self._max_usd is not None

    def plan(self, tasks: Sequence[Task], *, places: int = 1) -> None:
        """Plan the evaluations of one pipeline, `places` of them at once.

        Raises:
            UsageError: All that was planned takes more than the run may take.
        """
        plan = plan_of(tasks, self._remembering, self._prices, places)
        self.plans[plan.pipeline] = plan
        problem = over_bounds([*self.plans.values()], max_minutes=self._max_minutes, max_usd=self._max_usd)
        if problem:
            raise UsageError(problem)

    def count(self, task: Task, evaluation: Evaluation) -> float | None:
        """Count an evaluation and give what it cost now, in USD; None where nothing has a price."""
        costs = []
        if evaluation.answer is not None and ANSWER not in evaluation.cached:
            costs.append(cost_of(profile_of(task.pipeline), [evaluation.answer.total], self._prices))
        if evaluation.judged and SCORES not in evaluation.cached:
            costs.append(cost_of(profile_of(task.judge), evaluation.judged, self._prices))
        known = [cost for cost in costs if cost is not None]
        self._usd += sum(known)
        self._done += 1
        return sum(known) if known else None

    def spent_up(self) -> str | None:
        """Say that the run has taken what it may take; None while it has not. The first call begins it."""
        now = self._clock()
        self._begun = now if self._begun is None else self._begun
        bounds = []
        if self._max_minutes is not None and now - self._begun > 60 * self._max_minutes:
            bounds.append(f"evals_max_minutes = {self._max_minutes:g} are over")
        if self._max_usd is not None and self._usd > self._max_usd:
            bounds.append(f"evals_max_cost = {self._max_usd:g} is spent")
        if not bounds:
            return None
        return f"{' and '.join(bounds)} after {self._done:,} evaluations: another run goes on from here"
