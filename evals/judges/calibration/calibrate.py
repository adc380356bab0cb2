"""Calibration: from labelled examples to a judge card, with how good the scores are that it makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.judges.calibration.accuracy import Accuracy, accuracy, auroc, threshold_for_false_pass
from rag_evals.evals.judges.calibration.calibrated_judge import score_from
from rag_evals.evals.judges.calibration.fit import METHODS, Method, fit
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard
from rag_evals.evals.judges.calibration.labels.examples import Labelled, labels_digest, usable_metrics
from rag_evals.evals.judges.calibration.probe import PROBE, Probe, fit_probe
from rag_evals.evals.judges.calibration.readings import Readings
from rag_evals.evals.judges.calibration.set_figures import FLOORS, MARKED, Held, figures_by_set
from rag_evals.evals.judges.judge import OF_LIKELIHOOD, RawScores, Scorer
from rag_evals.evals.judges.metrics import BUNDLED, DEFAULT_THRESHOLD, METRICS, Metric, MetricSet
from rag_evals.evals.runs.score import Score

# Held-out log loss, nats an example.
CLEARLY = 0.01
# More sources than this are left out in groups.
MOST_FOLDS = 20
# Probes take seconds to fit.
PROBE_FOLDS = 10


@dataclass(frozen=True, slots=True)
class Observed:
    """A labelled example as the scorer sees it."""

    example: Labelled
    label: int
    raw_scores: RawScores
    seconds: float

    @property
    def is_scored(self) -> bool:
        """Whether there is a verdict."""
        items = self.raw_scores.items
        return bool(items) and all(item.value is not None for item in items)


def calibrate(
    scorer: Scorer,
    examples: Sequence[Labelled],
    *,
    name: str,
    false_pass: float | None = None,
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
    readings: Readings | None = None,
    known: MetricSet = BUNDLED,
) -> JudgeCard:
    """Run `scorer` over labelled examples and fit a judge card.

    Args:
        scorer: What is measured.
        examples: The labelled examples; every metric that they label well enough, and that the scorer reads,
            gets its part.
        name: Name of the label file, for the card.
        false_pass: Share of bad answers that may pass; the threshold is set for it. None for 0.5, which is
            neutral for calibrated scores.
        progress: Wraps the examples to show how far it is.
        readings: Keeps what was read, so that it is not read again; None to keep nothing.
        known: The metrics that there are.

    Raises:
        LabelFileError: No metric has labels enough, in both classes, and verdicts.
    """
    usable, problems = usable_metrics(examples)
    if problems and not usable:
        raise LabelFileError("\n".join(problems))
    metrics = [metric for metric in usable if metric in scorer.metrics]
    if not metrics:
        raise LabelFileError(
            f"{name} labels {', '.join(usable) or 'nothing'}, but {scorer.name} reads "
            f"{', '.join(scorer.metrics)}: give labels for one of these."
        )
    observed = observe(scorer, metrics, progress(examples), readings)
    by_name = {**METRICS, **{metric.name: metric for metric in known.own}}
    cards = tuple(metric_card(by_name[metric], observed[metric], false_pass) for metric in metrics)
    variants = tuple(
        metric_card(by_name[metric], [_without_likelihood(one) for one in observed[metric]], false_pass)
        for metric, card in zip(metrics, cards, strict=True)
        if not card.calibration.weights.keys().isdisjoint(OF_LIKELIHOOD)
    )
    return JudgeCard(scorer.name, scorer.fingerprint, _about(name, examples), cards, variants)


def _without_likelihood(one: Observed) -> Observed:
    """Return what a model on a server would have seen."""
    items = tuple(
        replace(item, features={name: v for name, v in item.features.items() if name not in OF_LIKELIHOOD})
        for item in one.raw_scores.items
    )
    return replace(one, raw_scores=replace(one.raw_scores, items=items))


def _about(name: str, examples: Sequence[Labelled]) -> dict[str, str | int]:
    sources = len({example.source for example in examples})
    return {"name": name, "digest": labels_digest(examples), "examples": len(examples), "sources": sources}


def observe(
    scorer: Scorer, metrics: Sequence[str], examples: Iterable[Labelled], readings: Readings | None = None
) -> Mapping[str, list[Observed]]:
    """Read every example for every metric that it labels.

    Args:
        scorer: What reads.
        metrics: Names of the metrics.
        examples: The labelled examples.
        readings: Keeps what was read; None to keep nothing.

    Raises:
        OSError: It cannot be kept.
    """
    readings = readings or Readings(scorer)
    observed: dict[str, list[Observed]] = {metric: [] for metric in metrics}
    for example in examples:
        for metric in metrics:
            label = example.label_for(metric)
            if label is not None:
                observed[metric].append(Observed(example, label, *readings.read(metric, example)))
    return observed


def metric_card(metric: Metric, observed: Sequence[Observed], false_pass: float | None = None) -> MetricCard:
    """Fit the calibration of one metric and measure it on sources it was not fitted on.

    Raises:
        LabelFileError: Too few examples have a verdict, or those of one class only.
    """
    scored = [one for one in observed if one.is_scored]
    _check(metric, scored, len(observed))
    scored, probe = _probed(metric, scored)
    names = tuple(
        dict.fromkeys(name for one in scored for item in one.raw_scores.items for name in item.features)
    )
    by_method = {method: _judged_held_out(metric, scored, names, method) for method in METHODS}
    losses = {method: _log_loss(scored, _values(judged)) for method, judged in by_method.items()}
    # The isotonic curve has steps, which makes ties of different scores: it has to be clearly better.
    method: Method = "isotonic" if losses["isotonic"] < losses["logistic"] - CLEARLY else "logistic"
    judged = by_method[method]
    scores = _values(judged)
    labels = [one.label for one in scored]
    measured = partial(
        accuracy,
        labels=labels,
        clusters=[one.example.source for one in scored],
        weights=[one.example.weight_for(metric.name) for one in scored],
    )
    threshold = _threshold(scores, labels, false_pass)
    passes = _passes(scored, scores, false_pass)
    calibration = replace(_fitted(metric, scored, names, method), threshold=threshold, probe=probe)
    return MetricCard(
        calibration=calibration,
        accuracy=_accuracy(measured, scores, threshold, passes),
        at_half=measured(scores).balanced_accuracy,
        plain=measured(_values([_score(metric, one, None) for one in scored])).auroc,
        baselines={
            name: measured([rule(metric.name, one.example) for one in scored]).auroc
            for name, rule in FLOORS.items()
        },
        gains={
            left_out: auroc(_held_out(metric, scored, [n for n in names if n != left_out], method), labels)
            for left_out in names
            if len(names) > 1
        },
        method={str(name): loss for name, loss in losses.items()},
        coverage=len(scored) / len(observed),
        seconds=fmean(one.seconds for one in observed),
        tokens=fmean(one.raw_scores.tokens.evaluated for one in observed),
        sets=figures_by_set(metric.name, _held(scored, judged, passes), threshold),
        criterion=metric.criterion.fingerprint if metric.criterion else None,
    )


def _check(metric: Metric, scored: Sequence[Observed], count: int) -> None:
    good = sum(one.label for one in scored)
    if min(good, len(scored) - good) < 5:
        raise LabelFileError(
            f"{metric.name}: {len(scored)} of {count} examples have a verdict, {good} of them labelled 1 and "
            f"{len(scored) - good} labelled 0: at least 5 of each are needed."
        )


def _score(metric: Metric, one: Observed, calibration: Calibration | None) -> Score:
    return score_from(metric, one.example.question, one.raw_scores, calibration)


def _values(judged: Iterable[Score]) -> list[float]:
    values = [score.value for score in judged]
    assert None not in values, "only scored examples are measured"
    return [value for value in values if value is not None]


def _held(scored: Sequence[Observed], judged: Sequence[Score], passes: Sequence[float]) -> list[Held]:
    return [
        Held(one.example, one.label, value, passed == 1.0, score.claims)
        for one, score, value, passed in zip(scored, judged, _values(judged), passes, strict=True)
    ]


def _fitted(metric: Metric, scored: Sequence[Observed], names: Sequence[str], method: Method) -> Calibration:
    features = [[item.features for item in one.raw_scores.items] for one in scored]
    labels = [one.label for one in scored]
    return fit(
        metric.name,
        features,
        labels,
        names,
        decides="weakest" if metric.total is min else "mean",
        method=method,
    )


# --- hidden states ---


def _probed(metric: Metric, scored: Sequence[Observed]) -> tuple[list[Observed], Probe | None]:
    """Fit the probe, and put what probes say that never saw an example's source among its features.

    What the probe itself says of the examples that it was fitted on would be taken for far too good.
    """
    if any(item.state is None for one in scored for item in one.raw_scores.items):
        return list(scored), None
    probed: dict[int, Observed] = {}
    for left_out in _folds(scored, PROBE_FOLDS):
        probe = _fitted_probe(metric, [one for n, one in enumerate(scored) if n not in left_out])
        probed |= {n: _with_probe(scored[n], probe) for n in left_out}
    return [probed[n] for n in range(len(scored))], _fitted_probe(metric, scored)


def _fitted_probe(metric: Metric, scored: Sequence[Observed]) -> Probe:
    import numpy as np

    return fit_probe(
        [np.stack([item.state for item in one.raw_scores.items]) for one in scored],
        [one.label for one in scored],
        [_labels_of_claims(metric, one) for one in scored],
    )


def _labels_of_claims(metric: Metric, one: Observed) -> list[int | None]:
    """Return the label of each claim: by people's marks; the answer's where it is its only claim; else None.

    The claims of a good answer are good, but those of bad ones are not known: a set without marks would teach
    that whatever is written as in that set is good.
    """
    items, marked = one.raw_scores.items, one.example.spans
    if metric.name == MARKED and marked is not None:
        return [int(not any(a < item.end and item.start < b for a, b in marked)) for item in items]
    return [one.label if len(items) == 1 else None] * len(items)


def _with_probe(one: Observed, probe: Probe) -> Observed:
    items = tuple(
        replace(item, features={**item.features, PROBE: probe.value(item.state)}, state=None)
        for item in one.raw_scores.items
    )
    return replace(one, raw_scores=replace(one.raw_scores, items=items))


# --- on sources that were left out ---


def _held_out(
    metric: Metric, scored: Sequence[Observed], names: Sequence[str], method: Method
) -> list[float]:
    return _values(_judged_held_out(metric, scored, names, method))


def _judged_held_out(
    metric: Metric, scored: Sequence[Observed], names: Sequence[str], method: Method
) -> list[Score]:
    """Score every example by a calibration that was fitted without its source."""
    judged: dict[int, Score] = {}
    for left_out in _folds(scored):
        rest = [one for n, one in enumerate(scored) if n not in left_out]
        calibration = _fitted(metric, rest, names, method)
        judged |= {n: _score(metric, scored[n], calibration) for n in left_out}
    return [judged[n] for n in range(len(scored))]


def _folds(scored: Sequence[Observed], most: int = MOST_FOLDS) -> list[set[int]]:
    """Return the examples to leave out together: a source, or several of many.

    Sources that share an answer are one: public sets have taken examples from one another. Where what is
    left would be of one label only, five stratified parts take their place.
    """
    group_of = _groups([one.example for one in scored], most)
    folds = [
        {n for n, one in enumerate(scored) if group_of[one.example.source] == group}
        for group in sorted(set(group_of.values()))
    ]
    if all(len({one.label for n, one in enumerate(scored) if n not in fold}) == 2 for fold in folds):
        return folds
    order = sorted(range(len(scored)), key=lambda n: scored[n].label)
    return [set(order[part::5]) for part in range(5)]


def _groups(examples: Sequence[Labelled], most: int) -> dict[str, int]:
    """Return the group of each source, of at most `most`."""
    joined = {example.source: example.source for example in examples}

    def first_of(source: str) -> str:
        while joined[source] != source:
            source = joined[source]
        return source

    said: dict[tuple[str, ...], str] = {}
    for example in examples:
        words = tuple(f"{example.question.question} {example.answer.text}".lower().split())
        one, other = first_of(example.source), first_of(said.setdefault(words, example.source))
        joined[max(one, other)] = min(one, other)
    firsts = sorted({first_of(source) for source in joined})
    numbers = {source: n % most for n, source in enumerate(firsts)}
    return {source: numbers[first_of(source)] for source in joined}


def _threshold(scores: Sequence[float], labels: Sequence[int], false_pass: float | None) -> float:
    """Return the threshold for a share of false passes, by default the neutral one.

    The threshold that does best on a hundred examples does worse than 0.5 on others.
    """
    if false_pass is None:
        return DEFAULT_THRESHOLD
    return threshold_for_false_pass(scores, labels, false_pass)


def _passes(scored: Sequence[Observed], scores: Sequence[float], false_pass: float | None) -> list[float]:
    """Return 1.0 for each score that passes by a threshold that was chosen without its source, else 0.0."""
    labels = [one.label for one in scored]
    passes = [0.0] * len(scores)
    for fold in _folds(scored):
        rest = [n for n in range(len(scores)) if n not in fold]
        chosen = _threshold([scores[n] for n in rest], [labels[n] for n in rest], false_pass)
        for n in fold:
            passes[n] = float(scores[n] >= chosen)
    return passes


def _accuracy(
    measured: Callable[..., Accuracy], scores: Sequence[float], threshold: float, passes: Sequence[float]
) -> Accuracy:
    """Measure the scores, and the verdicts `passes`."""
    verdicts = measured(passes)
    return replace(
        measured(scores, threshold=threshold),
        balanced_accuracy=verdicts.balanced_accuracy,
        sensitivity=verdicts.sensitivity,
        specificity=verdicts.specificity,
    )


def _log_loss(scored: Sequence[Observed], scores: Sequence[float]) -> float:
    """Return the mean log loss in which both classes count the same."""
    surprise: dict[int, list[float]] = {0: [], 1: []}
    for one, score in zip(scored, scores, strict=True):
        right = score if one.label else 1.0 - score
        surprise[one.label].append(-math.log(max(right, 1e-3)))
    return fmean(map(fmean, surprise.values()))
