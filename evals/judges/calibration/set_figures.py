"""The figures of one set of labels: answers, sentences, people's own agreement, and the floors.

A floor is a rule that reads nothing: a judge that does not beat it has shown nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.accuracy import accuracy, auroc
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.claims import read_claims
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.runs.score import ClaimScore

# The metric whose claims are sentences of the answer, as people mark them.
MARKED = "faithfulness"
# Fewer sentences of a class than these say nothing.
LEAST_OF_A_CLASS = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """What scores are worth on some of the examples.

    Attributes:
        count: Number of answers, or of sentences.
        positives: Those that are right.
        auroc: Chance that a right one scores higher than a wrong one.
        balanced_accuracy: Mean of the shares of right ones that pass and of wrong ones that fail.
        found: Share of the wrong ones that fail.
        precision: Share of those that fail that are wrong; None where none fails.
        floors: AUROC of each rule that reads nothing.
    """

    count: int
    positives: int
    auroc: Interval
    balanced_accuracy: Interval
    found: float
    precision: float | None
    floors: Mapping[str, float]

    @property
    def beyond(self) -> float:
        """What the AUROC is above that of the best floor."""
        return self.auroc.value - max(self.floors.values(), default=0.5)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree with each other: what no judge can be expected to surpass.

    Attributes:
        count: Answers that two people or more judged.
        share: Share of pairs of people who say the same of an answer, the mean over the answers.
        kappa: The same beyond chance (Fleiss 1971); None where all say the same of all.
    """

    count: int
    share: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class SetFigures:
    """What is known of a metric's verdicts on one set of labels.

    Attributes:
        name: Name of the set.
        sources: Its sources.
        answers: The figures by answer; None where one class is missing.
        sentences: Those by sentence; None where nobody marked sentences, or too few.
        people: How far people agree; None where no answer has several labels.
    """

    name: str
    sources: int
    answers: Figures | None
    sentences: Figures | None
    people: Agreement | None


@dataclass(frozen=True, slots=True)
class Held:
    """A labelled example with scores whose calibration never saw its source.

    Attributes:
        example: The example.
        label: Its label.
        score: The answer's score.
        passes: The verdict, by a threshold that never saw its source either.
        claims: The claims with their scores.
    """

    example: Labelled
    label: int
    score: float
    passes: bool
    claims: tuple[ClaimScore, ...]


def figures_by_set(metric: str, held: Sequence[Held], threshold: float) -> tuple[SetFigures, ...]:
    """Return the figures of each set that `held` is from, in their order.

    Args:
        metric: Name of the metric.
        held: The scored examples of all sets.
        threshold: Least score with which a sentence passes.
    """
    names = dict.fromkeys(one.example.set for one in held)
    return tuple(
        _figures_of(metric, name, [o for o in held if o.example.set == name], threshold) for name in names
    )


def _figures_of(metric: str, name: str, held: Sequence[Held], threshold: float) -> SetFigures:
    answers = [
        _Item(
            one.label,
            one.score,
            one.passes,
            one.example.source,
            floors_of(metric, one.example),
            one.example.weight_for(metric),
        )
        for one in held
    ]
    sentences = _sentences(held, threshold) if metric == MARKED else []
    return SetFigures(
        name,
        len({one.example.source for one in held}),
        _figures(answers, least=1),
        _figures(sentences, least=LEAST_OF_A_CLASS),
        agreement(metric, [one.example for one in held]),
    )


@dataclass(frozen=True, slots=True)
class _Item:
    """An answer or a sentence: label, score, verdict, source, what the floors say, and what it stands for."""

    label: int
    score: float
    passes: bool
    source: str
    floors: Mapping[str, float]
    weight: float = 1.0


def _figures(items: Sequence[_Item], *, least: int) -> Figures | None:
    labels = [item.label for item in items]
    if min(sum(labels), len(labels) - sum(labels)) < least:
        return None
    sources = [item.source for item in items]
    weights = [item.weight for item in items]
    verdicts = accuracy([float(item.passes) for item in items], labels, sources, weights=weights)
    failing = [item for item in items if not item.passes]
    return Figures(
        len(items),
        sum(labels),
        accuracy([item.score for item in items], labels, sources, weights=weights).auroc,
        verdicts.balanced_accuracy,
        verdicts.specificity.value,
        1.0 - fmean((item.label for item in failing), (item.weight for item in failing)) if failing else None,
        {name: auroc([item.floors[name] for item in items], labels) for name in items[0].floors},
    )


def _sentences(held: Sequence[Held], threshold: float) -> list[_Item]:
    """Return the claims of all answers in which people looked for what is not supported."""
    found = []
    for one in held:
        for claim in one.claims if one.example.spans is not None else ():
            if claim.value is not None:
                label = int(not is_marked(one.example, claim.start, claim.end))
                there = _stems_of(context.text for context in one.example.answer.contexts)
                floors = {"words found": _share_found(claim.text, there), "brevity": -_length(claim.text)}
                found.append(_Item(label, claim.value, claim.value >= threshold, one.example.source, floors))
    return found


def is_marked(example: Labelled, start: int, end: int) -> bool:
    """Return whether people marked something of the answer from `start` to `end`: a letter or digit."""
    parts = [(max(start, first), min(end, last)) for first, last in example.spans or ()]
    return any(letter.isalnum() for first, last in parts for letter in example.answer.text[first:last])


def agreement(metric: str, examples: Iterable[Labelled]) -> Agreement | None:
    """Return how far people agree with each other in a metric, where two or more judged an answer."""
    ratings = [given for example in examples if len(given := example.ratings_for(metric)) > 1]
    if not ratings:
        return None
    share = fmean(_pairs_alike(given) for given in ratings)
    said_yes = fmean(rating for given in ratings for rating in given)
    by_chance = said_yes**2 + (1.0 - said_yes) ** 2
    return Agreement(
        len(ratings), share, (share - by_chance) / (1.0 - by_chance) if by_chance < 1.0 else None
    )


def _pairs_alike(ratings: Sequence[int]) -> float:
    count, yes = len(ratings), sum(ratings)
    no = count - yes
    return (yes * (yes - 1) + no * (no - 1)) / (count * (count - 1))


# --- floors ---


def floors_of(metric: str, example: Labelled) -> dict[str, float]:
    """Return what each rule that reads nothing says of an example, more being better."""
    return {name: rule(metric, example) for name, rule in FLOORS.items()}


def _words_found(metric: str, example: Labelled) -> float:
    """Share of the words that are found where they should be. See `_compared`."""
    said, there = _compared(metric, example)
    return _share_found(said, _stems_of(there))


def _least_sentence(metric: str, example: Labelled) -> float:
    """The same share of the sentence with the fewest."""
    said, there = _compared(metric, example)
    known = _stems_of(there)
    claims = read_claims(said, example.question.question).claims
    return min((_share_found(claim.span.text, known) for claim in claims), default=_share_found(said, known))


def _brevity(metric: str, example: Labelled) -> float:
    """Shorter texts score higher: of the context, the reference, or the answer that is judged."""
    if metric == "context_relevancy":
        return -_length(" ".join(context.text for context in example.answer.contexts))
    if metric == "context_recall":
        return -_length(example.question.reference or "")
    return -_length(example.answer.text)


def _compared(metric: str, example: Labelled) -> tuple[str, list[str]]:
    """Return a text, and those in which its words are looked for.

    The answer's in the contexts, or for want of contexts in the question; the reference's in the answer
    (correctness) or in the contexts (recall); the question's in the context that is to help.
    """
    contexts = [context.text for context in example.answer.contexts]
    if metric == "correctness":
        return example.question.reference or "", [example.answer.text]
    if metric == "context_recall":
        return example.question.reference or "", contexts
    if metric == "context_relevancy":
        return example.question.question, contexts
    return example.answer.text, contexts or [example.question.question]


def _stems_of(texts: Iterable[str]) -> set[str]:
    return {stem for text in texts for stem in stems(text)}


def _share_found(text: str, there: set[str]) -> float:
    words = stems(text)
    return sum(word in there for word in words) / len(words) if words else 0.0


def _length(text: str) -> float:
    return float(len(text.split()))


FLOORS: Mapping[str, Callable[[str, Labelled], float]] = {
    "words found": _words_found,
    "least sentence": _least_sentence,
    "brevity": _brevity,
}
