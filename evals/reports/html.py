"""The HTML report: one file that loads nothing, can be read with scripts off, and treats all text as text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import TYPE_CHECKING, Any

from evals.attribution import Stage, stage_of
from evals.differences import corpora_of
from evals.metrics import METRICS
from evals.records import ClaimScore, Evaluation, Score
from evals.reports.plots import histogram, scatter
from evals.reports.terminal import table_of
from evals.verdicts import Verdict
from rag.answer import Context

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.runs import RunData

# What would hide or turn around the text beside it: control characters, but for line ends and tabs, and
# embeddings, overrides and isolates of direction.
_TRICKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

View = dict[str, Any]


def run_html(run: RunData, *, gate: Sequence[str] = (), base: RunData | None = None) -> str:
    """Give the report of a run; the same run gives the same text.

    Args:
        run: The run.
        gate: What the run was held to and what came of it, line by line.
        base: A run to put beside it; None without.
    """
    if base is not None:
        from evals.compare import compare

        return _compared(compare(run, base), run, base, gate)
    return _page(run, gate=gate, notes=run.notes, beside=_Beside())


def comparison_html(comparison: Comparison, run: RunData, base: RunData) -> str:
    """Give the report of a run beside another: verdict, what changed, and each question in both."""
    from evals.reports.comparison import baseline_lines

    gate = [*baseline_lines(comparison.gate), f"gate: {comparison.gate.verdict}"]
    return _compared(comparison, run, base, gate)


def _compared(comparison: Comparison, run: RunData, base: RunData, gate: Sequence[str]) -> str:
    beside = _Beside(
        name=shown(base.name),
        evaluations={(e.pipeline, e.question.id, e.repeat): e for e in base.evaluations},
        flips={
            (flip.pipeline, flip.question.id): "fixed" if flip.is_fixed else "newly failing"
            for flip in comparison.flips
        },
        changes=tuple(_change(change) for change in comparison.changes),
    )
    return _page(run, gate=gate, notes=(), beside=beside)


@dataclass(frozen=True, slots=True)
class _Beside:
    """The run that stands beside the one that is reported.

    Attributes:
        name: Its name.
        evaluations: Its evaluations by pipeline, question id and repeat.
        flips: Which way a question went, by pipeline and question id.
        changes: What is different besides answers and scores.
    """

    name: str = ""
    evaluations: Mapping[tuple[str, str, int], Evaluation] = field(default_factory=dict)
    flips: Mapping[tuple[str, str], str] = field(default_factory=dict)
    changes: tuple[View, ...] = ()


def _page(run: RunData, *, gate: Sequence[str], notes: Sequence[str], beside: _Beside) -> str:
    css, js = _asset("report.css"), _asset("report.js")
    name = shown(run.name)
    page: str = _template().render(
        **_questions(run, beside),
        policy=_policy(css, js),
        css=css,
        js=js,
        title=f"rag-evals: {name}",
        heading=f"Run {name}" + (f", compared with {beside.name}" if beside.name else ""),
        subheading=_subheading(run),
        gate=[{"text": shown(line), "kind": _kind(line)} for line in gate],
        notes=[shown(note) for note in notes],
        judges="; ".join(_judge(about) for about in run.abouts if about.get("type") == "judge"),
        changes=beside.changes,
        flips=bool(beside.flips),
        before_name=beside.name,
        after_name=name,
    )
    return page


def _questions(run: RunData, beside: _Beside) -> View:
    """Give everything that is made of the evaluations."""
    evaluations, passages, corpora = run.evaluations, _Passages(), corpora_of(run)
    metrics = [m for m in METRICS if any(s.metric == m for e in evaluations for s in e.scores)]
    metrics += sorted({s.metric for e in evaluations for s in e.scores} - set(METRICS))
    questions = []
    for number, evaluation in enumerate(_worst_first(evaluations), 1):
        stage = stage_of(evaluation, corpora.get(evaluation.pipeline))
        questions.append(_question(number, evaluation, metrics, passages, beside, stage))
    header, *rows = table_of(evaluations) if evaluations else [[]]
    return {
        "summary": {"header": list(map(shown, header)), "rows": [list(map(shown, row)) for row in rows]},
        "plots": _plots(evaluations, metrics),
        "outcomes": list(dict.fromkeys(question["outcome"] for question in questions)),
        "pipelines": sorted({question["pipeline"] for question in questions}),
        "tags": sorted({shown(tag) for e in evaluations for tag in e.question.tags}),
        "metrics": list(map(shown, metrics)),
        "columns": _columns(metrics),
        "questions": questions,
        "all_passages": passages.views,
    }


def shown(text: object) -> str:
    """Give text without characters that hide what stands beside them or turn it around."""
    return _TRICKS.sub(_REPLACEMENT, str(text))


# --- the frame ---


@cache
def _asset(name: str) -> Any:
    from markupsafe import Markup

    # Ours, and without a closing tag in it: the only texts here that are not escaped.
    return Markup((files("evals.reports") / "templates" / name).read_text("utf-8"))


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evals.reports"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.j2")


def _policy(css: str, js: str) -> str:
    """Give the policy: nothing is loaded, and only this very style and script are heeded."""
    style, script = (base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (css, js))
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _subheading(run: RunData) -> str:
    head = run.head
    versions = head.get("versions") or {}
    parts = [
        f"{len(run.evaluations):,} evaluations",
        f"mode {head['mode']}" if "mode" in head else "",
        f"rag-evals {versions['rag-evals']}" if "rag-evals" in versions else "",
    ]
    return shown(", ".join(filter(None, parts)))


def _kind(line: str) -> str:
    words = line.removeprefix("gate: ").replace(":", " ").split()
    return next((verdict.value for verdict in Verdict if words[:1] == [verdict.value]), "")


def _judge(about: Mapping[str, Any]) -> str:
    settings = about.get("settings") or {}
    card = settings.get("card") if isinstance(settings, dict) else None
    known = f", card of {card['labels']['name']}" if card else ", uncalibrated"
    return shown(f"judge {about['name']}{known}")


def _change(change: Any) -> View:
    return {name: shown(getattr(change, name)) for name in ("what", "path", "before", "after")}


def _columns(metrics: Sequence[str]) -> list[View]:
    texts = [{"name": name, "kind": "text"} for name in ("outcome", "question", "pipeline")]
    numbers = (*map(shown, metrics), "seconds", "tokens")
    return texts + [{"name": name, "kind": "number"} for name in numbers]


# --- plots ---


def _plots(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> list[View]:
    from markupsafe import Markup

    plots = []
    for pipeline in dict.fromkeys(evaluation.pipeline for evaluation in evaluations):
        group = [evaluation for evaluation in evaluations if evaluation.pipeline == pipeline]
        for metric in metrics:
            found = [
                (e, s.value) for e in group for s in e.scores if s.metric == metric and s.value is not None
            ]
            if not found:
                continue
            name = f"{shown(pipeline)}: {shown(metric)}"
            mean = f"mean {fmean(value for _, value in found):.2f} of {len(found):,}"
            bars = histogram(
                [v for _, v in found], found[0][0].thresholds.get(metric), label=f"{name}, {mean}"
            )
            plots.append({"svg": Markup(bars), "caption": f"{name}, {mean}"})
            timed = [(sum(e.seconds.values()), value) for e, value in found if e.seconds]
            if timed:
                dots = scatter(timed, label=f"{name} against seconds")
                plots.append({"svg": Markup(dots), "caption": f"{name} against seconds"})
    return plots


# --- questions ---


class _Passages:
    """The passages of all answers, each once: many questions are answered from the same ones."""

    def __init__(self) -> None:
        self.views: list[View] = []
        self._ids: dict[tuple[str, str], str] = {}

    def add(self, context: Context) -> str:
        """Give the id under which the passage stands at the end of the page."""
        key = (context.document, context.text)
        if key not in self._ids:
            self._ids[key] = f"p{len(self._ids) + 1}"
            view = {"id": self._ids[key], "place": _place(context), "text": shown(context.text)}
            self.views.append(view)
        return self._ids[key]


def _worst_first(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    order = {"error": 0, "failed": 0, "unscored": 1, "passed": 2}
    return sorted(evaluations, key=lambda e: (order[e.outcome], e.pipeline, e.question.id, e.repeat))


def _question(
    number: int,
    evaluation: Evaluation,
    metrics: Sequence[str],
    passages: _Passages,
    beside: _Beside,
    stage: Stage | None,
) -> View:
    question = evaluation.question
    old = beside.evaluations.get((evaluation.pipeline, question.id, evaluation.repeat))
    values = {score.metric: score.value for score in evaluation.scores}
    return {
        "n": number,
        "id": shown(question.id) + (f" ({evaluation.repeat + 1})" if evaluation.repeat else ""),
        "question": shown(question.question),
        "reference": shown(question.reference or ""),
        "pipeline": shown(evaluation.pipeline),
        "outcome": evaluation.outcome,
        "tags": "\n".join(shown(tag) for tag in question.tags),
        "cells": [
            *(_number(values.get(metric)) for metric in metrics),
            f"{sum(evaluation.seconds.values()):.1f}",
            f"{evaluation.total.evaluated + evaluation.total.generated:,}",
        ],
        "flip": beside.flips.get((evaluation.pipeline, question.id), ""),
        "stage": stage,
        "after": _side(evaluation, old, passages, "gained"),
        "before": _side(old, evaluation, passages, "lost") if old else None,
    }


def _side(evaluation: Evaluation, other: Evaluation | None, passages: _Passages, change: str) -> View:
    answer = evaluation.answer
    beside = other.answer if other else None
    theirs = {(c.document, c.text) for c in beside.contexts} if beside else None
    claims = _failing_claims(evaluation)
    return {
        "error": shown(evaluation.error) if evaluation.error else "",
        "parts": _parts(answer.text, claims) if answer else [],
        "scores": [_score(score, evaluation) for score in evaluation.scores],
        "claims": [_claim(claim) for claim in claims],
        "contexts": [
            _context(context, passages, change, theirs) for context in (answer.contexts if answer else ())
        ],
        "spent": _spent(evaluation),
    }


def _context(context: Context, passages: _Passages, change: str, theirs: set[tuple[str, str]] | None) -> View:
    is_only_here = theirs is not None and (context.document, context.text) not in theirs
    return {
        "id": passages.add(context),
        "place": _place(context),
        "score": "" if context.score is None else f"{context.score:.3f}",
        "change": change if is_only_here else "",
    }


def _place(context: Context) -> str:
    page = f" p.{context.page}" if context.page is not None else ""
    chars = (
        f", characters {context.start:,} to {context.end:,}"
        if context.start is not None and context.end
        else ""
    )
    return shown((context.document or "passage") + page + chars)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _score(score: Score, evaluation: Evaluation) -> View:
    threshold = evaluation.thresholds.get(score.metric)
    is_low = score.value is not None and threshold is not None and score.value < threshold
    against = "" if threshold is None else f"{'below' if is_low else 'threshold'} {threshold:.2f}"
    said = score.reason if score.value is None else score.evidence if is_low else ""
    value = "unscored" if score.value is None else f"{score.value:.3f}"
    return {"metric": shown(score.metric), "value": value, "against": against, "said": shown(said or "")}


def _failing_claims(evaluation: Evaluation) -> list[ClaimScore]:
    """Give the claims of the answer that have no support, or no verdict, in the order of the text."""
    score = next((s for s in evaluation.scores if s.metric == "faithfulness"), None)
    if score is None:
        return []
    threshold = evaluation.thresholds.get(score.metric, 0.5)
    return [c for c in score.claims if c.value is None or c.value < threshold]


def _claim(claim: ClaimScore) -> View:
    closest = claim.closest
    return {
        "text": shown(claim.text),
        "value": "no verdict" if claim.value is None else f"{claim.value:.2f}",
        "closest": shown(closest.text) if closest else "",
        "place": _place(closest) if closest else "",
    }


def _parts(text: str, claims: Iterable[ClaimScore]) -> list[View]:
    """Cut an answer where its failing claims begin and end."""
    parts: list[View] = []
    done = 0
    for claim in sorted(claims, key=lambda claim: (claim.start, claim.end)):
        start, end = max(done, claim.start), min(len(text), claim.end)
        if start >= end:
            continue
        parts.append({"text": shown(text[done:start]), "kind": "", "title": ""})
        said = "no verdict" if claim.value is None else f"not supported: {claim.value:.2f}"
        kind = "unknown" if claim.value is None else "low"
        parts.append({"text": shown(text[start:end]), "kind": kind, "title": said})
        done = end
    return [*parts, {"text": shown(text[done:]), "kind": "", "title": ""}]


def _spent(evaluation: Evaluation) -> str:
    seconds = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in evaluation.seconds.items())
    tokens = ", ".join(
        f"{stage} {used.evaluated:,} / {used.reused:,} / {used.generated:,}"
        for stage, used in evaluation.tokens.items()
    )
    cached = f"; from the cache: {', '.join(evaluation.cached)}" if evaluation.cached else ""
    told = [seconds, f"tokens read / reused / written: {tokens}" if tokens else ""]
    return shown("; ".join(filter(None, told)) + cached)
