"""The judge that `auto` takes: of those on this machine the one with the best figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rag_evals.evals.judges.calibration.judge_card import JudgeCard, MetricCard, cards_in, named_labels

METRIC = "faithfulness"
FALLBACK = "choice"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A judge that can be had without fetching anything.

    Attributes:
        spec: What users write for it.
        name: The name that it has in a judge card.
        published: Its published balanced accuracy, 0 to 1; None where there is none.
        source: Where that stands.
    """

    spec: str
    name: str
    published: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """The judge that was taken, and why."""

    spec: str
    why: str

    @property
    def line(self) -> str:
        """What is said of it."""
        lacks = "" if self.spec == FALLBACK else "; it scores no relevancy and no refusal"
        return f"judge: auto takes {self.spec}: {self.why}{lacks}"


def take(candidates: Iterable[Candidate], folders: Iterable[Path]) -> Taken:
    """Return the candidate with the highest balanced accuracy in faithfulness; of equal ones the first.

    The figure of a judge is that of its card, and without a card the published one. A candidate with neither
    is not taken, unless it is the fallback and nothing else is there.

    Args:
        candidates: The judges on this machine.
        folders: Where judge cards are looked for; the first that has one of a judge counts.
    """
    cards = list(cards_in(folders))
    best: tuple[float, Taken] | None = None
    for candidate in candidates:
        found = _figure(candidate, cards)
        if found and (best is None or found[0] > best[0]):
            best = found[0], Taken(candidate.spec, found[1])
    if best:
        return best[1]
    return Taken(FALLBACK, "no judge on this machine has a card or a published figure")


def card_of(judge: str, cards: Iterable[JudgeCard]) -> tuple[JudgeCard, MetricCard] | None:
    """Return the card of the judge with this name that has faithfulness, and what it says of that.

    The first that reads hidden states, as a run takes it before others, else the first.
    """
    of_judge = [(card, metric) for card in cards if card.judge == judge and (metric := card.metric(METRIC))]
    reads_states = (one for one in of_judge if one[1].calibration.probe)
    return next(reads_states, of_judge[0] if of_judge else None)


def _figure(candidate: Candidate, cards: Iterable[JudgeCard]) -> tuple[float, str] | None:
    if found := card_of(candidate.name, cards):
        card, metric = found
        value = metric.accuracy.balanced_accuracy.value
        return value, f"balanced accuracy {value:.2f} on {named_labels(card.labels)}, by its card"
    if candidate.published is None:
        return None
    return candidate.published, f"balanced accuracy {candidate.published:.3f} published, {candidate.source}"
