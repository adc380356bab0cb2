"""Judge cards: a judge's accuracy as far as it is known, and how its raw scores are calibrated."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.fields import WrongField, count, fields, listed, number, text
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.accuracy import Accuracy
from rag_evals.evals.judges.calibration.probe import PROBE, Probe
from rag_evals.evals.judges.calibration.set_figures import SetFigures
from rag_evals.evals.runs.score import from_json
from rag_evals.rag.identity import digest

# 2 has the figures of each set of labels; a card of 1 is read as one without.
SCHEMA = 2
# Sets of labels that are named in a line.
MOST_SETS = 3


def _part_of_all(value: Any) -> None:
    """A count, and another that it is a part of."""
    listed(count)(value)
    if len(value) != 2 or not 0 <= value[0] <= value[1] or not value[1]:
        raise WrongField("a part and the whole", value)


# What a run has of a card, as somebody else may have written it.
_TRUSTED = fields(
    {
        "labels": fields({"name": text}),
        "trust": listed(
            fields(
                {
                    "metric": text,
                    "threshold": number,
                    "balanced_accuracy": fields(dict.fromkeys(("value", "low", "high"), number)),
                    "positives": _part_of_all,
                    "negatives": _part_of_all,
                }
            )
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How one metric's raw scores become a score, fitted on labelled examples.

    Attributes:
        metric: Name of the metric.
        weights: Weight of each feature of a raw score, by name.
        intercept: What is added to the weighted sum.
        curve: Points of weighted sum and score, rising, of an isotonic regression, linear between them; None
            for the logistic function (Platt 1999).
        threshold: Least score that passes.
        probe: Makes the feature `PROBE` of a raw score's hidden state; None where none was read.
    """

    metric: str
    weights: Mapping[str, float]
    intercept: float
    curve: tuple[tuple[float, float], ...] | None
    threshold: float
    probe: Probe | None = None

    def value(self, features: Mapping[str, float], state: Any = None) -> float:
        """Return the calibrated score, 0 to 1, of a raw score with `features`; a missing one counts 0.

        Raises:
            ValueError: The hidden `state` is not of the width that the probe reads.
        """
        if self.probe and state is not None:
            features = {**features, PROBE: self.probe.value(state)}
        total = self.intercept + sum(
            weight * features.get(name, 0.0) for name, weight in self.weights.items()
        )
        return _between(self.curve, total) if self.curve else _logistic(total)


def _logistic(x: float) -> float:
    # exp overflows beyond 709, which a claim of a thousand numbers that are not in the contexts comes to.
    return 1.0 / (1.0 + math.exp(-x)) if x > 0 else math.exp(x) / (1.0 + math.exp(x))


def _between(curve: tuple[tuple[float, float], ...], x: float) -> float:
    at = bisect_left(curve, (x,))
    if at == 0:
        return curve[0][1]
    if at == len(curve):
        return curve[-1][1]
    (left, low), (right, high) = curve[at - 1], curve[at]
    return low + (high - low) * (x - left) / (right - left)


@dataclass(frozen=True, slots=True)
class MetricCard:
    """What is known of a judge's verdicts by one metric.

    The figures are those of scores that were calibrated on other sources than their own (cross-validation).

    Attributes:
        calibration: Fitted on all examples.
        accuracy: At the calibration's threshold.
        at_half: Balanced accuracy at 0.5.
        plain: AUROC of the raw scores as they are, without a calibration.
        baselines: AUROC of rules that read nothing: shared words, length of the answer.
        gains: AUROC without each feature, to be compared with that of all.
        method: How the curve was chosen: cross-validated log loss by method.
        coverage: Share of the examples with a verdict.
        seconds: Mean seconds a verdict.
        tokens: Mean evaluated tokens a verdict.
        sets: The figures on each set of labels, with those of people and of rules that read nothing.
        criterion: Fingerprint of the criterion of a project's own that it is of; None for a bundled metric.
    """

    calibration: Calibration
    accuracy: Accuracy
    at_half: Interval
    plain: Interval
    baselines: Mapping[str, Interval]
    gains: Mapping[str, float]
    method: Mapping[str, float]
    coverage: float
    seconds: float
    tokens: float
    sets: tuple[SetFigures, ...] = ()
    criterion: str | None = None

    @property
    def trust(self) -> Trust:
        """What a run says of this metric's verdicts."""
        found, negatives = self.accuracy, self.accuracy.count - self.accuracy.positives
        return Trust(
            self.calibration.metric,
            self.calibration.threshold,
            found.balanced_accuracy,
            (round(found.sensitivity.value * found.positives), found.positives),
            (round(found.specificity.value * negatives), negatives),
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the verdicts of one metric can be trusted, in the few figures that travel with a run.

    Attributes:
        metric: Name of the metric.
        threshold: Least score that passes, of the card.
        balanced_accuracy: At that threshold.
        positives: Of the labelled examples that should pass: those that passed, and all.
        negatives: Of the labelled examples that should fail: those that failed, and all.
    """

    metric: str
    threshold: float
    balanced_accuracy: Interval
    positives: tuple[int, int]
    negatives: tuple[int, int]


@dataclass(frozen=True)
class JudgeCard:
    """What is known of a judge.

    Attributes:
        judge: Name of the judge.
        fingerprint: Of the scorer that was measured; a card speaks for no other.
        labels: Name, digest, number of examples and of sources of the label file.
        metrics: One a labelled metric.
        variants: Of metrics that weigh what not every server tells, the same without: fitted and measured on
            the other features alone.
    """

    judge: str
    fingerprint: str
    labels: Mapping[str, Any]
    metrics: tuple[MetricCard, ...]
    variants: tuple[MetricCard, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that changes a score."""
        return digest([asdict(card.calibration) for card in self.metrics])

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The chosen thresholds, by metric."""
        thresholds = {card.calibration.metric: card.calibration.threshold for card in self.metrics}
        # That of declines does not hold where an answer is asked for, and the score is of the opposite.
        thresholds.pop("refusal", None)
        return thresholds

    @property
    def trust(self) -> tuple[Trust, ...]:
        """What a run says of this card."""
        return tuple(card.trust for card in self.metrics)

    def without_features(self, lacking: Collection[str]) -> JudgeCard:
        """Return the card for a judge that cannot read the features `lacking`.

        A metric that weighs one of them has its variant; one without such a variant is left out, as a feature
        that is missing is not 0.
        """
        if not lacking:
            return self
        readable = {}
        for one in (*self.variants[::-1], *self.metrics):
            if one.calibration.weights.keys().isdisjoint(lacking):
                readable[one.calibration.metric] = one
        names = dict.fromkeys(one.calibration.metric for one in self.metrics)
        return replace(self, metrics=tuple(readable[name] for name in names if name in readable), variants=())

    def metric(self, name: str, criterion: str | None = None) -> MetricCard | None:
        """Return the card of one metric; None if it was not labelled.

        Args:
            name: The metric's name.
            criterion: Fingerprint of the criterion as it is now: the card of another says nothing of it.
        """
        found = (card for card in self.metrics if card.calibration.metric == name)
        return next((card for card in found if card.criterion == criterion), None)

    def with_criteria(self, cards: Iterable[MetricCard], labels: Mapping[str, Any]) -> JudgeCard:
        """Return the card with those of criteria of a project's own, which has labels of its own."""
        kept, cards = [card for card in self.metrics if card.criterion is None], tuple(cards)
        names = dict.fromkeys(str(one.get("name")) for one in (self.labels, labels))
        about = {**self.labels, "name": ", ".join(names)} if cards else self.labels
        return replace(self, labels=about, metrics=(*kept, *cards))


def named_labels(labels: Mapping[str, Any]) -> str:
    """Return the names of a card's sets of labels, for a line; of many how many they are."""
    sets = str(labels.get("name")).split(", ")
    return ", ".join(sets) if len(sets) <= MOST_SETS else f"{len(sets)} sets of labels"


def card_to_json(card: JudgeCard) -> str:
    """Return the text of a card's file: sorted, the same for the same card."""
    content = {"type": "judge-card", "schema": SCHEMA, "version": card.digest, **asdict(card)}
    if not card.variants:
        del content["variants"]
    for one in (*content["metrics"], *content.get("variants", ())):
        if one["criterion"] is None:
            del one["criterion"]
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def load_card(path: Path) -> JudgeCard:
    """Read a card's file.

    Raises:
        UsageError: It cannot be read, is no judge card, or is from a newer version.
    """
    try:
        line = parse_json(read_plain(path))
        if line["type"] != "judge-card":
            raise ValueError(f"its type is {line['type']!r}")
        if line["schema"] > SCHEMA:
            raise UsageError(f"{path} is from a newer version of rag-evals: upgrade, or calibrate anew.")
        return from_json(JudgeCard, line)
    except UsageError:
        raise  # it is a ValueError too
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UsageError(
            f"{path} is no judge card ({reason}): give a file that `rag-evals calibrate` wrote."
        ) from error


def cards_in(folders: Iterable[Path]) -> Iterator[JudgeCard]:
    """Yield the cards in `folders`, in their order; a file that is no card is passed over."""
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            with suppress(UsageError):
                yield load_card(path)


def find_card(fingerprint: str, folders: Iterable[Path]) -> JudgeCard | None:
    """Return the card of the scorer with `fingerprint` from the first of `folders` that has one.

    A card of nothing but criteria of a project's own takes no other card's place.
    """
    cards = (card for card in cards_in(folders) if card.fingerprint == fingerprint)
    return next((card for card in cards if any(one.criterion is None for one in card.metrics)), None)


def find_criteria(
    fingerprints: Collection[str], folders: Iterable[Path], criteria: Mapping[str, str]
) -> JudgeCard | None:
    """Return a card with what is known of criteria of a project's own; None where that is nothing.

    Args:
        fingerprints: Of the scorers that read them alike.
        folders: Where cards are looked for.
        criteria: Fingerprint of each criterion, by name.
    """
    cards = [card for card in cards_in(folders) if card.fingerprint in fingerprints]
    found = {
        name: (card, one)
        for name, fingerprint in criteria.items()
        for card in reversed(cards)
        if (one := card.metric(name, fingerprint))
    }
    if not found:
        return None
    first = next(iter(found.values()))[0]
    return replace(first, metrics=tuple(one for _, one in found.values()), variants=())


def trusts_of(settings: Mapping[str, Any] | None) -> list[Trust]:
    """Return what the card in a judge's settings says; nothing without one, or with one of another form."""
    try:
        card = (settings or {})["card"]
        _TRUSTED(card)
        return [from_json(Trust, one) for one in card["trust"]] if card["labels"]["name"] else []
    except (KeyError, TypeError, WrongField):
        return []
