"""What is said of people's labels: merged files, how far people agree, and the judge beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.judges.calibration.labels.agreement import (
    RELIABLE,
    TENTATIVE,
    JudgeFigures,
    MetricAgreement,
    Pair,
)
from rag_evals.evals.judges.calibration.labels.examples import LABELS
from rag_evals.evals.judges.calibration.labels.people import JudgedAnswer, Verdict
from rag_evals.evals.reports.text import aligned

_PAIRS = ("", "answers", "agree", "95 %", "kappa", "95 %")
_JUDGE = ("judge against", "balanced accuracy", "95 %", "AUROC", "95 %")


def merged_lines(answers: Sequence[JudgedAnswer]) -> list[str]:
    """Return how many answers people judged by each metric, and those of which they say different things."""
    lines = []
    for metric in LABELS.values():
        judged = [answer for answer in answers if answer.verdicts.get(metric)]
        if judged:
            disputed = [answer for answer in judged if answer.is_disputed(metric)]
            lines.append(f"{metric}: {_counts(judged, disputed, metric)}")
            lines += [f"  {_dispute(answer, metric)}" for answer in disputed]
    return [printable(line) for line in lines]


def _counts(judged: Sequence[JudgedAnswer], disputed: Sequence[JudgedAnswer], metric: str) -> str:
    labelled = sum(answer.majority(metric) is not None for answer in judged)
    tied = sum(answer.majority(metric) is None for answer in disputed)
    nobody = sum(not answer.labels_for(metric) for answer in judged)
    told = [
        f"{count_of(labelled, 'answer')} labelled",
        f"{len(disputed)} disputed" if disputed else "",
        f"{tied} tied and left without a label" if tied else "",
        f"{nobody} that nobody could tell" if nobody else "",
    ]
    return ", ".join(filter(None, told))


def _dispute(answer: JudgedAnswer, metric: str) -> str:
    said = answer.verdicts[metric]
    majority = {None: "tied", 0: "no", 1: "yes"}[answer.majority(metric)]
    people = "; ".join(
        f"{word}: {', '.join(_who(said, label))}"
        for word, label in (("yes", 1), ("no", 0), ("cannot tell", None))
        if any(one.label == label for one in said)
    )
    return f"{answer.example.question.id}: {majority} ({people})"


def _who(said: Iterable[Verdict], label: int | None) -> Iterator[str]:
    return (f"{one.labeller} at {one.place}" for one in said if one.label == label)


# --- agreement ---


def agreement_lines(found: Sequence[MetricAgreement]) -> list[str]:
    """Return how far people agree by each metric, and the judge beside them."""
    lines: list[str] = []
    for one in found:
        lines += [
            *([""] if lines else []),
            one.metric,
            *(f"  {line}".rstrip() for line in _metric_lines(one)),
        ]
    return [printable(line) for line in lines]


def _metric_lines(one: MetricAgreement) -> Iterator[str]:
    for name, count, yes, unsure in one.people:
        told = f", {unsure} could not be told" if unsure else ""
        yield f"{name}: {count_of(count, 'answer')}, {yes} yes and {count - yes} no{told}"
    pairs = [*one.pairs, *(figures.pair for figures in one.judge)]
    if rows := [_pair_row(pair) for pair in pairs if pair.share]:
        yield ""
        yield from aligned([_PAIRS, *rows])
    if rows := [_judge_row(figures) for figures in one.judge if figures.auroc]:
        yield ""
        yield from aligned([_JUDGE, *rows])
        if one.is_weighted:
            yield "counted by how many answers of the run each stands for; the figures above by answers"
    yield from ("", *_meaning(one))


def _pair_row(pair: Pair) -> tuple[str, ...]:
    name = f"{pair.first}, {pair.second}"
    return (name, str(pair.count), *_cells(pair.share), *(_cells(pair.kappa) if pair.kappa else ("-", "")))


def _judge_row(figures: JudgeFigures) -> tuple[str, ...]:
    return (figures.name, *_cells(figures.balanced_accuracy), *_cells(figures.auroc))


def _cells(interval: Interval | None) -> tuple[str, str]:
    return (f"{interval.value:.2f}", f"{interval.low:.2f} to {interval.high:.2f}") if interval else ("-", "")


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _meaning(one: MetricAgreement) -> Iterator[str]:
    """Yield what the figures mean, and what cannot be told."""
    if one.alpha:
        yield f"Krippendorff's alpha of all: {_shown(one.alpha)}"
    pairs = [*one.pairs, *(figures.pair for figures in one.judge)]
    yield from (f"{pair.first}, {pair.second}: {pair.lack}" for pair in pairs if pair.lack)
    yield from ((one.alpha_lack,) if one.alpha_lack else ())
    told = ((figures.name, figures.lack) for figures in one.judge if figures.lack != figures.pair.lack)
    yield from (f"judge against {name}: {lack}" for name, lack in told if lack)
    if one.disputed:
        yield f"disputed: {count_of(one.disputed, 'answer')}, {one.tied} of them tied"
    yield _of_people(one)
    if one.judge:
        yield _of_judge(one)


def _of_people(one: MetricAgreement) -> str:
    if len(one.people) < 2:
        return "One person: how far people agree takes two."
    figure = one.alpha or (one.pairs[0].kappa if len(one.people) == 2 else None)
    if figure is None:
        return "How far people agree beyond chance cannot be told."
    if figure.low >= RELIABLE:
        return f"People agree well: even the lower end, {figure.low:.2f}, is {RELIABLE:g} or more."
    if figure.low >= TENTATIVE:
        return f"People agree well enough for tentative conclusions: the lower end is {figure.low:.2f}."
    if figure.high < TENTATIVE:
        return (
            f"People do not agree: even the upper end, {figure.high:.2f}, is below {TENTATIVE:g}. Talk over "
            "the disputed answers before a judge is measured on them."
        )
    return (
        f"Whether people agree well enough ({TENTATIVE:g}) cannot be told yet: label more answers together."
    )


def _of_judge(one: MetricAgreement) -> str:
    if one.beside is None:
        return "Whether the judge agrees with people as they do with each other cannot be told."
    told = f"kappa {one.beside.value:+.2f} ({one.beside.low:+.2f} to {one.beside.high:+.2f}) beside theirs"
    if one.beside.high < 0:
        return f"The judge agrees with people less than they do with each other: {told}."
    if one.beside.low > 0:
        return f"The judge agrees with people more than they do with each other: {told}."
    return f"Whether the judge agrees with people less or more than they do cannot be told: {told}."
