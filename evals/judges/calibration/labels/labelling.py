"""Who labelled an answer, when, and of which draw from a run: what a labelling page writes beside labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rag_evals.evals.base.fields import fits, number
from rag_evals.evals.base.messages import kind_name, short_repr
from rag_evals.evals.questions.fields import parse_list, parse_object, parse_text

KEYS = ("labeller", "time", "run", "draw", "pipeline", "question_id", "unsure", "weights")


@dataclass(frozen=True, slots=True)
class Labelling:
    """How a label came to be, as far as its file says it.

    Attributes:
        labeller: Name of the person.
        time: When they labelled it, as ISO 8601 has it.
        run: Name of the run that the answer was drawn from.
        draw: What tells the draws of a run apart.
        pipeline: The pipeline that gave the answer.
        question_id: Id of the question in the run.
        unsure: The metrics by which they could not tell.
        weights: Pairs of metric and how many answers of the run the drawn one stands for, sorted by metric.
    """

    labeller: str | None = None
    time: str | None = None
    run: str | None = None
    draw: str | None = None
    pipeline: str | None = None
    question_id: str | None = None
    unsure: tuple[str, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()


NOTHING_SAID = Labelling()


def parse_labelling(
    entry: Mapping[str, Any], metrics: Mapping[str, str], problems: list[str]
) -> Labelling | None:
    """Return what an entry says of how it was labelled, None when it says nothing; appends what is wrong.

    Args:
        entry: The entry of a label file.
        metrics: Key of a label to the metric that it labels.
        problems: Gets what is wrong.
    """
    if all(entry.get(key) is None for key in KEYS):
        return None
    texts = (
        parse_text(entry, key, problems)
        for key in ("labeller", "time", "run", "draw", "pipeline", "question_id")
    )
    labeller, time, run, draw, pipeline, question_id = texts
    _check_time(time, problems)
    unsure, weights = _parse_unsure(entry, metrics, problems), _parse_weights(entry, metrics, problems)
    return Labelling(labeller, time, run, draw, pipeline, question_id, unsure, weights)


def _check_time(time: str | None, problems: list[str]) -> None:
    if time is None:
        return
    try:
        datetime.fromisoformat(time)
    except ValueError:
        problems.append(
            f'"time" = {short_repr(time)} is no time: write it as ISO 8601, such as 2026-01-31T09:30Z'
        )


def _parse_unsure(
    entry: Mapping[str, Any], metrics: Mapping[str, str], problems: list[str]
) -> tuple[str, ...]:
    found = []
    for place, key in enumerate(parse_list(entry, "unsure", "names of labels", problems)):
        if not isinstance(key, str) or key not in metrics:
            problems.append(f"unsure[{place}] = {short_repr(key)}: known are {', '.join(metrics)}")
        elif isinstance(entry.get(key), int):
            problems.append(f'"{key}" is among "unsure" and has a label: one of them is wrong')
        else:
            found.append(metrics[key])
    return tuple(sorted(set(found)))


def _parse_weights(
    entry: Mapping[str, Any], metrics: Mapping[str, str], problems: list[str]
) -> tuple[tuple[str, float], ...]:
    found = {}
    for key, weight in (parse_object(entry, "weights", problems) or {}).items():
        if not isinstance(key, str) or key not in metrics:
            problems.append(f'"weights" of {short_repr(key)}: known are {", ".join(metrics)}')
        elif not fits(number, weight) or weight < 1:
            kind = "" if fits(number, weight) else f" but {kind_name(weight)}"
            problems.append(
                f'"weights" of "{key}" is not a number of answers, 1 or more{kind} ({short_repr(weight)})'
            )
        else:
            found[metrics[key]] = float(weight)
    return tuple(sorted(found.items()))
