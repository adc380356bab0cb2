"""What retrieval comes to: the figures of each pipeline after each of its stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from rag_evals.evals.reports.comparison_text import by_pipeline
from rag_evals.evals.retrieval.metric_names import is_of_characters, parse_metric
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.evals.retrieval.tau_table import TAUS, tau_table
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import RETRIEVAL, Score

# The name of the last stage, whose figures are the run's.
LAST = "result"
# Passages whose unjudged share is told, where no metric says how many count.
MOST_SHOWN = 10
# Passages that a curve of recall goes on to.
MOST_ON_CURVE = 20


@dataclass(frozen=True, slots=True)
class StageFigures:
    """The figures of a pipeline after one of its stages, over the questions of a run.

    Attributes:
        pipeline: Name of the pipeline.
        stage: Name of the stage; `LAST` for what was found in the end.
        count: Number of questions.
        means: Mean of each metric over the questions that have a value; None where none has.
    """

    pipeline: str
    stage: str
    count: int
    means: Mapping[str, float | None]


def retrieval_metrics_of(run: Run) -> tuple[str, ...]:
    """Return the metrics of retrieval that a run has scores of, in the order in which they were asked for."""
    found = {score.metric for evaluation in run.retrievals for score in evaluation.scores}
    return (*(name for name in run.header.retrieval_metrics if name in found),) or tuple(sorted(found))


def stage_figures(run: Run) -> list[StageFigures]:
    """Return the figures after each stage that the pipelines tell, the last one last.

    The share of passages that no judgement speaks of is among them: `retrieval.unjudged@k`, with the largest
    k of the metrics.
    """
    metrics = retrieval_metrics_of(run)
    unjudged = unjudged_metric(metrics)
    return [
        _figures(pipeline, stage, group, (*metrics, unjudged), run.header.tau)
        for pipeline, group in by_pipeline(run.retrievals).items()
        for stage in (*_stages(group), LAST)
    ]


def unjudged_metric(metrics: Iterable[str]) -> str:
    """Return the name of the unjudged share of as many passages as the metrics look at."""
    sizes = [k for name in metrics if (k := parse_metric(name).k)]
    return f"{RETRIEVAL}unjudged@{max(sizes, default=MOST_SHOWN)}"


def _stages(group: Sequence[Evaluation]) -> list[str]:
    """Return the stages before the last that the one behind them changed."""
    found = [
        {**evaluation.answer.stages, LAST: tuple(c.places[0] for c in evaluation.answer.contexts)}
        for evaluation in group
        if evaluation.answer
    ]
    names = [name for name in dict.fromkeys(name for stages in found for name in stages) if name != LAST]
    return [
        name
        for name, behind in pairwise((*names, LAST))
        if any(stages.get(name) != stages.get(behind) for stages in found)
    ]


def _figures(
    pipeline: str, stage: str, group: Sequence[Evaluation], metrics: Sequence[str], tau: float
) -> StageFigures:
    values: dict[str, list[float]] = {metric: [] for metric in metrics}
    for evaluation in group:
        for score in _scores(evaluation, stage, metrics, tau):
            if score.value is not None:
                values[score.metric].append(score.value)
    means = {metric: fmean(found) if found else None for metric, found in values.items()}
    return StageFigures(pipeline, stage, len({e.question.id for e in group}), means)


def _scores(evaluation: Evaluation, stage: str, metrics: Sequence[str], tau: float) -> list[Score]:
    """Return the scores after a stage: those of the run for the last one, of what failed zeros for each."""
    recorded = [score for score in evaluation.scores if score.metric in metrics]
    answer = evaluation.answer
    if answer is None:
        return recorded
    if stage != LAST:
        return list(
            retrieval_scores(evaluation.question, {stage: answer.stages.get(stage, ())}, metrics, tau)
        )
    unscored = [metric for metric in metrics if metric not in {score.metric for score in recorded}]
    return [*recorded, *retrieval_scores(evaluation.question, {LAST: answer.contexts}, unscored, tau)]


def recall_curves(run: Run) -> dict[str, list[float | None]]:
    """Return by pipeline the mean recall among the first 1, 2, 3, ... passages, `MOST_ON_CURVE` at most."""
    curves = {}
    for pipeline, group in by_pipeline(run.retrievals).items():
        longest = max((len(e.answer.contexts) for e in group if e.answer), default=0)
        names = [f"{RETRIEVAL}recall@{k}" for k in range(1, min(longest, MOST_ON_CURVE) + 1)]
        means = _figures(pipeline, LAST, group, names, run.header.tau).means
        curves[pipeline] = [means[name] for name in names]
    return curves


def document_rows(run: Run) -> list[tuple[str, ...]]:
    """Return the cells of the table of documents, header first; nothing where all sources are in one.

    A question is of the document of its first source.
    """
    metrics = retrieval_metrics_of(run)
    groups: dict[tuple[str, str], list[Evaluation]] = {}
    for evaluation in run.retrievals:
        document = evaluation.question.sources[0].document if evaluation.question.sources else ""
        groups.setdefault((document, evaluation.pipeline), []).append(evaluation)
    if len({document for document, _ in groups}) < 2:
        return []
    header = ("document", "retrieval", "questions", *(name.removeprefix(RETRIEVAL) for name in metrics))
    rows = [
        (document, *_row(_figures(pipeline, LAST, group, metrics, run.header.tau), metrics))
        for (document, pipeline), group in sorted(groups.items())
    ]
    return [header, *((document, pipeline, *cells) for document, pipeline, _, *cells in rows)]


def tau_rows(run: Run) -> list[tuple[str, ...]]:
    """Return the cells of the table of how figures move with tau, header first: a column for each tau."""
    # Figures of characters do not depend on it.
    metrics = [name for name in retrieval_metrics_of(run) if not is_of_characters(parse_metric(name))]
    rows = []
    for pipeline, group in by_pipeline(run.retrievals).items():
        found = [(e.question, e.answer.contexts if e.answer else ()) for e in group]
        table = tau_table(found, metrics)
        for number, metric in enumerate(metrics):
            means = [row.means[number] for row in table]
            cells = ("-" if mean is None else f"{mean:.2f}" for mean in means)
            rows.append((pipeline, metric.removeprefix(RETRIEVAL), *cells))
    return [("by tau", "metric", *(f"{tau:g}" for tau in TAUS)), *rows] if rows else []


def retrieval_rows(run: Run) -> list[tuple[str, ...]]:
    """Return the cells of the table, header first: a row for each pipeline and stage."""
    figures = stage_figures(run)
    if not figures:
        return []
    metrics = tuple(figures[0].means)
    header = ("retrieval", "stage", "questions", *(name.removeprefix(RETRIEVAL) for name in metrics))
    return [header, *(_row(one, metrics) for one in figures)]


def _row(figures: StageFigures, metrics: Sequence[str]) -> tuple[str, ...]:
    means = (figures.means[metric] for metric in metrics)
    cells = ("-" if mean is None else f"{mean:.2f}" for mean in means)
    return (figures.pipeline, figures.stage, f"{figures.count:,}", *cells)
