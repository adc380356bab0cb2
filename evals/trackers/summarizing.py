"""What a run comes to, as flat values under the same names in every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evals.conditions import parse_condition
from evals.gate import hold
from evals.records import Evaluation
from evals.stats import Interval

NO_VALUE = {"value": None, "low": None, "high": None}


def summary_of(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> dict[str, Any]:
    """Give means, rates and costs with their 95 % intervals; None where nothing has a value.

    With more than one pipeline each has its own behind `PIPELINE/` as well.
    """
    # Under one name: a condition is held for each pipeline apart.
    whole = _summary([replace(evaluation, pipeline="") for evaluation in evaluations], metrics)
    names = dict.fromkeys(evaluation.pipeline for evaluation in evaluations)
    if len(names) > 1:
        for name in names:
            part = [evaluation for evaluation in evaluations if evaluation.pipeline == name]
            whole |= {f"{name}/{key}": value for key, value in _summary(part, metrics).items()}
    return whole


def means_of(
    evaluations: Sequence[Evaluation], metrics: Sequence[str]
) -> Mapping[str, Mapping[str, float | None]]:
    """Give the mean of each metric by pipeline; None without a value."""
    names = dict.fromkeys(evaluation.pipeline for evaluation in evaluations)
    parts = {name: [e for e in evaluations if e.pipeline == name] for name in names}
    return {
        name: {metric: _figure(f"{metric}.mean >= 0", part)["value"] for metric in metrics}
        for name, part in parts.items()
    }


def _summary(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"n": len(evaluations)}
    for outcome in ("passed", "failed", "unscored", "error"):
        found[f"n_{outcome}"] = sum(evaluation.outcome == outcome for evaluation in evaluations)
    for metric in metrics:
        figure = _figure(f"{metric}.mean >= 0", evaluations)
        found |= {f"{metric}_{'mean' if part == 'value' else part}": v for part, v in figure.items()}
    found |= _named("pass_rate", _figure("pass_rate >= 0", evaluations))
    found["coverage"] = _figure("coverage >= 0", evaluations)["value"]
    for statistic in ("median", "p95"):
        found[f"seconds_{statistic}"] = _figure(f"latency.{statistic} >= 0", evaluations)["value"]
    tokens = [evaluation.total for evaluation in evaluations]
    for kind in ("evaluated", "reused", "generated"):
        found[f"tokens_{kind}"] = sum(getattr(used, kind) for used in tokens)
    spent = [evaluation.usd for evaluation in evaluations if evaluation.usd is not None]
    return found | {"usd": sum(spent) if spent else None}


def _named(name: str, figure: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name if part == "value" else f"{name}_{part}": value for part, value in figure.items()}


def _figure(condition: str, evaluations: Sequence[Evaluation]) -> dict[str, float | None]:
    """Measure as the gate does: each question once, clustered by document."""
    held = hold((parse_condition(condition),), evaluations)
    interval: Interval | None = held[0].interval if held else None
    if interval is None:
        return dict(NO_VALUE)
    return {"value": interval.value, "low": interval.low, "high": interval.high}
