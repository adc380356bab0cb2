"""How far people agree with each other, and a judge with them: each figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from rag_evals.evals.base.arrays import Floats, Ints
from rag_evals.evals.base.intervals import Interval, Sample, rate_interval, wilson
from rag_evals.evals.base.messages import count_of
from rag_evals.evals.judges.calibration.accuracy import accuracy, expanded_interval
from rag_evals.evals.judges.calibration.labels.examples import LABELS, LEAST_ITEMS
from rag_evals.evals.judges.calibration.labels.matching import RunAnswers, judged_value, should_pass
from rag_evals.evals.judges.calibration.labels.people import JudgedAnswer
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD
from rag_evals.evals.runs.evaluation import Evaluation

RESAMPLES = 1000
MAJORITY = "majority"
# Of the resamples of a figure: in fewer of them than this it can be had.
_LEAST_DEFINED = 0.9
_ALWAYS_THE_SAME = "no kappa, as one of them nearly always says the same"
# Krippendorff 2004, Human Communication Research 30: what conclusions may rest on, and tentative ones.
RELIABLE, TENTATIVE = 0.8, 0.667


@dataclass(frozen=True, slots=True)
class Pair:
    """How far two agree, people or the judge.

    Attributes:
        first: Name of one.
        second: Name of the other.
        count: Answers that both judged.
        share: Share of them of which they say the same.
        kappa: The same beyond chance (Cohen 1960); None where it says nothing.
        lack: Why there is no figure.
    """

    first: str
    second: str
    count: int
    share: Interval | None = None
    kappa: Interval | None = None
    lack: str = ""


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """What the judge's scores are worth against one person's labels, or against the majority's.

    Attributes:
        name: The person, or `majority`.
        pair: How far verdicts and labels agree.
        balanced_accuracy: Of the verdicts; None where it cannot be had.
        auroc: Of the scores.
        lack: Why they cannot be had.
    """

    name: str
    pair: Pair
    balanced_accuracy: Interval | None = None
    auroc: Interval | None = None
    lack: str = ""


@dataclass(frozen=True, slots=True)
class MetricAgreement:
    """What is known of one metric.

    Attributes:
        metric: Its name.
        people: Each person, with how many they judged, how many of these are 1, and how many they could not.
        disputed: Answers of which people say different things.
        tied: Those of them without a majority.
        pairs: Every two people.
        alpha: Krippendorff's alpha over all people; None where it says nothing, or where they are two.
        alpha_lack: Why there is none.
        judge: The judge beside each person and the majority; nothing without a run.
        beside: By how much the judge's kappa with people, mean over people, is above theirs with each other,
            mean over pairs; None where one of them cannot be had.
        is_weighted: Whether drawn answers stand for different numbers of answers.
    """

    metric: str
    people: tuple[tuple[str, int, int, int], ...]
    disputed: int
    tied: int
    pairs: tuple[Pair, ...]
    alpha: Interval | None
    alpha_lack: str
    judge: tuple[JudgeFigures, ...] = ()
    beside: Interval | None = None
    is_weighted: bool = False


def agreements(
    answers: Sequence[JudgedAnswer], run: Iterable[Evaluation] | None = None
) -> tuple[MetricAgreement, ...]:
    """Return how far people agree by each metric that they judged, in the order of `LABELS`.

    Args:
        answers: What people say.
        run: The evaluations of the run that was labelled, to set the judge beside people; None without.
    """
    there = None if run is None else RunAnswers(run)
    found = []
    for metric in LABELS.values():
        of_metric = [answer for answer in answers if answer.verdicts.get(metric)]
        if of_metric:
            found.append(_agreement(_Table.of(metric, of_metric, there)))
    return tuple(found)


# --- a table of what is said ---


@dataclass(frozen=True, slots=True)
class _Table:
    """Who says what: a row an answer, a column a person; NaN where somebody said nothing.

    `weights` are what each answer stands for, `judge` and `passes` what the judge says, NaN where it says
    nothing; `truth` turns labels into what should pass.
    """

    metric: str
    names: tuple[str, ...]
    said: Floats
    groups: Ints
    weights: Floats
    answers: Sequence[JudgedAnswer]
    judge: Floats
    passes: Floats
    flips: Any
    has_run: bool

    @classmethod
    def of(cls, metric: str, answers: Sequence[JudgedAnswer], run: RunAnswers | None) -> _Table:
        import numpy as np

        names = tuple(dict.fromkeys(v.labeller for a in answers for v in a.verdicts[metric]))
        said = np.full((len(answers), len(names)), np.nan)
        for row, answer in enumerate(answers):
            for one in answer.verdicts[metric]:
                if one.label is not None:
                    said[row, names.index(one.labeller)] = one.label
        units = _units(answers)
        numbers = {name: n for n, name in enumerate(dict.fromkeys(units))}
        judged = [_judged(metric, answer, run) for answer in answers]
        return cls(
            metric,
            names,
            said,
            np.array([numbers[name] for name in units]),
            np.array([answer.weights.get(metric, 1.0) for answer in answers]),
            answers,
            np.array([value for value, _, _ in judged]),
            np.array([passed for _, passed, _ in judged]),
            np.array([flip for _, _, flip in judged], dtype=bool),
            run is not None,
        )

    @property
    def majority(self) -> Floats:
        """What most people say of each answer."""
        import numpy as np

        labels = [answer.majority(self.metric) for answer in self.answers]
        return np.array([np.nan if label is None else label for label in labels])

    def truth(self, labels: Floats) -> Floats:
        """Return whether each answer should pass."""
        import numpy as np

        return np.where(self.flips, 1 - labels, labels)

    def units(self, chosen: Any) -> int:
        """Return how many sources or questions the chosen answers are of."""
        return len(set(self.groups[chosen].tolist()))

    def draws(self) -> Ints:
        """Return how often each resample has each answer: whole sources or questions are drawn."""
        import numpy as np

        count = int(self.groups.max()) + 1
        rng = np.random.default_rng(0)
        drawn: Ints = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)[:, self.groups]
        return drawn


def _units(answers: Sequence[JudgedAnswer]) -> list[str]:
    """Return what is resampled together: answers of one source, or where these are few of one question."""
    sources = [answer.example.source for answer in answers]
    return sources if len(set(sources)) >= LEAST_ITEMS else [a.example.question.question for a in answers]


def _judged(metric: str, answer: JudgedAnswer, run: RunAnswers | None) -> tuple[float, float, bool]:
    """Return score and verdict of the judge, and whether a label of 1 is one that should not pass."""
    for one in run.of(answer.example) if run else ():
        value = judged_value(one, metric, answer.example)
        if value is not None:
            threshold = one.thresholds.get(metric, DEFAULT_THRESHOLD)
            return value, float(value >= threshold), should_pass(metric, one, 1) == 0
    return math.nan, math.nan, False


def _agreement(table: _Table) -> MetricAgreement:
    draws = table.draws()
    columns = {name: table.said[:, n] for n, name in enumerate(table.names)}
    pairs = tuple(_pair(table, a, columns[a], b, columns[b], draws) for a, b in combinations(table.names, 2))
    alpha, lack = _alpha(table, draws) if len(table.names) > 2 else (None, "")
    beside = {**columns, **({MAJORITY: table.majority} if len(columns) > 1 else {})} if table.has_run else {}
    return MetricAgreement(
        table.metric,
        tuple(_person(table, name) for name in table.names),
        sum(answer.is_disputed(table.metric) for answer in table.answers),
        sum(a.is_disputed(table.metric) and a.majority(table.metric) is None for a in table.answers),
        pairs,
        alpha,
        lack,
        tuple(_judge(table, name, labels, draws) for name, labels in beside.items()),
        _beside(table, list(columns.values()), draws) if table.has_run and len(columns) > 1 else None,
        is_weighted=table.has_run and len(set(table.weights.tolist())) > 1,
    )


def _person(table: _Table, name: str) -> tuple[str, int, int, int]:
    said = [one for a in table.answers for one in a.verdicts[table.metric] if one.labeller == name]
    labels = [one.label for one in said if one.label is not None]
    return name, len(labels), sum(labels), len(said) - len(labels)


# --- two ---


def _pair(table: _Table, first: str, a: Floats, second: str, b: Floats, draws: Ints) -> Pair:
    both = _both(a, b)
    count = int(both.sum())
    if count < LEAST_ITEMS:
        return Pair(first, second, count, lack=_too_few(count))
    alike = (a == b)[both].astype(float)
    share = rate_interval(Sample(tuple(alike), tuple(str(group) for group in table.groups[both])))
    kappa = _with_interval(lambda w: _kappa(_counts(a[both], b[both], w)), draws[:, both], table.units(both))
    if kappa is None and alike.all() and 0 < a[both].mean() < 1:
        kappa = _of_full_agreement(float(a[both].mean()), count)
    return Pair(first, second, count, share, kappa, "" if kappa else _ALWAYS_THE_SAME)


def _too_few(count: int) -> str:
    return f"{count_of(count, 'answer')} by both: at least {LEAST_ITEMS} are needed"


def _of_full_agreement(share: float, count: int) -> Interval:
    """Return kappa where all say the same: its lower end is that of the share of agreement."""
    by_chance = share**2 + (1 - share) ** 2
    return Interval(1.0, (wilson(1.0, count).low - by_chance) / (1 - by_chance), 1.0)


def _counts(a: Floats, b: Floats, weights: Floats) -> Floats:
    import numpy as np

    places = (2 * a + b).astype(int)
    table: Floats = np.bincount(places, weights=weights, minlength=4).astype(float).reshape(2, 2)
    return table


def _kappa(table: Floats) -> float:
    from statsmodels.stats.inter_rater import cohens_kappa

    whole = table.sum()
    if not whole or whole in (*table.sum(axis=0), *table.sum(axis=1)):
        return math.nan  # one of them always says the same
    return float(cohens_kappa(table, return_results=False))


def _with_interval(figure: Callable[[Any], float], draws: Ints, units: int) -> Interval | None:
    """Return a figure with its bootstrap interval; None where too many resamples have no such figure."""
    import numpy as np

    value = figure(np.ones(draws.shape[1], dtype=int))
    found = np.array([figure(row) for row in draws])
    defined = found[~np.isnan(found)]
    if math.isnan(value) or len(defined) < _LEAST_DEFINED * len(found) or np.ptp(defined) == 0:
        return None
    return expanded_interval(value, defined, units)


# --- all ---


def _alpha(table: _Table, draws: Ints) -> tuple[Interval | None, str]:
    """Return Krippendorff's alpha (2004), which bears answers that some did not judge."""
    import numpy as np

    counts = np.stack([(table.said == label).sum(axis=1) for label in (0, 1)], axis=1)
    several = counts.sum(axis=1) > 1
    if several.sum() < LEAST_ITEMS:
        few = count_of(int(several.sum()), "answer")
        return None, f"{few} by two people or more: at least {LEAST_ITEMS} are needed"
    found = _with_interval(
        lambda w: _alpha_of(np.repeat(counts[several], w, axis=0)), draws[:, several], table.units(several)
    )
    return found, "" if found else "no alpha, as nearly all say the same of nearly all"


def _alpha_of(counts: Ints) -> float:
    from krippendorff import alpha

    if not counts.any(axis=0).all():
        return math.nan  # all say the same
    return float(alpha(value_counts=counts, level_of_measurement="nominal"))


# --- the judge ---


def _judge(table: _Table, name: str, labels: Floats, draws: Ints) -> JudgeFigures:
    truth = table.truth(labels)
    pair = _pair(table, "judge", table.passes, name, truth, draws)
    both = _both(table.judge, truth)
    good = int(truth[both].sum())
    if both.sum() < LEAST_ITEMS:
        return JudgeFigures(name, pair, lack=pair.lack)
    if good in (0, both.sum()):
        return JudgeFigures(name, pair, lack=f"all {good or both.sum()} labels are alike: both are needed")
    whole = {"labels": truth[both].astype(int).tolist(), "clusters": table.groups[both].tolist()}
    weights = table.weights[both].tolist()
    return JudgeFigures(
        name,
        pair,
        accuracy(table.passes[both].tolist(), **whole, weights=weights).balanced_accuracy,
        accuracy(table.judge[both].tolist(), **whole, weights=weights).auroc,
    )


def _beside(table: _Table, people: Sequence[Floats], draws: Ints) -> Interval | None:
    """Return by how much the judge agrees more with people than people do, both as mean kappas of pairs."""
    import numpy as np

    labels = [table.truth(one) for one in people]
    of_people = _compared(combinations(labels, 2))
    of_judge = _compared((table.passes, one) for one in labels)
    if not of_people or not of_judge:
        return None

    def mean(pairs: Sequence[tuple[Floats, Floats, Any]], weights: Any) -> float:
        return fmean(_kappa(_counts(a, b, weights[both])) for a, b, both in pairs)

    def difference(weights: Any) -> float:
        return mean(of_judge, weights) - mean(of_people, weights)

    with np.errstate(invalid="ignore"):
        return _with_interval(difference, draws, table.units(slice(None)))


def _both(a: Floats, b: Floats) -> Any:
    import numpy as np

    return ~(np.isnan(a) | np.isnan(b))


def _compared(pairs: Iterable[tuple[Floats, Floats]]) -> list[tuple[Floats, Floats, Any]]:
    """Return what the two of each pair say where both say something, and where that is; of enough answers."""
    found = ((a[both], b[both], both) for a, b in pairs for both in [_both(a, b)])
    return [one for one in found if len(one[0]) >= LEAST_ITEMS]
