"""The metrics of a run's own: of what a project lists, and of what installed packages offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import kind_name, short_repr
from rag_evals.evals.judges.calibration.labels.examples import FILE_KEYS
from rag_evals.evals.judges.criteria.check import Check, raised
from rag_evals.evals.judges.criteria.criterion import Criterion
from rag_evals.evals.judges.metrics import METRICS, Metric, MetricSet
from rag_evals.evals.questions.question import Question

GROUP = "rag_evals.criteria"
# Words that stand beside metrics: measures of a gate, an argument of the mark, what a label file has.
TAKEN = frozenset(
    {"pass_rate", "conversations", "coverage", "latency", "tokens", "gate", "retrieval", *FILE_KEYS}
)
_KINDS = "a Criterion, a check such as contains(...), or a function of the question and the answer"


def own_metrics(given: object, where: str = "evals_criteria") -> tuple[Metric, ...]:
    """Return the metrics of what a project lists.

    Args:
        given: A list of criteria, checks and functions.
        where: Where it is from, for messages.

    Raises:
        UsageError: It is no such list, or two have one name.
    """
    if isinstance(given, str | bytes | Criterion | Check) or not isinstance(given, Iterable):
        raise UsageError(f"{where} gave {_shown(given)}: return a list, each of it {_KINDS}")
    metrics: dict[str, Metric] = {}
    for number, one in enumerate(given, 1):
        metric = own_metric(one, f"{where}, number {number}")
        if metric.name in metrics:
            raise UsageError(
                f"{where}, number {number}: there is a metric {metric.name} already: give one of the two "
                f"another name, such as {metric.name}_2"
            )
        metrics[metric.name] = metric
    return tuple(metrics.values())


def own_metric(given: object, where: str) -> Metric:
    """Return the metric of a criterion, a check or a function.

    Raises:
        UsageError: It is none of them, or its name is one of ours.
    """
    own, name = given, getattr(given, "__name__", None)
    if callable(given) and isinstance(name, str) and not isinstance(given, type):
        try:
            own = Check(name, given)
        except UsageError as error:
            hint = "; write Check(NAME, function)" if name == "<lambda>" else ""
            raise UsageError(f"{where}: {error}{hint}") from error
    if not isinstance(own, Criterion | Check):
        raise UsageError(f"{where}: {_shown(given)}: give {_KINDS}")
    if own.name in METRICS or own.name in TAKEN:
        what = (
            "a bundled metric" if own.name in METRICS else "a word that means something else beside metrics"
        )
        raise UsageError(f"{where}: {own.name} is {what}: give it another name")
    applies = partial(_applies, own.is_for)
    of_contexts = isinstance(own, Criterion) and "contexts" in own.sees
    return Metric(own.name, own.breach, applies, own=own, threshold=own.threshold, of_contexts=of_contexts)


def with_packages(listed: Sequence[Metric]) -> MetricSet:
    """Return the metrics that a project lists, and the names of those that installed packages offer."""
    names = {metric.name for metric in listed}
    offered = dict.fromkeys(point.name for point in entry_points(group=GROUP))
    return MetricSet(tuple(listed), tuple(name for name in offered if name not in names))


def loaded(known: MetricSet, chosen: Iterable[str]) -> MetricSet:
    """Return `known` with those of the `chosen` metrics that installed packages offer.

    Raises:
        UsageError: One cannot be loaded, is none, or two packages offer it.
    """
    wanted = [name for name in dict.fromkeys(chosen) if name in known.offered]
    return replace(known, own=(*known.own, *map(_load, wanted))) if wanted else known


def _load(name: str) -> Metric:
    points = list(entry_points(group=GROUP, name=name))
    packages = ", ".join(sorted(_package(point) for point in points))
    if len(points) > 1:
        raise UsageError(
            f"two packages offer a criterion {name}: {packages}: uninstall one, or list that of the other in "
            "evals_criteria"
        )
    where = f"criterion {name} of {packages}"
    try:
        found = points[0].load()
    except Exception as error:
        raise UsageError(f"{where} ({points[0].value}) cannot be loaded: {raised(error)}") from error
    metric = own_metric(found, where)
    if metric.name != name:
        raise UsageError(f"{where} has the name {metric.name}: its entry point has to be called the same")
    return metric


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _applies(is_for: Callable[[Question], bool], question: Question) -> bool:
    """Return whether a metric is asked of a question; where that cannot be told it is, and says why."""
    try:
        return is_for(question)
    except Exception:  # noqa: BLE001 - it is somebody's own, and said where the metric is scored
        return True


def _shown(given: Any) -> str:
    return "None" if given is None else f"{kind_name(given)} ({short_repr(given)})"
