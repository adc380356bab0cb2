"""What a run will take: what the cache has, and tokens, minutes and money for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from evals.remembering import ANSWER, SCORES, Remembering, Task
from rag.answer import Tokens

if TYPE_CHECKING:
    from rag.llm.prices import Price

Prices = Mapping[str, "Price"]


@dataclass(frozen=True, slots=True)
class Work:
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
    """

    pipeline: str
    evaluations: int
    answers: int
    judgements: int
    tokens: float | None
    seconds: float | None
    usd: float | None


def plan_of(tasks: Sequence[Task], remembering: Remembering, prices: Prices, places: int = 1) -> Plan:
    """Look up what was made of `tasks`, which are of one pipeline and judge, and estimate the rest.

    What one answer takes is told by the answers that the cache has of a pipeline of that name; without any by
    what the pipeline expects. The same for judgements.

    Args:
        tasks: The evaluations to be made, at least one.
        remembering: Has what was made before.
        prices: Prices by model.
        places: How many are made at once.
    """
    found = [remembering.peek(task) for task in tasks]
    answers = sum(answer for answer, _ in found)
    judgements = sum(judgement for _, judgement in found)
    first = tasks[0]
    parts = [
        (len(tasks) - answers, work_of(first.pipeline, ANSWER, first.name, remembering, prices)),
        (len(tasks) - judgements, work_of(first.judge, SCORES, first.judge.name, remembering, prices)),
    ]
    return Plan(
        first.name,
        len(tasks),
        answers,
        judgements,
        _total((count, work.evaluated + work.generated if work else None) for count, work in parts),
        _total((count, _share(work.seconds, places) if work else None) for count, work in parts),
        _total((count, work.usd if work else None) for count, work in parts),
    )


def work_of(thing: Any, kind: str, name: str, remembering: Remembering, prices: Prices) -> Work | None:
    """Say what one answer of a pipeline, or one judgement of a judge, takes; None when nothing is known."""
    made = remembering.examples(kind, name)
    expected: Tokens | None = getattr(thing, "expected", None)
    if made:
        evaluated = fmean(tokens.evaluated for tokens, _ in made)
        generated = fmean(tokens.generated for tokens, _ in made)
        seconds: float | None = fmean(seconds for _, seconds in made)
    elif expected:
        evaluated, generated = expected.evaluated, expected.generated
        speeds = getattr(thing, "speeds", None)
        seconds = evaluated / speeds.prefill + generated / speeds.decode if speeds else None
    else:
        return None
    usd = cost_of(thing, Tokens(round(evaluated), 0, round(generated)), prices)
    return Work(evaluated, generated, seconds, usd)


def cost_of(thing: Any, tokens: Tokens, prices: Prices) -> float | None:
    """Give the USD that `tokens` of a pipeline's or a judge's model cost; None when there is no price."""
    from rag.llm.prices import price_of

    model = getattr(thing, "priced_as", None)
    price = price_of(model, prices) if model else None
    return price.cost(tokens) if price else None


def plan_lines(plans: Iterable[Plan]) -> list[str]:
    """Say each plan in one line."""
    return [_line(plan) for plan in plans]


def over_bounds(plans: Sequence[Plan], *, max_minutes: float | None, max_usd: float | None) -> str | None:
    """Say that `plans` take more than they may; None when they do not, or nobody knows."""
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
