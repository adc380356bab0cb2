"""The summary and the rows of a run, as flat values under the same names in every run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag_evals.evals.base.intervals import QUANTILE, Interval
from rag_evals.evals.base.messages import first_names
from rag_evals.evals.gate.comparison.attribution import stage_of
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.run_gate import check_conditions
from rag_evals.evals.judges.metrics import RECORDED
from rag_evals.evals.reports.dataframe import worst_claim
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Context

NO_VALUE = {"value": None, "low": None, "high": None}


def summary_of(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> dict[str, Any]:
    """Return means, rates and costs with their 95 % intervals; None where nothing has a value.

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
    """Return the mean of each metric by pipeline; None without a value."""
    names = dict.fromkeys(evaluation.pipeline for evaluation in evaluations)
    parts = {name: [e for e in evaluations if e.pipeline == name] for name in names}
    return {
        name: {metric: _figure(f"{metric}.mean >= 0", part)["value"] for metric in metrics}
        for name, part in parts.items()
    }


def _summary(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> dict[str, Any]:
    answers = [evaluation for evaluation in evaluations if not evaluation.is_retrieval]
    found: dict[str, Any] = {"n": len(answers)}
    if len(answers) < len(evaluations):
        found["n_retrieval"] = len(evaluations) - len(answers)
    for outcome in ("passed", "failed", "unscored", "error"):
        found[f"n_{outcome}"] = sum(evaluation.outcome == outcome for evaluation in answers)
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
    held = check_conditions((parse_condition(condition, RECORDED),), evaluations)
    interval: Interval | None = held[0].interval if held else None
    if interval is None:
        return dict(NO_VALUE)
    return {"value": interval.value, "low": interval.low, "high": interval.high}


BEFORE = ("example_id", "repeat", "pipeline", "question", "answer", "contexts", "reference", "tags")
AFTER = ("worst_claim", "thresholds", "passed", "outcome", "stage", "reason", "seconds")
TOKENS = ("tokens_evaluated", "tokens_reused", "tokens_generated")
# What our own pipelines tell, in the order of the work: the columns while it is not known what others will.
STAGES = ("retrieve", "rerank", "generate", "judge")


def columns_for(metrics: Sequence[str], stages: Sequence[str] = STAGES) -> tuple[str, ...]:
    """Return the names of the columns: one a metric, one for the seconds of each stage."""
    return (*BEFORE, *metrics, *AFTER, *(f"seconds_{stage}" for stage in stages), *TOKENS)


def evaluation_row(
    evaluation: Evaluation, metrics: Sequence[str], corpus: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the cells of `evaluation` by column, a column for each of its stages among them.

    Args:
        evaluation: The evaluation.
        metrics: Those that have a column.
        corpus: Names of the documents that the pipeline had; None when it does not tell.
    """
    question, answer, used = evaluation.question, evaluation.answer, evaluation.total
    outcome = evaluation.outcome
    values = {score.metric: score.value for score in evaluation.scores}
    return {
        "example_id": question.id,
        "repeat": evaluation.repeat,
        "pipeline": evaluation.pipeline,
        "question": question.question,
        "answer": answer.text if answer else None,
        "contexts": "\n\n".join(map(_shown, answer.contexts)) if answer else "",
        "reference": question.reference,
        "tags": ", ".join(question.tags),
        **{metric: values.get(metric) for metric in metrics},
        "worst_claim": worst_claim(evaluation.scores),
        "thresholds": _thresholds(evaluation),
        # Neither passed nor failed: there is no verdict.
        "passed": None if outcome == "unscored" else outcome == "passed",
        "outcome": outcome,
        "stage": stage_of(evaluation, corpus),
        "reason": "; ".join((*evaluation.breaches, *evaluation.unscored)) or None,
        "seconds": float(sum(evaluation.seconds.values())),
        **{f"seconds_{stage}": seconds for stage, seconds in evaluation.seconds.items()},
        "tokens_evaluated": used.evaluated,
        "tokens_reused": used.reused,
        "tokens_generated": used.generated,
    }


def _shown(context: Context) -> str:
    page = f", page{'s' * ('-' in context.pages)} {context.pages}" if context.pages else ""
    others = context.other_documents
    same = f"; the same in {first_names(others)}" if others else ""
    return f"[{context.document}{page}{same}] {context.text}" if context.document else context.text


def _thresholds(evaluation: Evaluation) -> str:
    held = ((s.metric, evaluation.thresholds.get(s.metric)) for s in evaluation.scores)
    return ", ".join(f"{metric} {threshold:g}" for metric, threshold in held if threshold is not None)


class Mean:
    """A mean that takes one value after the other (Welford 1962, Technometrics 4)."""

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Take a value."""
        self.count += 1
        before = value - self.value
        self.value += before / self.count
        self._squares += before * (value - self.value)

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval by the normal distribution: for watching, not for deciding."""
        if self.count < 2:
            return math.inf
        return QUANTILE * math.sqrt(self._squares / (self.count - 1) / self.count)


class Running:
    """Makes the scalars of one test after the other."""

    def __init__(self) -> None:
        self._count = 0
        self._unscored = 0
        self._scores: dict[str, Mean] = defaultdict(Mean)
        self._passed = Mean()

    def add(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the scalars of a test; the first is `test/index`, its number from 0."""
        scalars = {"test/index": float(self._count)}
        self._count += 1
        scalars |= self._score(evaluation)
        outcome = evaluation.outcome
        self._unscored += outcome == "unscored"
        if outcome != "unscored" and not evaluation.is_retrieval:
            self._passed.add(float(outcome == "passed"))
            scalars |= _bounded("pass_rate", self._passed)
        used = evaluation.total
        return scalars | {
            "unscored": float(self._unscored),
            "seconds": sum(evaluation.seconds.values()),
            **{f"seconds/{stage}": seconds for stage, seconds in evaluation.seconds.items()},
            "tokens/evaluated": float(used.evaluated),
            "tokens/reused": float(used.reused),
            "tokens/generated": float(used.generated),
        }

    def _score(self, evaluation: Evaluation) -> dict[str, float]:
        scalars: dict[str, float] = {}
        for score in evaluation.scores:
            # No verdict is no number: the curve has a gap there.
            if score.value is not None and math.isfinite(score.value):
                mean = self._scores[score.metric]
                mean.add(score.value)
                scalars[f"score/{score.metric}"] = score.value
                scalars |= _bounded(f"mean/{score.metric}", mean)
        return scalars


def _bounded(name: str, mean: Mean) -> dict[str, float]:
    half = mean.half_width
    if half == math.inf:
        return {name: mean.value}
    return {
        name: mean.value,
        f"{name}/low": max(0.0, mean.value - half),
        f"{name}/high": min(1.0, mean.value + half),
    }
