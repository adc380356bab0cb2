"""How the values of options are read: numbers, shares, names, thresholds; commands read theirs alike."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from rag_evals.evals.answers.masking import parse_mask
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.backends.cluster.options import parse_address, parse_resources
from rag_evals.evals.gate.condition import parse_conditions
from rag_evals.evals.judges.metrics import BUNDLED, MetricSet, checked_thresholds
from rag_evals.evals.plugin.session.option import Given, Kind
from rag_evals.evals.questions.shard import parse_shard
from rag_evals.evals.retrieval.metric_names import DEFAULT_METRICS, parse_metric
from rag_evals.evals.runs.header import Inconclusive, Mode, Part
from rag_evals.evals.trackers.options import WandbRuns
from rag_evals.evals.trackers.otlp import parse_collector
from rag_evals.evals.trackers.wandb.reference import is_reference, parse_project


def parse_choice(name: str, text: str, choices: tuple[Any, ...]) -> Any:
    """Parse one of `choices`.

    Raises:
        UsageError: It is none of them.
    """
    if text not in choices:
        raise UsageError(f"unknown {name} {printable(repr(text))}: one of {', '.join(choices)}")
    return text


def parse_number(name: str, text: str, *, is_whole: bool = False) -> float:
    """Parse a number from 0.

    Raises:
        UsageError: It is none, or below 0, or not whole where it must be.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (is_whole and value != int(value)):
        raise UsageError(f"{name} = {printable(text.strip())}: not a {'whole ' if is_whole else ''}number")
    if value < 0:
        raise UsageError(f"{name} = {printable(text.strip())}: at least 0")
    return value


def parse_count(name: str, text: str) -> int:
    """Parse a whole number from 1.

    Raises:
        UsageError: It is none.
    """
    count = int(parse_number(name, text, is_whole=True))
    if count < 1:
        raise UsageError(f"{name} = {printable(text.strip())}: at least 1")
    return count


def parse_share(name: str, text: str) -> float:
    """Parse a number from 0 to 1.

    Raises:
        UsageError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} = {printable(text.strip())}: not a number") from None
    if not 0 <= value <= 1:
        raise UsageError(f"{name} = {printable(text.strip())} is outside 0..1")
    return value


def parse_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse names separated by commas; one given twice counts once."""
    names = (name.strip() for text in texts for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def parse_thresholds(texts: Iterable[str], known: MetricSet = BUNDLED) -> Mapping[str, float]:
    """Parse `METRIC=VALUE` each, of metrics that are `known`.

    Raises:
        UsageError: A text has another form, an unknown metric, or a value outside 0 to 1.
    """
    thresholds: dict[str, float] = {}
    for text in texts:
        metric, found, value = text.partition("=")
        if not found:
            raise UsageError(
                f"threshold {printable(repr(text))}: write METRIC=VALUE, such as faithfulness=0.7"
            )
        thresholds[metric.strip()] = parse_share(f"threshold {printable(metric.strip())}", value)
    return checked_thresholds(thresholds, known=known)


def parse_metrics(texts: Iterable[str], known: MetricSet = BUNDLED) -> tuple[str, ...]:
    """Parse names of metrics that are `known`, separated by commas.

    Raises:
        UsageError: A metric is unknown, or there is none.
    """
    names = parse_names(texts)
    for name in names:
        known.check(name, f"unknown metric {printable(repr(name))}")
    if not names:
        raise UsageError(f"no metrics: known are {', '.join(known.names)}")
    return names


def parse_retrieval_metrics(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse names of metrics of retrieval, separated by commas.

    Raises:
        UsageError: A metric is unknown, or there is none.
    """
    names = tuple(parse_metric(name).name for name in parse_names(texts))
    if not names:
        raise UsageError(f"no metrics of retrieval: give some, such as {', '.join(DEFAULT_METRICS)}")
    return names


def parse_refresh(text: str) -> tuple[str, ...]:
    """Parse what is to be made anew.

    Raises:
        UsageError: It is neither `answers` nor `scores` nor `all`.
    """
    known = {"": (), "answers": ("answers",), "scores": ("scores",), "all": ("answers", "scores")}
    if text not in known:
        raise UsageError(f"evals_refresh = {printable(text)}: one of answers, scores, all")
    return known[text]


def _metrics(given: Given, known: MetricSet) -> tuple[str, ...]:
    """Return the metrics that are asked for; where none are named also those that the project lists."""
    listed = (metric.name for metric in known.own) if given.is_default else ()
    return (*parse_metrics(given.value, known), *listed)


def _questions(given: Given) -> tuple[str, ...]:
    start = Path(glob.escape(str(given.start)))  # the folder's own name is no pattern
    return tuple(text if is_reference(text) else str(start / text) for text in given.value)


def _if_any(parse: Callable[[Given], Any]) -> Callable[[Given], Any]:
    """Return a reader whose setting is None where nothing is said."""
    return lambda given: parse(given) if given.value else None


READERS: Mapping[Kind, Callable[[Given], Any]] = {
    "address": _if_any(lambda given: parse_address(given.value)),
    "as_it_is": lambda given: given.value,
    "bound": _if_any(lambda given: parse_number(given.name, given.value)),
    "collector": _if_any(lambda given: parse_collector(given.value)),
    "count": lambda given: parse_count(given.name, given.value),
    "folder": lambda given: given.start / str(given.value),
    "if_any": lambda given: given.value or None,
    "inconclusive": lambda given: parse_choice(given.name, given.value, get_args(Inconclusive)),
    "mask": lambda given: parse_mask(given.value, given.name),
    "mode": lambda given: parse_choice("mode", given.value, get_args(Mode)),
    "names": lambda given: parse_names(given.value),
    "negated": lambda given: not given.value,
    "number": lambda given: parse_number(given.name, given.value),
    "part": _if_any(lambda given: parse_choice(given.name, given.value, get_args(Part))),
    "path": _if_any(lambda given: given.start / given.value),
    "paths": lambda given: tuple(dict.fromkeys(given.start / text for text in given.value)),
    "project": _if_any(lambda given: parse_project(given.value)),
    "questions": _questions,
    "refresh": lambda given: parse_refresh(given.value),
    "resources": lambda given: parse_resources(given.value),
    "retrieval_metrics": lambda given: parse_retrieval_metrics(given.value),
    "seconds": lambda given: parse_number(given.name, given.value) or None,
    "shard": _if_any(lambda given: parse_shard(given.value)),
    "share": lambda given: parse_share(given.name, given.value),
    "wandb_runs": lambda given: parse_choice(given.name, given.value, get_args(WandbRuns)),
    "whole": lambda given: int(parse_number(given.name, given.value, is_whole=True)),
}
# Those whose values name metrics, which a run may have of its own.
METRIC_READERS: Mapping[Kind, Callable[[Given, MetricSet], Any]] = {
    "conditions": lambda given, known: parse_conditions(given.value, known),
    "metrics": _metrics,
    "thresholds": lambda given, known: parse_thresholds(given.value, known),
}


def option_value(kind: Kind, given: Given, known: MetricSet) -> Any:
    """Return the value of an option.

    Raises:
        UsageError: What is given is none.
    """
    return METRIC_READERS[kind](given, known) if kind in METRIC_READERS else READERS[kind](given)
