"""A judge card as text: what the judge is worth, beside rules that read nothing."""

from __future__ import annotations

from collections.abc import Sequence

from evals.accuracy import Bin
from evals.cards import JudgeCard, MetricCard
from evals.errors import printable
from evals.reports.wrapping import aligned
from evals.stats import Interval

PLOT_WIDTH = 40


def card_lines(card: JudgeCard) -> list[str]:
    """Give the text of a judge card."""
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
        *((name, _shown(interval)) for name, interval in intervals),
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
        *_feature_lines(card),
        *_reliability_lines(found.bins),
    ]


def _worthless(card: MetricCard) -> list[str]:
    """Say when a rule that reads nothing does as well."""
    better = [name for name, rule in card.baselines.items() if rule.value >= card.accuracy.auroc.value]
    return [f"  no better than {' and '.join(better)}: this judge has shown nothing"] if better else []


def _feature_lines(card: MetricCard) -> list[str]:
    """Say what each feature weighs and what its absence costs."""
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


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.2f} to {interval.high:.2f})"
