"""How figures move with tau, the share of a source that has to be covered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.retrieval.coverage import Passage
from rag_evals.evals.retrieval.judged_retrieval import JudgedRetrieval, check_tau
from rag_evals.evals.retrieval.metric_names import parse_metric

TAUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class TauRow:
    """The means of metrics at one tau.

    Attributes:
        tau: The share of a source that has to be covered.
        means: A mean a metric, in the order in which they were asked for; None where no question has one.
        counts: Of how many questions each mean is.
    """

    tau: float
    means: tuple[float | None, ...]
    counts: tuple[int, ...]


def tau_table(
    found: Iterable[tuple[Question, Sequence[Passage]]],
    metrics: Sequence[str],
    taus: Sequence[float] = TAUS,
) -> tuple[TauRow, ...]:
    """Return the means of `metrics` over questions, for each of `taus`.

    Questions that the documents do not answer are passed over; those that found nothing count as 0.

    Raises:
        UsageError: There is no such metric, or a tau is not a share.
    """
    parsed = [parse_metric(name) for name in metrics]
    for tau in taus:
        check_tau(tau)
    values: list[list[list[float]]] = [[[] for _ in parsed] for _ in taus]
    for question, passages in found:
        if not question.answerable:
            continue
        judged = JudgedRetrieval(question, {"passages": passages})
        for row, tau in zip(values, taus, strict=True):
            judged = judged.at(tau)
            for column, metric in zip(row, parsed, strict=True):
                try:
                    column.append(judged.value(metric))
                except NoVerdict:
                    continue
    return tuple(
        TauRow(tau, tuple(fmean(column) if column else None for column in row), tuple(map(len, row)))
        for tau, row in zip(taus, values, strict=True)
    )
