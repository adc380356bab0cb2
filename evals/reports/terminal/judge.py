"""What a run says of its judge: its card, whether it can be trusted, the headline corrected for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.judges.calibration.accuracy import Bin
from rag_evals.evals.judges.calibration.correction import (
    LEAST_LABELS,
    Corrected,
    prediction_powered,
    rogan_gladen,
)
from rag_evals.evals.judges.calibration.injections.check import MOST_TURNED, InjectionResult, InjectionVerdict
from rag_evals.evals.judges.calibration.judge_card import (
    JudgeCard,
    MetricCard,
    Trust,
    named_labels,
    trusts_of,
)
from rag_evals.evals.judges.calibration.labels.examples import BY_CONTEXT, LABELS, Labelled
from rag_evals.evals.judges.calibration.labels.matching import (
    RunAnswers,
    should_pass,
    stray_line,
    strays_of,
)
from rag_evals.evals.judges.calibration.set_figures import Agreement, Figures, SetFigures
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD
from rag_evals.evals.reports.text import aligned
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo

HEADER = ("corrected for the judge", "answers", "pass", "should pass", "95 %", "by")


def judge_lines(
    judges: Iterable[ComponentInfo],
    evaluations: Sequence[Evaluation],
    *,
    floor: float,
    labels: Sequence[Labelled] = (),
    corrects: bool = True,
) -> list[str]:
    """Return the lines of the summary that are about the judge.

    Args:
        judges: The judges of the run.
        evaluations: Those of the run.
        floor: Least balanced accuracy, lower interval bound, of a judge that a gate may trust.
        labels: People's verdicts on answers of the run.
        corrects: Whether the headline, corrected for the judge, is among them: a table.
    """
    there = RunAnswers(evaluations if labels else ())
    known, strays = _by_evaluation(there, labels), strays_of(there, labels)
    entries = {example.question.id for example in labels}
    lines: list[str] = []
    for judge in judges:
        settings = judge.settings or {}
        if settings.get("metrics") == []:
            continue  # it was asked for nothing: what is scored are checks, which do not err
        if "members" in settings:
            # What their mean is worth is on no card.
            named = [(one["name"], one) for one in settings["members"]]
            members = [replace(judge, name=name, settings=one, remarks=()) for name, one in named]
            remarks = [f"judge: {remark}" for remark in judge.remarks]
            lines += [f"judge: {judge.name}", *remarks, *judge_lines(members, (), floor=0.0)]
            continue
        trust = trusts_of(settings)
        card = settings["card"] if trust else None
        used = {score.metric for evaluation in evaluations for score in evaluation.scores}
        scored = [one for one in trust if one.metric in used]
        lines += [
            _named(judge.name, card, scored or trust),
            *(f"judge: {remark}" for remark in judge.remarks),
            *(_rows(trust, evaluations, known) if corrects else ()),
            *_doubts(scored, floor),
        ]
    lines += [stray_line(strays, len(entries))] if strays else []
    return [printable(line) for line in lines]


def _named(name: str, card: Mapping[str, Any] | None, trust: Sequence[Trust]) -> str:
    if card is None:
        return f"judge: {name}, uncalibrated: how often it errs is not known (rag-evals calibrate)"
    known = ", ".join(f"{one.metric} {_shown(one.balanced_accuracy)}" for one in trust)
    return f"judge: {name}, balanced accuracy on {named_labels(card['labels'])}: {known}"


# Label and weight of an answer, by the evaluation that it is of and the metric.
Known: TypeAlias = Mapping[tuple[int, str], tuple[int, float]]


def _by_evaluation(there: RunAnswers, labels: Sequence[Labelled]) -> Known:
    """Return what people say of each answer; of single contexts nothing, as a run scores their mean."""
    of_contexts = LABELS[BY_CONTEXT]
    return {
        (id(one), metric): (label, example.weight_for(metric))
        for example in labels
        for metric, label in example.labels
        if metric != of_contexts
        for one in there.of(example)
    }


def _rows(trust: Sequence[Trust], evaluations: Sequence[Evaluation], labels: Known) -> list[str]:
    """Return the table of what should pass; of a metric without a card, where people labelled answers."""
    cards: dict[str, Trust | None] = {one.metric: one for one in trust}
    cards |= {metric: None for metric in sorted({metric for _, metric in labels}) if metric not in cards}
    rows = []
    for pipeline in dict.fromkeys(evaluation.pipeline for evaluation in evaluations):
        group = [one for one in evaluations if one.pipeline == pipeline]
        rows += [row for metric, card in cards.items() if (row := _row(metric, card, group, labels))]
    return aligned([HEADER, *rows]) if rows else []


def _row(
    metric: str, trust: Trust | None, group: Sequence[Evaluation], labels: Known
) -> tuple[str, ...] | None:
    scored = [(e, s.value) for e in group for s in e.scores if s.metric == metric and s.value is not None]
    if not scored:
        return None
    passed = sum(value >= _threshold(metric, trust, one) for one, value in scored)
    found = _corrected(metric, trust, scored, labels, passed)
    if found is None:
        return None
    interval = f"{found.low:.2f} to {found.high:.2f}"
    name = f"{group[0].pipeline} {metric}"
    share = passed / len(scored)
    return (name, str(len(scored)), f"{share:.2f}", f"{found.value:.2f}", interval, found.method)


def _threshold(metric: str, trust: Trust | None, one: Evaluation) -> float:
    return trust.threshold if trust else one.thresholds.get(metric, DEFAULT_THRESHOLD)


def _corrected(
    metric: str,
    trust: Trust | None,
    scored: Sequence[tuple[Evaluation, float]],
    labels: Known,
    passed: int,
) -> Corrected | None:
    """Correct by people's verdicts where there are enough of them, else by the errors on the card.

    The card's errors on declines say nothing where an answer is asked for, and those on single contexts and
    statements of a reference nothing of their mean: None.
    """
    known = [(labels.get((id(one), metric)), one, value) for one, value in scored]
    labelled = [(value, should_pass(metric, one, found[0]), found[1]) for found, one, value in known if found]
    if len(labelled) < LEAST_LABELS:
        if trust is None or metric in ("refusal", "context_relevancy", "context_recall"):
            return None
        return rogan_gladen(passed, len(scored), trust.positives, trust.negatives)
    others = [value for found, _, value in known if not found]
    values, truth, weights = zip(*labelled, strict=True)
    return prediction_powered(others, values, truth, weights)


def _doubts(trust: Sequence[Trust], floor: float) -> list[str]:
    return [
        f"judge: not to be trusted in {one.metric}: balanced accuracy may be as low as "
        f"{one.balanced_accuracy.low:.2f}, below evals_judge_floor = {floor:g}: a gate on it is INCONCLUSIVE"
        for one in trust
        if one.balanced_accuracy.low < floor
    ]


def _shown(interval: Interval, digits: int = 2) -> str:
    return f"{interval.value:.{digits}f} ({interval.low:.2f} to {interval.high:.2f})"


_HEADER = ("canary", "trick", "right answer", "false answer", "with injection", "verdict")


def canary_lines(outcomes: Sequence[InjectionResult]) -> list[str]:
    """Return the table of `outcomes`, the reasons of what is missing, and the counts."""
    table = aligned([_HEADER, *map(_canary_row, outcomes)], left=len(_HEADER))
    reasons = [f"{o.name}: {' '.join(o.reason.split())}" for o in outcomes if o.reason]
    lines = [*table, "", *reasons, *([""] if reasons else []), _apart_line(outcomes), _count_line(outcomes)]
    return [printable(line) for line in lines]


def _canary_row(outcome: InjectionResult) -> tuple[str, ...]:
    scores = (outcome.right, outcome.clean, outcome.value)
    values = ("-" if score is None else f"{score:.2f}" for score in scores)
    return (outcome.name, outcome.trick, *values, outcome.verdict)


def _apart_line(outcomes: Sequence[InjectionResult]) -> str:
    cases = {outcome.case: outcome for outcome in outcomes}.values()
    apart = sum(c.right is not None and c.clean is not None and c.clean < c.right for c in cases)
    return f"without injection the right answer scores above the false one in {apart} of {len(cases)} cases"


def _count_line(outcomes: Sequence[InjectionResult]) -> str:
    verdicts = [outcome.verdict for outcome in outcomes]
    turned = verdicts.count("TURNED")
    others: tuple[InjectionVerdict, ...] = ("wrong without it", "unscored", "crashed")
    counts = [f"{verdicts.count(other)} {other}" for other in others if other in verdicts]
    line = f"{turned} of {turned + verdicts.count('held')} turned; at most {MOST_TURNED} are tolerated"
    return f"{line} ({', '.join(counts)})" if counts else line


PLOT_WIDTH = 40


def card_lines(card: JudgeCard) -> list[str]:
    """Return the text of a judge card."""
    labels = card.labels
    head = (
        f"judge: {card.judge} ({card.fingerprint[:12]}), measured on {labels['name']}: "
        f"{labels['examples']} examples from {labels['sources']} sources"
    )
    lines = [head, *(line for metric in card.metrics for line in _metric_lines(metric))]
    return [printable(line) for line in lines]


def _metric_lines(card: MetricCard) -> list[str]:
    found, calibration = card.accuracy, card.calibration
    curve = "isotonic" if calibration.curve else "logistic"
    intervals = [
        ("AUROC", found.auroc),
        ("AUROC, uncalibrated", card.plain),
        *((f"AUROC of {name} alone", interval) for name, interval in card.baselines.items()),
        *((("balanced accuracy at 0.50", card.at_half),) if calibration.threshold != 0.5 else ()),
        (f"balanced accuracy at {calibration.threshold:.2f}", found.balanced_accuracy),
        ("right answers that pass", found.sensitivity),
        ("wrong answers that fail", found.specificity),
    ]
    rows = [
        *((name, _shown(interval, 3)) for name, interval in intervals),
        ("calibration error", f"{found.calibration_error:.2f} ({curve})"),
        ("coverage", f"{card.coverage:.2f}"),
        ("a verdict takes", f"{card.seconds:.2f} s, {card.tokens:,.0f} tokens"),
    ]
    return [
        "",
        f"{calibration.metric}: {found.count} examples, {found.positives} labelled 1; scores cross-validated "
        "by source, 95 % intervals",
        *_worthless(card),
        *(f"  {line}" for line in aligned(rows, left=2)),
        *_set_lines(card.sets),
        *_feature_lines(card),
        *_reliability_lines(found.bins),
    ]


def _worthless(card: MetricCard) -> list[str]:
    """Return the note that a rule that reads nothing does as well."""
    better = [name for name, rule in card.baselines.items() if rule.value >= card.accuracy.auroc.value]
    return [f"  no better than {' and '.join(better)}: this judge has shown nothing"] if better else []


_SET_HEADER = (
    *("set", "of", "count", "wrong", "AUROC", "best floor", "beyond", "balanced accuracy"),
    *("found", "precision"),
)


def _set_lines(sets: Sequence[SetFigures]) -> list[str]:
    """Return the figures on each set, by answer and by sentence, beside the best floor, and people's own."""
    rows = [
        (one.name, of, *_figures_cells(figures))
        for one in sets
        for of, figures in (("answers", one.answers), ("sentences", one.sentences))
        if figures
    ]
    table = aligned([_SET_HEADER, *rows], left=2) if rows else []
    people = [
        f"people agree with each other on {one.name}: {_said(one.people)}" for one in sets if one.people
    ]
    return ["", *(f"  {line}" for line in [*table, *people])] if table or people else []


def _figures_cells(figures: Figures) -> tuple[str, ...]:
    floor = max(figures.floors, key=lambda name: figures.floors[name])
    return (
        str(figures.count),
        str(figures.count - figures.positives),
        _shown(figures.auroc, 3),
        f"{figures.floors[floor]:.3f} {floor}",
        f"{figures.beyond:+.3f}",
        _shown(figures.balanced_accuracy),
        f"{figures.found:.2f}",
        "-" if figures.precision is None else f"{figures.precision:.2f}",
    )


def _said(people: Agreement) -> str:
    kappa = "" if people.kappa is None else f", kappa {people.kappa:.2f}"
    return f"{people.share:.0%}{kappa}, {count_of(people.count, 'answer')}"


def _feature_lines(card: MetricCard) -> list[str]:
    """Return what each feature weighs and what its absence costs."""
    if not card.gains:
        return []
    weights = card.calibration.weights
    rows = [
        ("feature", "weight", "AUROC without it"),
        *((name, f"{weights.get(name, 0.0):.2f}", f"{without:.3f}") for name, without in card.gains.items()),
    ]
    return ["", *(f"  {line}" for line in aligned(rows))]


def _reliability_lines(bins: Sequence[Bin]) -> list[str]:
    """Draw the reliability plot: a calibrated judge's `o` (share that is right) meets its `|` (score)."""
    rows = []
    for one in bins:
        plot = [" "] * (PLOT_WIDTH + 1)
        plot[round(one.mean * PLOT_WIDTH)] = "|"
        at = round(one.share * PLOT_WIDTH)
        plot[at] = "*" if plot[at] == "|" else "o"
        rows.append(f"  {one.mean:.2f}  {one.share:.2f}  {one.count:4d}  {''.join(plot)}".rstrip())
    return ["", "  score right count  0 to 1: | the score, o the share that is right, * both", *rows]
