"""The HTML report: one file that loads nothing, can be read with scripts off, and treats all text as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import fmean
from types import MappingProxyType
from typing import Any

from rag_evals.evals.answers.log_summary import told_of
from rag_evals.evals.gate.comparison.baseline_gate import metrics_of, score_getter
from rag_evals.evals.gate.comparison.comparability import corpora_of
from rag_evals.evals.gate.comparison.compare import Comparison, compare
from rag_evals.evals.reports.comparison_text import (
    COSTS,
    HEADER,
    by_pipeline,
    cost_cells,
    detectable_text,
    row_cells,
    summaries_of,
    verdict_text,
)
from rag_evals.evals.reports.conversation_table import conversation_rows, each_conversation
from rag_evals.evals.reports.html.frame import asset, policy, template
from rag_evals.evals.reports.html.passages import Passages, TemplateData
from rag_evals.evals.reports.html.plots import bin_counts, curve, histogram, scatter
from rag_evals.evals.reports.html.questions import OtherRun, question_views
from rag_evals.evals.reports.html.waterfall import Waterfalls, bar_rules
from rag_evals.evals.reports.retrieval_table import document_rows, recall_curves, retrieval_rows, tau_rows
from rag_evals.evals.reports.terminal.comparison import note_lines
from rag_evals.evals.reports.terminal.judge import judge_lines
from rag_evals.evals.reports.text import Line, visible_text
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# Conversations that have a row of their own; those that did not pass come first.
MOST_CONVERSATIONS = 200


def run_html(
    run: Run,
    *,
    gate: Sequence[Line] = (),
    base: Run | None = None,
    traces: Waterfalls = MappingProxyType({}),
) -> str:
    """Return the report of a run; the same run gives the same text.

    Args:
        run: The run.
        gate: What the run was held to and what came of it, line by line.
        base: A run to put beside it; None without.
        traces: Its waterfalls, where it has some.
    """
    if base is None:
        return _page(run, OtherRun(traces=traces), {**_NOTHING_BESIDE, "notes": run.notes}, gate)

    comparison = compare(run, base)
    if not gate:
        return comparison_html(comparison, run, base, traces=traces)
    # The lines of the gate have the differences, held to the margin of the run, and most notes.
    said = {line.text for line in gate}
    notes = [note for note in comparison.notes if not said.issuperset(note_lines([note]))]
    beside = _beside(comparison, traces)
    return _page(run, beside, {**_compared(comparison), "notes": notes, "differences": []}, gate)


def comparison_html(
    comparison: Comparison, run: Run, base: Run, *, traces: Waterfalls = MappingProxyType({})
) -> str:
    """Return the report of a run beside another: verdict, what changed, and each question in both."""
    verdict = verdict_text(comparison.gate, run.name, base.name)
    return _page(
        run, _beside(comparison, traces), _compared(comparison), [Line(verdict, comparison.gate.verdict)]
    )


def _page(run: Run, beside: OtherRun, compared: TemplateData, gate: Sequence[Line]) -> str:
    early, css, js = asset("early.js"), _style(has_bars=bool(beside.traces)), asset("report.js")
    name = visible_text(run.name)
    page: str = template("report.html.j2").render(
        **_parts(run, beside),
        **{**compared, "notes": list(map(visible_text, (*told_of(run.header.line), *compared["notes"])))},
        policy=policy([css], [early, js]),
        early=early,
        css=css,
        js=js,
        title=f"rag-evals: {name}",
        heading=f"Run {name}" + (f", compared with {beside.name}" if beside.name else ""),
        subheading=_subheading(run),
        gate=[{"text": visible_text(line.text), "kind": line.verdict or ""} for line in gate],
        judges=list(map(visible_text, _about_judges(run))),
        remarks=[visible_text(line) for line in dict.fromkeys(r for p in run.pipelines for r in p.remarks)],
        before_name=beside.name,
        after_name=name,
    )
    return page


def _about_judges(run: Run) -> list[str]:
    return judge_lines(run.judges, run.answers, floor=run.header.judge_floor, corrects=False)


def _parts(run: Run, beside: OtherRun) -> TemplateData:
    """Return everything that is made of the evaluations."""
    evaluations, passages = run.evaluations, Passages()
    metrics = metrics_of(evaluations)
    questions = question_views(evaluations, metrics, passages, beside, corpora_of(run.pipelines))
    flips = {question["flip"] for question in questions if question["flip"]}
    return {
        "summary": _summary(run),
        "plots": [*_curves(run), *_plots(evaluations, metrics)],
        "outcomes": list(dict.fromkeys(question["outcome"] for question in questions)),
        "pipelines": sorted({question["pipeline"] for question in questions}),
        "tags": sorted({visible_text(tag) for e in evaluations for tag in e.question.tags}),
        "flips": sorted(flips),
        "metrics": list(map(visible_text, metrics)),
        "columns": _columns(metrics),
        "questions": questions,
        "all_passages": passages.views,
    }


# --- the frame ---


@cache
def _style(*, has_bars: bool) -> Any:
    from markupsafe import Markup

    return asset("palette.css") + asset("report.css") + Markup(bar_rules() if has_bars else "")


def _subheading(run: Run) -> str:
    line = run.header.line
    versions = line.get("versions") or {}
    parts = [
        f"evaluations: {len(run.evaluations):,}",
        f"questions: {len({e.question.id for e in run.evaluations}):,}",
        f"mode {line['mode']}" if "mode" in line else "",
        f"rag-evals {versions['rag-evals']}" if "rag-evals" in versions else "",
    ]
    return visible_text(", ".join(filter(None, parts)))


def _columns(metrics: Sequence[str]) -> list[TemplateData]:
    texts = [{"name": name, "kind": "text"} for name in ("outcome", "id", "question", "pipeline")]
    numbers = (*map(visible_text, metrics), "seconds", "tokens")
    return texts + [{"name": name, "kind": "number"} for name in numbers]


# --- beside another run ---

_NOTHING_BESIDE: Mapping[str, Any] = {
    "notes": (),
    "differences": (),
    "difference_header": HEADER,
    "power": "",
    "changes": (),
    "costs": (),
    "cost_header": COSTS,
    "removed": (),
}


def _beside(comparison: Comparison, traces: Waterfalls) -> OtherRun:
    flips = {
        (flip.pipeline, flip.question.id, flip.after.is_retrieval): "fixed"
        if flip.is_fixed
        else "newly failing"
        for flip in comparison.flips
    }
    added = {(e.pipeline, e.question.id, e.is_retrieval): "only in this run" for e in comparison.added}
    return OtherRun(
        name=visible_text(comparison.base),
        evaluations={(a.pipeline, a.question.id, a.is_retrieval, a.repeat): b for b, a in comparison.pairs},
        flips={**added, **flips},
        traces=traces,
    )


def _compared(comparison: Comparison) -> TemplateData:
    gate = comparison.gate
    return {
        **_NOTHING_BESIDE,
        "notes": comparison.notes,
        "differences": [
            {"kind": str(row.verdict), "cells": list(map(visible_text, row_cells(row)))} for row in gate.rows
        ],
        "power": detectable_text(gate) or "",
        "changes": [
            {name: visible_text(getattr(change, name)) for name in ("what", "path", "before", "after")}
            for change in comparison.changes
        ],
        "costs": [tuple(map(visible_text, cost_cells(cost))) for cost in comparison.costs],
        "removed": list(
            dict.fromkeys(
                (visible_text(e.pipeline), visible_text(e.question.id), visible_text(e.question.question))
                for e in comparison.removed
            )
        ),
    }


# --- pipelines side by side ---


def _summary(run: Run) -> list[TemplateData]:
    """Return the tables of the pipelines: what retrieval comes to after each stage, and answers."""
    header, *rows = retrieval_rows(run) or [()]
    answers = run.answers
    metrics = metrics_of(answers)
    counts = ("pipeline", "evaluations", "passed", "failed", "unscored", "pass rate")
    of_answers = [
        (*one.counts, one.pass_rate, *one.means, *one.took) for one in summaries_of(answers, metrics)
    ]
    documents, *by_document = document_rows(run) or [()]
    taus, *by_tau = tau_rows(run) or [()]
    talks, *by_pipeline_talks = conversation_rows(answers) or [()]
    turns, *by_talk = each_conversation(answers, metrics) or [()]
    tables = (
        (header, rows),
        (documents, by_document),
        (taus, by_tau),
        ((*counts, *metrics, "s/question", "tokens/question"), of_answers),
        (talks, by_pipeline_talks),
        (turns, by_talk[:MOST_CONVERSATIONS]),
    )
    return [
        {"header": tuple(map(visible_text, header)), "rows": [tuple(map(visible_text, row)) for row in rows]}
        for header, rows in tables
        if rows
    ]


def _plots(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> list[TemplateData]:
    """Return the figures of each metric; those of all pipelines have the same scales."""
    groups = by_pipeline(evaluations)
    longest = max((sum(e.seconds.values()) for e in evaluations), default=0.0)
    plots = []
    for metric in metrics:
        value = score_getter(metric)
        scored = {
            pipeline: [(e, found) for e in group if (found := value(e)) is not None]
            for pipeline, group in groups.items()
        }
        figures = _figures({name: found for name, found in scored.items() if found}, metric, longest)
        plots.append({"metric": visible_text(metric), "figures": figures})
    return plots


def _curves(run: Run) -> list[TemplateData]:
    """Return the recall of each pipeline over the number of passages."""
    figures = []
    for pipeline, means in recall_curves(run).items():
        name = visible_text(pipeline)
        figures.append(_figure(curve(means, label=f"recall of {name} over the number of passages"), name))
    return [{"metric": "recall over passages", "figures": figures}] if figures else []


def _figures(
    scored: Mapping[str, Sequence[tuple[Evaluation, float]]], metric: str, longest: float
) -> list[TemplateData]:
    spreads = {pipeline: bin_counts([value for _, value in found]) for pipeline, found in scored.items()}
    most = max((count for counts in spreads.values() for count in counts), default=0)
    bars, dots = [], []
    for pipeline, found in scored.items():
        name = f"{visible_text(pipeline)}: mean {fmean(value for _, value in found):.2f} of {len(found):,}"
        threshold = next((e.thresholds[metric] for e, _ in found if metric in e.thresholds), None)
        label = f"{visible_text(metric)}, {name}"
        bars.append(_figure(histogram(spreads[pipeline], most, threshold, label=label), name))
        timed = [(sum(e.seconds.values()), value) for e, value in found if e.seconds and not e.is_retrieval]
        if timed:
            label = f"{visible_text(metric)} of {visible_text(pipeline)} against seconds"
            dots.append(
                _figure(scatter(timed, longest, label=label), f"{visible_text(pipeline)}: against seconds")
            )
    return [*bars, *dots]


def _figure(svg: str, caption: str) -> TemplateData:
    from markupsafe import Markup

    return {"svg": Markup(svg), "caption": caption}
