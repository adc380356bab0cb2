"""Citations in the HTML report: each sentence beside the passage that it cites, with the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_evals.evals.reports.html.passages import TemplateData, holds, place_of, support_text
from rag_evals.evals.reports.text import visible_text
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import ClaimScore, Score, citation_text, is_below
from rag_evals.rag.answer import Context

# Characters of a passage on either side of the cited place; all of it stands at the end of the page.
AROUND = 240
# What is left of a word that is cut; where words are longer, or not parted, they are cut.
_WORD_BEGUN, _WORD_BEGUN_BEHIND = re.compile(r"\A\S{0,20}\s"), re.compile(r"\s\S{0,20}\Z")


def citation_views(evaluation: Evaluation, ids: Sequence[str]) -> list[TemplateData]:
    """Return a row for each citation of an answer, and for each sentence that cites nothing.

    Args:
        evaluation: The evaluation; without scores of citations there are no rows.
        ids: Where each passage of its answer stands on the page.
    """
    scores = {score.metric: score for score in evaluation.scores}
    precision, recall = scores.get("citation_precision"), scores.get("citation_recall")
    # Of recall alone each sentence is known with all that it cites.
    shown = precision if precision and precision.claims else recall
    rows = [(claim, shown) for claim in shown.claims] if shown else []
    if recall and shown is not recall:
        rows += [(claim, recall) for claim in recall.claims if not claim.citations]
    rows.sort(key=lambda row: row[0].start)
    contexts = evaluation.answer.contexts if evaluation.answer else ()
    return [_row(claim, score, evaluation, contexts, ids) for claim, score in rows]


def _row(
    claim: ClaimScore,
    score: Score,
    evaluation: Evaluation,
    contexts: Sequence[Context],
    ids: Sequence[str],
) -> TemplateData:
    is_low = is_below(claim.value, evaluation.thresholds.get(score.metric))
    return {
        "text": visible_text(claim.text),
        "cites": visible_text(", ".join(dict.fromkeys(map(citation_text, claim.citations)))),
        "value": support_text(claim),
        "verdict": visible_text(_verdict(claim, is_low=is_low)),
        "is_low": is_low,
        "unsupported": visible_text(", ".join(claim.unsupported)) if is_low else "",
        **_passage(claim.closest, contexts, ids),
    }


def _verdict(claim: ClaimScore, *, is_low: bool) -> str:
    if claim.value is None:
        return ""
    return claim.fault or ("does not support it" if is_low else "supports it")


def _passage(closest: Context | None, contexts: Sequence[Context], ids: Sequence[str]) -> TemplateData:
    """Return the passage of the cited place, cut around it."""
    found = ((c, where) for c, where in zip(contexts, ids, strict=True) if closest and holds(c, closest))
    context, where = next(found, (closest, ""))
    if context is None or closest is None:
        return {"before": "", "cited": "", "after": "", "place": "", "passage": ""}
    start = max(0, context.text.find(closest.text))
    end = start + len(closest.text)
    before, after = context.text[:start], context.text[end:]
    if len(before) > AROUND:
        before = f"…{_WORD_BEGUN.sub('', before[-AROUND:])}"
    if len(after) > AROUND:
        after = f"{_WORD_BEGUN_BEHIND.sub('', after[:AROUND])}…"
    return {
        "before": visible_text(before),
        "cited": visible_text(context.text[start:end]),
        "after": visible_text(after),
        "place": place_of(context),
        "passage": where,
    }
