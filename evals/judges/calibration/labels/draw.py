"""Answers of a run drawn for people to judge: by pipeline and by what the judge says, with their weights.

A run has many answers that its judge is sure of and few that it is not. Drawn in their shares, a hundred
answers have hardly a bad one among them; so small strata are drawn more often (power allocation, Bankier
1988, The American Statistician 42), and each drawn answer keeps how many it stands for.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.judges.calibration.labels.examples import LABELS
from rag_evals.evals.judges.metrics import BUNDLED, DEFAULT_THRESHOLD
from rag_evals.evals.questions.fields import is_encodable
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run
from rag_evals.rag.answer import Context
from rag_evals.rag.identity import digest

# From documents as many as these, answers are resampled by document; from fewer, by question.
LEAST_DOCUMENTS = 5

Stratum: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DrawnAnswer:
    """An answer that people are to judge.

    Attributes:
        name: Unique in its draw.
        evaluation: The evaluation that it is of.
        weights: How many answers of the run it stands for, by each metric that it was drawn by.
        source: What it is alike with others in: its document or its question.
    """

    name: str
    evaluation: Evaluation
    weights: Mapping[str, float]
    source: str


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn of a run.

    Attributes:
        run: Name of the run.
        digest: Tells draws apart.
        answers: In an order that says nothing.
        counts: How many answers were drawn by each metric, and of how many.
        left_out: What could not be drawn, and why, in a line each.
    """

    run: str
    digest: str
    answers: tuple[DrawnAnswer, ...]
    counts: Mapping[str, tuple[int, int]]
    left_out: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it was drawn by."""
        return tuple(self.counts)


def draw(
    run: Run, metrics: Sequence[str] = (), *, size: int = 100, seed: int = 0, in_proportion: bool = False
) -> Draw:
    """Draw answers of a run by each of `metrics`; the same whatever the order of the run.

    The draws of several metrics have as many answers in common as can be: an answer has one number by chance,
    and the lowest of each stratum are taken (Ohlsson 1995).

    Args:
        run: The run.
        metrics: Names; by default all that people can judge and that the run has verdicts of.
        size: Most answers by a metric.
        seed: The same seed draws the same.
        in_proportion: Whether each stratum is drawn in its share.

    Raises:
        UsageError: A metric is unknown, the run has no verdict of it, or the sample is too small.
    """
    if size < 1:
        raise UsageError(f"--sample {size}: draw at least 1 answer")
    found, left_out = _answers(run)
    chosen = _metrics(run, found, metrics)
    # By their numbers: neither the order of the run nor that of the strata is to be seen in this one.
    answers = sorted(found, key=lambda one: (digest([seed, *_seen(one)]), one.pipeline))
    weights: list[dict[str, float]] = [{} for _ in answers]
    counts = {}
    for metric in chosen:
        drawn = _drawn(answers, metric, size, in_proportion=in_proportion)
        for number, weight in drawn.items():
            weights[number][metric] = weight
        values = [score.value for one in answers for score in one.scores if score.metric == metric]
        counts[metric] = (len(drawn), len(values) - values.count(None))
        if values.count(None):
            left_out.append(f"{metric}: {count_of(values.count(None), 'answer')} without a verdict")
    taken = [(one, by_metric) for one, by_metric in zip(answers, weights, strict=True) if by_metric]
    return Draw(run.name, _digest(run, taken), _named(taken), counts, tuple(left_out))


def _digest(run: Run, taken: Iterable[tuple[Evaluation, Mapping[str, float]]]) -> str:
    return digest([run.name, [[one.pipeline, by_metric, *_seen(one)] for one, by_metric in taken]])[:12]


def _named(taken: Sequence[tuple[Evaluation, Mapping[str, float]]]) -> tuple[DrawnAnswer, ...]:
    """Return what was drawn, each named by pipeline and question, with a number where several are."""
    seen: Counter[str] = Counter()
    drawn = []
    for (one, weights), source in zip(taken, _sources([one for one, _ in taken]), strict=True):
        name = f"{one.pipeline} {one.question.id}"
        seen[name] += 1
        drawn.append(DrawnAnswer(name if seen[name] == 1 else f"{name} ({seen[name]})", one, weights, source))
    return tuple(drawn)


def shown_contexts(evaluation: Evaluation) -> tuple[Context, ...]:
    """Return the passages of an answer in which there is something to be read."""
    return tuple(one for one in evaluation.answer.contexts if one.text.strip()) if evaluation.answer else ()


def _answers(run: Run) -> tuple[list[Evaluation], list[str]]:
    """Return the answers that people can judge, each once, and what is left out."""
    found: dict[object, Evaluation] = {}
    left_out: Counter[str] = Counter()
    for one in run.answers:
        if one.answer is None:
            left_out["without an answer: the pipeline raised"] += 1
        elif not all(map(is_encodable, _texts(one))):
            left_out["with half of a surrogate pair, which is no character"] += 1
        else:
            found.setdefault((one.pipeline, *_seen(one)), one)
    return list(found.values()), [f"{count_of(n, 'evaluation')} {why}" for why, n in left_out.items()]


def _texts(one: Evaluation) -> list[str]:
    contexts = [text for context in shown_contexts(one) for text in (context.text, context.document)]
    question = one.question
    text = one.answer.text if one.answer else ""
    before = [message.content for message in question.history]
    return [question.id, question.question, question.reference or "", *before, one.pipeline, text, *contexts]


def _seen(one: Evaluation) -> tuple[object, ...]:
    """Return what people see of an evaluation."""
    text = one.answer.text if one.answer else ""
    contexts = tuple(context.text for context in shown_contexts(one))
    question = one.question
    before = tuple((message.role, message.content) for message in question.history)
    return question.id, question.question, question.reference, text, contexts, before


def _metrics(run: Run, answers: Sequence[Evaluation], asked: Sequence[str]) -> tuple[str, ...]:
    for metric in asked:
        BUNDLED.check(metric, f"unknown metric {printable(repr(metric))}")
        if metric not in LABELS.values():
            raise UsageError(f"{metric} is not for people to judge: known are {', '.join(LABELS.values())}")
    values = {score.metric for one in answers for score in one.scores if score.value is not None}
    there = tuple(metric for metric in LABELS.values() if metric in values)
    if not there:
        raise UsageError(
            f"run {run.name} has no answer with a verdict that people could judge: "
            f"run its questions with metrics such as {', '.join(LABELS.values())}"
        )
    if missing := [metric for metric in dict.fromkeys(asked) if metric not in there]:
        raise UsageError(
            f"run {run.name} has no verdict of {', '.join(missing)}: it has those of {', '.join(there)}"
        )
    return tuple(metric for metric in there if metric in asked) if asked else there


def _value(one: Evaluation, metric: str) -> float | None:
    return next((score.value for score in one.scores if score.metric == metric), None)


def _drawn(answers: Sequence[Evaluation], metric: str, size: int, *, in_proportion: bool) -> dict[int, float]:
    """Return where the answers stand that are drawn by one metric, the first of each stratum, and weights."""
    strata: dict[Stratum, list[int]] = {}
    for number, one in enumerate(answers):
        if _value(one, metric) is not None:
            strata.setdefault((one.pipeline, band_of(one, metric)), []).append(number)
    if size < len(strata):
        raise UsageError(
            f"--sample {size}: {metric} has {len(strata)} strata, pipelines by how the judge scored: "
            f"draw at least {len(strata)} answers, one of each"
        )
    counts = allocated({name: len(held) for name, held in strata.items()}, size, in_proportion=in_proportion)
    return {
        number: len(held) / counts[name] for name, held in strata.items() for number in held[: counts[name]]
    }


def band_of(one: Evaluation, metric: str) -> int:
    """Return in which of four bands a score is: low, below the threshold, above it, or high."""
    value, threshold = _value(one, metric) or 0.0, one.thresholds.get(metric, DEFAULT_THRESHOLD)
    return sum(value >= edge for edge in (threshold / 2, threshold, (1 + threshold) / 2))


def allocated(sizes: Mapping[Stratum, int], count: int, *, in_proportion: bool) -> dict[Stratum, int]:
    """Return how many of each stratum are drawn, one at least, by highest averages (Webster).

    Args:
        sizes: What there is of each stratum.
        count: How many are drawn in all, at least one a stratum; never more than there are.
        in_proportion: Whether to draw by sizes; else by their square roots.
    """
    drawn = dict.fromkeys(sizes, 1)
    measure = {name: float(size) if in_proportion else math.sqrt(size) for name, size in sizes.items()}
    waiting = [(-measure[name] / 1.5, name) for name in sizes if sizes[name] > 1]
    heapq.heapify(waiting)
    for _ in range(count - len(sizes)):
        if not waiting:
            break
        _, name = heapq.heappop(waiting)
        drawn[name] += 1
        if drawn[name] < sizes[name]:
            heapq.heappush(waiting, (-measure[name] / (drawn[name] + 0.5), name))
    return drawn


def _sources(answers: Sequence[Evaluation]) -> list[str]:
    """Return what each is alike with others in: conversation, document where they are many, or question."""
    documents = [one.question.sources[0].document if one.question.sources else "" for one in answers]
    by_document = len(set(documents) - {""}) >= LEAST_DOCUMENTS
    return [
        one.question.conversation or (document if by_document and document else one.question.id)
        for document, one in zip(documents, answers, strict=True)
    ]
