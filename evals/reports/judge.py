"""What a run says of its judge: its card, whether it can be trusted, the headline corrected for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evals.cards import Trust, trusts_of
from evals.correction import LEAST_LABELS, Corrected, prediction_powered, rogan_gladen
from evals.errors import printable
from evals.labels import Labelled
from evals.records import Evaluation
from evals.reports.wrapping import aligned
from evals.stats import Interval

HEADER = ("corrected for the judge", "answers", "pass", "should pass", "95 %", "by")


def judge_lines(
    judges: Iterable[Mapping[str, Any]],
    evaluations: Sequence[Evaluation],
    *,
    floor: float,
    labels: Sequence[Labelled] = (),
) -> list[str]:
    """Give the lines of the summary that are about the judge.

    Args:
        judges: The events of type `judge` of the run.
        evaluations: Those of the run.
        floor: Least balanced accuracy, lower interval bound, of a judge that a gate may trust.
        labels: People's verdicts on answers of the run.
    """
    lines: list[str] = []
    for judge in judges:
        settings = judge.get("settings", {})
        if "members" in settings:
            # What their mean is worth is on no card.
            members = [{**member, "settings": member} for member in settings["members"]]
            lines += [f"judge: {judge['name']}", *judge_lines(members, (), floor=0.0)]
            continue
        trust = trusts_of(judge)
        card = settings["card"] if trust else None
        used = {score.metric for evaluation in evaluations for score in evaluation.scores}
        lines += [
            _named(judge, card, trust),
            *_rows(trust, evaluations, labels),
            *_doubts([one for one in trust if one.metric in used], floor),
        ]
    return [printable(line) for line in lines]


def _named(judge: Mapping[str, Any], card: Mapping[str, Any] | None, trust: Sequence[Trust]) -> str:
    if card is None:
        return f"judge: {judge['name']}, uncalibrated: how often it errs is not known (rag-evals calibrate)"
    known = ", ".join(f"{one.metric} {_shown(one.balanced_accuracy)}" for one in trust)
    return f"judge: {judge['name']}, balanced accuracy on {card['labels']['name']}: {known}"


def _rows(trust: Sequence[Trust], evaluations: Sequence[Evaluation], labels: Sequence[Labelled]) -> list[str]:
    rows = []
    for pipeline in dict.fromkeys(evaluation.pipeline for evaluation in evaluations):
        for one in trust:
            row = _row(one, [e for e in evaluations if e.pipeline == pipeline], labels)
            rows += [row] if row else []
    return aligned([HEADER, *rows]) if rows else []


def _row(trust: Trust, group: Sequence[Evaluation], labels: Sequence[Labelled]) -> tuple[str, ...] | None:
    scored = [
        (e, s.value) for e in group for s in e.scores if s.metric == trust.metric and s.value is not None
    ]
    if not scored:
        return None
    passed = sum(value >= trust.threshold for _, value in scored)
    found = _corrected(trust, scored, labels, passed)
    if found is None:
        return None
    interval = f"{found.low:.2f} to {found.high:.2f}"
    name = f"{group[0].pipeline} {trust.metric}"
    share = passed / len(scored)
    return (name, str(len(scored)), f"{share:.2f}", f"{found.value:.2f}", interval, found.method)


def _corrected(
    trust: Trust, scored: Sequence[tuple[Evaluation, float]], labels: Sequence[Labelled], passed: int
) -> Corrected | None:
    """Correct by people's verdicts where there are enough of them, else by the errors on the card.

    The card's errors on declines say nothing where an answer is asked for: None.
    """
    known = {
        (example.question.question, example.answer.text): label
        for example in labels
        if (label := example.label_for(trust.metric)) is not None
    }
    keys = [(e.question.question, e.answer.text if e.answer else "") for e, _ in scored]
    labelled = [
        (value, _should_pass(trust.metric, e, known[key]))
        for key, (e, value) in zip(keys, scored, strict=True)
        if key in known
    ]
    if len(labelled) < LEAST_LABELS:
        if trust.metric == "refusal":
            return None
        return rogan_gladen(passed, len(scored), trust.positives, trust.negatives)
    others = [value for key, (_, value) in zip(keys, scored, strict=True) if key not in known]
    return prediction_powered(others, [value for value, _ in labelled], [label for _, label in labelled])


def _should_pass(metric: str, evaluation: Evaluation, label: int) -> int:
    """Say whether an answer with `label` should pass: one that declines should only where there is none."""
    return 1 - label if metric == "refusal" and evaluation.question.answerable else label


def _doubts(trust: Sequence[Trust], floor: float) -> list[str]:
    return [
        f"judge: not to be trusted in {one.metric}: balanced accuracy may be as low as "
        f"{one.balanced_accuracy.low:.2f}, below evals_judge_floor = {floor:g}: a gate on it is INCONCLUSIVE"
        for one in trust
        if one.balanced_accuracy.low < floor
    ]


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
