"""What a run will take: what the cache has, and tokens, minutes and money for the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.judge import explainer_of
from rag_evals.evals.runs.evaluation import ANSWER, EXPLANATION, SCORES, Evaluation
from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.prices import Price, price_of
from rag_evals.rag.profile import Profile, profile_of

# A reason, before any was written: three passages of the bundled pipelines, the claim, and a sentence.
EXPLAINING = Profile(expected=Tokens(evaluated=450, generated=30))
Prices = Mapping[str, "Price"]


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What one answer, or one judgement, takes.

    Attributes:
        evaluated: Tokens that are read.
        generated: Tokens that are written.
        seconds: Wall-clock seconds; None when not known.
        usd: What it costs; None when there is no price for it.
    """

    evaluated: float
    generated: float
    seconds: float | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the evaluations of one pipeline will take.

    Attributes:
        pipeline: Its name.
        evaluations: How many there are.
        answers: How many of the answers were made before.
        judgements: How many of the judgements were.
        tokens: Tokens to read and to write for the others; None when not known.
        seconds: Wall-clock seconds for the others; None when not known.
        usd: What the others cost; None when there is no price.
        once: What is done once before, and what it takes, a line each.
    """

    pipeline: str
    evaluations: int
    answers: int
    judgements: int
    tokens: float | None
    seconds: float | None
    usd: float | None
    once: tuple[str, ...] = ()


def plan_of(tasks: Sequence[Task], reuse_cache: ReuseCache, prices: Prices, places: int = 1) -> Plan:
    """Look up what was made of `tasks`, which are of one pipeline and judge, and estimate the rest.

    What one answer takes is told by the answers that the cache has of a pipeline of that name; without any by
    what the pipeline expects. The same for judgements.

    Args:
        tasks: The evaluations to be made, at least one.
        reuse_cache: Has what was made before.
        prices: Prices by model.
        places: How many are made at once.
    """
    found = [reuse_cache.peek(task) for task in tasks]
    answers = sum(answer for answer, _ in found)
    judgements = sum(judgement for _, judgement in found)
    first = tasks[0]
    pipeline, judge = profile_of(first.pipeline), profile_of(first.judge)
    parts = [
        (len(tasks) - answers, cost_estimate(pipeline, ANSWER, first.name, reuse_cache, prices)),
        (len(tasks) - judgements, cost_estimate(judge, SCORES, first.judge.name, reuse_cache, prices)),
    ]
    return Plan(
        first.name,
        len(tasks),
        answers,
        judgements,
        _total((count, work.evaluated + work.generated if work else None) for count, work in parts),
        _total((count, _share(work.seconds, places) if work else None) for count, work in parts),
        _total((count, work.usd if work else None) for count, work in parts),
        tuple(filter(None, (pipeline.once, judge.once, _explaining(tasks, reuse_cache)))),
    )


def _explaining(tasks: Sequence[Task], reuse_cache: ReuseCache) -> str:
    """Return what the reasons of breaches take, as far as it is known; nothing where none are written."""
    judge = tasks[0].judge
    if tasks[0].explains is None or explainer_of(judge) is None:
        return ""
    cost = cost_estimate(EXPLAINING, EXPLANATION, judge.name, reuse_cache, {})
    most = sum(len(task.judged) for task in tasks)
    tokens = round(cost.evaluated + cost.generated) if cost else 0
    takes = f"about {tokens:,} tokens" + (f" and {_duration(cost.seconds)}" if cost and cost.seconds else "")
    return f"{tasks[0].name}: a reason for each breach takes {takes}; there are at most {most:,}"


def cost_estimate(
    profile: Profile, kind: str, name: str, reuse_cache: ReuseCache, prices: Prices
) -> CostEstimate | None:
    """Return what an answer of a pipeline or a judgement of a judge takes; None when nothing is known."""
    made = reuse_cache.examples(kind, name)
    # Those of an ensemble's judgements whose judges were counted one by one, where there are any.
    made = [one for one in made if len(one[0]) == len(profile.parts)] or made
    if made:
        used = [_mean(of_one) for of_one in zip(*(parts for parts, _ in made), strict=False)]
        seconds: float | None = fmean(seconds for _, seconds in made)
    elif any(part.expected for part in profile.parts):
        used = [part.expected or Tokens() for part in profile.parts]
        seconds = _total((1, _seconds(part)) for part in profile.parts)
    else:
        return None
    total = sum(used, Tokens())
    return CostEstimate(total.evaluated, total.generated, seconds, cost_of(profile, used, prices))


def _mean(used: Sequence[Tokens]) -> Tokens:
    """Return the tokens that are read and written on average, as if nothing were reused."""
    evaluated, generated = fmean(each.evaluated for each in used), fmean(each.generated for each in used)
    return Tokens(round(evaluated), 0, round(generated))


def _seconds(profile: Profile) -> float | None:
    """Return the seconds that are expected; None where tokens or speeds are not known."""
    expected, speeds = profile.expected, profile.speeds()
    if expected is None or speeds is None:
        return None
    return expected.evaluated / speeds.prefill + expected.generated / speeds.decode


def cost_of(profile: Profile, used: Sequence[Tokens], prices: Prices) -> float | None:
    """Return the USD that the models of a pipeline or a judge cost; None when there is no price.

    Args:
        profile: Says how its models are priced.
        used: Tokens of each of its parts.
        prices: Prices by model.
    """
    found = [_price(part, prices) for part in profile.parts]
    if len(used) != len(found):
        # An ensemble's judgement from before the tokens of its judges were kept apart: at most this.
        return max((price.cost(sum(used, Tokens())) for price in found if price), default=None)
    costs = [price.cost(tokens) for price, tokens in zip(found, used, strict=True) if price]
    return sum(costs) if costs else None


def _price(profile: Profile, prices: Prices) -> Price | None:
    return price_of(profile.priced_as, prices) if profile.priced_as else None


def plan_lines(plans: Iterable[Plan]) -> list[str]:
    """Return one line for each plan, and for what is done once for all of them."""
    plans = list(plans)
    once = dict.fromkeys(line for plan in plans for line in plan.once)
    return [*map(_line, plans), *(f"plan: {line}" for line in once)]


def over_bounds(plans: Sequence[Plan], *, max_minutes: float | None, max_usd: float | None) -> str | None:
    """Return why `plans` take more than they may; None when they do not, or nobody knows."""
    minutes = sum(plan.seconds or 0.0 for plan in plans) / 60
    usd = sum(plan.usd or 0.0 for plan in plans)
    if max_minutes is not None and minutes > max_minutes:
        return (
            f"this run would take about {minutes:.1f} min, more than evals_max_minutes = {max_minutes:g}: "
            "raise it, or evaluate fewer questions (-k, --evals-shard); rag-evals plan shows what takes long"
        )
    if max_usd is not None and usd > max_usd:
        return (
            f"this run would cost about ${usd:.2f}, more than evals_max_cost = {max_usd:g}: "
            "raise it, or evaluate fewer questions (-k, --evals-shard); rag-evals plan shows what costs"
        )
    return None


def _line(plan: Plan) -> str:
    to_answer, to_judge = plan.evaluations - plan.answers, plan.evaluations - plan.judgements
    if not (to_answer or to_judge):
        return f"plan: {plan.pipeline}: all {plan.evaluations:,} evaluations were made before"
    parts = [f"{to_answer:,} of {plan.evaluations:,} answers and {to_judge:,} judgements to make"]
    if plan.tokens is not None:
        parts.append(f"about {_rounded(plan.tokens):,} tokens")
    if plan.seconds is not None:
        parts.append(_duration(plan.seconds))
    if plan.usd is not None:
        parts.append(f"${plan.usd:.2f}")
    return f"plan: {plan.pipeline}: {', '.join(parts)}"


def _total(parts: Iterable[tuple[int, float | None]]) -> float | None:
    """Add up count times value; what is not to be made need not be known."""
    total = 0.0
    for count, value in parts:
        if count and value is None:
            return None
        total += count * (value or 0.0)
    return total


def _share(seconds: float | None, places: int) -> float | None:
    return None if seconds is None else seconds / places


def _rounded(tokens: float) -> int:
    """Two digits are all that an estimate is worth."""
    return int(round(tokens, -max(0, len(str(int(tokens))) - 2)))


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


class Budget:
    """Minutes and money of a run; counted in the process that evaluates.

    Args:
        reuse_cache: Has what was made before.
        prices: Prices by model.
        max_minutes: Minutes that the run may take; None for no bound.
        max_usd: USD that it may cost; None for no bound.
        clock: Gives seconds that only ever grow.

    Attributes:
        plans: What the pipelines that were planned will take, by name.
    """

    def __init__(
        self,
        reuse_cache: ReuseCache,
        prices: Prices,
        *,
        max_minutes: float | None = None,
        max_usd: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plans: dict[str, Plan] = {}
        self._reuse_cache = reuse_cache
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

    @property
    def ends(self) -> float | None:
        """When its minutes are over, on the clock; None before the first call, or without a bound."""
        if self._max_minutes is None or self._begun is None:
            return None
        return self._begun + 60 * self._max_minutes

    def plan(self, tasks: Sequence[Task], *, places: int = 1) -> None:
        """Plan the evaluations of one pipeline, `places` of them at once.

        Raises:
            UsageError: All that was planned takes more than the run may take.
        """
        plan = plan_of(tasks, self._reuse_cache, self._prices, places)
        self.plans[plan.pipeline] = plan
        problem = over_bounds([*self.plans.values()], max_minutes=self._max_minutes, max_usd=self._max_usd)
        if problem:
            raise UsageError(problem)

    def count(self, task: Task, evaluation: Evaluation) -> float | None:
        """Count an evaluation and return what it cost now, in USD; None where nothing has a price."""
        costs = []
        if evaluation.answer is not None and ANSWER not in evaluation.cached:
            costs.append(cost_of(profile_of(task.pipeline), [evaluation.answer.total], self._prices))
        if evaluation.before != Tokens():
            costs.append(cost_of(profile_of(task.pipeline), [evaluation.before], self._prices))
        if evaluation.judged and SCORES not in evaluation.cached:
            costs.append(cost_of(profile_of(task.judge), evaluation.judged, self._prices))
        known = [cost for cost in costs if cost is not None]
        self._usd += sum(known)
        self._done += 1
        return sum(known) if known else None

    def exceeded(self) -> str | None:
        """Return which bounds the run has exceeded; None while it has none. The first call begins it."""
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
