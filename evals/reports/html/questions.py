"""What the HTML report shows of each question: answers cut and marked, scores, passages; both runs of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_evals.evals.gate.comparison.attribution import Stage, stage_of
from rag_evals.evals.gate.comparison.comparability import Corpora
from rag_evals.evals.questions.conversation import unit_of
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.reports.html.citations import citation_views
from rag_evals.evals.reports.html.passages import Passages, TemplateData, holds, place_of, spot, support_text
from rag_evals.evals.reports.html.waterfall import Waterfall, Waterfalls, rows_html
from rag_evals.evals.reports.text import visible_text
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Context

# Of a question in the table, where it has one line; whole it stands with its answer.
_LONGEST = 140


@dataclass(frozen=True, slots=True)
class OtherRun:
    """The run that stands beside the one that is reported.

    Attributes:
        name: Its name.
        evaluations: Its evaluations of the same question, by pipeline, question id, whether they are of
            retrieval alone, and repeat.
        flips: Which way a question went, by pipeline, question id, and whether it is about retrieval alone.
        traces: Waterfalls of the run that is reported.
    """

    name: str = ""
    evaluations: Mapping[tuple[str, str, bool, int], Evaluation] = field(default_factory=dict)
    flips: Mapping[tuple[str, str, bool], str] = field(default_factory=dict)
    traces: Waterfalls = field(default_factory=dict)


def number_text(value: float | None, threshold: float | None = None, digits: int = 2) -> str:
    """Return a score; with all its digits where rounding would lift it to its threshold."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    is_lifted = threshold is not None and value < threshold <= float(text)
    return repr(value) if is_lifted else text


def question_views(
    evaluations: Iterable[Evaluation],
    metrics: Sequence[str],
    passages: Passages,
    beside: OtherRun,
    corpora: Corpora,
) -> list[TemplateData]:
    """Return what is shown of each evaluation, what failed first; turns of a conversation stand together.

    Args:
        evaluations: Those of the run.
        metrics: Names of the columns.
        passages: Where the passages of the answers are put.
        beside: The run beside it.
        corpora: Names of the documents that each pipeline had, where it tells them.
    """
    worst_first = _worst_first(tuple(evaluations))
    return [
        _question(number, e, metrics, passages, beside, stage_of(e, corpora.get(e.pipeline)))
        for number, e in enumerate(worst_first, 1)
    ]


def _worst_first(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Put what failed first; a conversation stands where the worst of its turns would."""
    order = {"error": 0, "failed": 0, "unscored": 1, "passed": 2}
    worst: dict[tuple[object, ...], int] = {}
    for one in evaluations:
        worst[_unit(one)] = min(order[one.outcome], worst.get(_unit(one), 2))
    return sorted(evaluations, key=lambda e: (worst[_unit(e)], *_unit(e), e.question.turn or 0))


def _unit(evaluation: Evaluation) -> tuple[Any, ...]:
    """Return what stands together: the turns of one repeat of a conversation, or a question by itself."""
    question = evaluation.question
    test = evaluation.test if question.conversation is None else ""
    return (evaluation.pipeline, unit_of(question), evaluation.repeat, evaluation.is_retrieval, test)


def _question(
    number: int,
    evaluation: Evaluation,
    metrics: Sequence[str],
    passages: Passages,
    beside: OtherRun,
    stage: Stage | None,
) -> TemplateData:
    question = evaluation.question
    key = (evaluation.pipeline, question.id, evaluation.is_retrieval)
    old = beside.evaluations.get((*key, evaluation.repeat))
    asked = visible_text(question.question)
    scores = {score.metric: score for score in evaluation.scores}
    return {
        "n": number,
        "id": visible_text(question.id) + (f" ({evaluation.repeat + 1})" if evaluation.repeat else ""),
        "question": asked,
        "short": asked if len(asked) <= _LONGEST else f"{asked[:_LONGEST]}…",
        "facts": _facts(question, evaluation.test, stage),
        "pipeline": visible_text(evaluation.pipeline),
        "outcome": evaluation.outcome,
        "tags": "\n".join(visible_text(tag) for tag in question.tags),
        "cells": [_cell(scores.get(metric), evaluation) for metric in metrics],
        "seconds": f"{sum(evaluation.seconds.values()):.1f}",
        "tokens": f"{evaluation.total.evaluated + evaluation.total.generated:,}",
        "flip": beside.flips.get(key, ""),
        "after": _side(evaluation, old, passages, "gained"),
        "before": _side(old, evaluation, passages, "lost") if old else None,
        "trace": _trace(
            beside.traces.get((evaluation.pipeline, question.id, evaluation.repeat, evaluation.is_retrieval))
        ),
    }


def _trace(waterfall: Waterfall | None) -> TemplateData | None:
    from markupsafe import Markup

    return {"more": waterfall.more, "rows": Markup(rows_html(waterfall))} if waterfall else None


def _facts(question: Question, test: str, stage: Stage | None) -> list[tuple[str, str]]:
    """Return what is known of a question besides its words: name and text."""
    facts = [
        ("Conversation", "" if question.conversation is None else _turn(question)),
        ("Before it", "\n".join(f"{m.role}: {m.content}" for m in question.history)),
        ("Reference", question.reference or ""),
        ("To be answered", "" if question.answerable else "no: the documents do not say it"),
        ("Source", "; ".join(" or ".join(map(_source, group)) for group in question.wanted)),
        ("Stage", stage or ""),
        ("Tags", ", ".join(question.tags)),
        ("Test", test),
    ]
    return [(name, visible_text(text)) for name, text in facts if text]


def _turn(question: Question) -> str:
    return f"{question.conversation}, turn {question.turn}"


def _source(source: Source) -> str:
    quote = f': "{source.quote}"' if source.quote else ""
    return spot(source.document, source.page, source.start, source.end) + quote


# --- one side ---


def _side(evaluation: Evaluation, other: Evaluation | None, passages: Passages, change: str) -> TemplateData:
    answer = evaluation.answer
    contexts = answer.contexts if answer else ()
    ids = [passages.add(context) for context in contexts]
    theirs = set(map(_key, other.answer.contexts)) if other and other.answer else None
    claims = _failing_claims(evaluation)
    return {
        "outcome": evaluation.outcome,
        "error": visible_text(evaluation.error) if evaluation.error else "",
        "parts": _answer_parts(answer.text, claims) if answer else [],
        "scores": [_score(score, evaluation) for score in evaluation.scores],
        "claims": [_claim(claim, contexts, ids) for claim in claims],
        "citations": citation_views(evaluation, ids),
        "contexts": [
            _context(c, where, change if theirs is not None and _key(c) not in theirs else "")
            for c, where in zip(contexts, ids, strict=True)
        ],
        "spent": _spent(evaluation),
    }


def _key(context: Context) -> tuple[str, str]:
    return context.document, context.text


def _context(context: Context, where: str, change: str) -> TemplateData:
    score = "" if context.score is None else f"{context.score:.3f}"
    return {"id": where, "place": place_of(context), "score": score, "change": change}


def _spent(evaluation: Evaluation) -> str:
    answer = evaluation.answer
    seconds = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in evaluation.seconds.items())
    tokens = ", ".join(
        f"{stage} {used.evaluated:,} / {used.reused:,} / {used.generated:,}"
        for stage, used in evaluation.tokens.items()
    )
    told = [
        seconds,
        f"tokens read / reused / written: {tokens}" if tokens else "",
        f"from the cache: {', '.join(evaluation.cached)}" if evaluation.cached else "",
        f"passages left out for the token budget: {answer.omitted:,}" if answer and answer.omitted else "",
        "the answer was cut at its length bound" if answer and not answer.finished else "",
    ]
    return visible_text("; ".join(filter(None, told)))


# --- scores ---


def _cell(score: Score | None, evaluation: Evaluation) -> TemplateData:
    """Return a cell of the table; `exact` sorts and filters where two digits do not tell it."""
    if score is None or score.value is None:
        return {"text": "-", "is_low": False, "exact": ""}
    text = number_text(score.value, evaluation.thresholds.get(score.metric))
    exact = f"{score.value:.5g}"
    return {
        "text": text,
        "is_low": evaluation.is_breach(score),
        "exact": "" if float(exact) == float(text) else exact,
    }


def _score(score: Score, evaluation: Evaluation) -> TemplateData:
    threshold = evaluation.thresholds.get(score.metric)
    is_low = evaluation.is_breach(score)
    said = score.reason if score.value is None else score.held_to(threshold).evidence if is_low else ""
    again = ", ".join(number_text(value) for value in score.repeats)
    notes = [
        said or "",
        f"the judge: {score.explanation}" if is_low and score.explanation else "",
        "" if score.graded or score.value is None else "read from a word, not from probabilities",
        f"the judges differ by {score.spread:.2f}" if score.spread else "",
        f"judged again: {again}" if again else "",
    ]
    return {
        "metric": visible_text(score.metric),
        "value": "unscored" if score.value is None else number_text(score.value, threshold, 3),
        "against": "" if threshold is None else f"{'below' if is_low else 'threshold'} {threshold:.2f}",
        "is_low": is_low,
        "said": visible_text("; ".join(filter(None, notes))),
    }


# --- claims ---


def _failing_claims(evaluation: Evaluation) -> list[ClaimScore]:
    """Return the claims of the answer that have no support, or no verdict, in the order of the text."""
    score = next((s for s in evaluation.scores if s.metric == "faithfulness"), None)
    threshold = evaluation.thresholds.get("faithfulness", 0.5)
    return [c for c in score.claims if c.value is None or c.value < threshold] if score else []


def _claim(claim: ClaimScore, contexts: Sequence[Context], ids: Sequence[str]) -> TemplateData:
    closest = claim.closest
    inside = (where for c, where in zip(contexts, ids, strict=True) if closest and holds(c, closest))
    return {
        "text": visible_text(claim.text),
        "value": support_text(claim),
        "unsupported": visible_text(", ".join(claim.unsupported)),
        "closest": visible_text(closest.text) if closest else "",
        "place": place_of(closest) if closest else "",
        "passage": next(inside, ""),
    }


def _answer_parts(text: str, claims: Iterable[ClaimScore]) -> list[TemplateData]:
    """Cut an answer where its failing claims begin and end."""
    parts: list[TemplateData] = []
    done = 0
    for claim in sorted(claims, key=lambda claim: (claim.start, claim.end)):
        start, end = max(done, claim.start), min(len(text), claim.end)
        if start >= end:
            continue
        parts.append({"text": visible_text(text[done:start]), "kind": "", "title": ""})
        kind, title = ("unknown", support_text(claim)) if claim.value is None else ("low", _title(claim))
        parts.append({"text": visible_text(text[start:end]), "kind": kind, "title": title})
        done = end
    return [*parts, {"text": visible_text(text[done:]), "kind": "", "title": ""}]


def _title(claim: ClaimScore) -> str:
    words = f"; unsupported: {visible_text(', '.join(claim.unsupported))}" if claim.unsupported else ""
    closest = f"; closest: {visible_text(claim.closest.text)}" if claim.closest else ""
    return f"not supported: {claim.value:.2f}{words}{closest}"
