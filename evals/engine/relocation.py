"""Cached contexts placed where they stand in the documents now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import is_

from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.answer import Answer, Context, Retrieval


def placed(answer: Answer, retrieval: Retrieval) -> Answer:
    """Return `answer` with its passages as they were retrieved now: their text is the same, not their place.

    A passage that is none of those retrieved, as the pipeline has cut it, stays as it is.
    """
    left = list(retrieval.contexts)
    placed = []
    for passage in answer.contexts:
        same = [context for context in left if context.text == passage.text]
        # Of two with the same words the one of the same document, if there is one.
        now = next((context for context in same if context.document == passage.document), None)
        now = now or next(iter(same), None)
        if now is not None:
            left.remove(now)
        placed.append(now or passage)
    return replace(answer, contexts=tuple(placed), stages=retrieval.stages)


def pointing_into(judgement: Judgement, contexts: Sequence[Context]) -> Judgement:
    """Let the evidence of `judgement` point into the passages as they are placed now."""
    scores = tuple(_repointed(score, contexts) for score in judgement.scores)
    return judgement if all(map(is_, scores, judgement.scores)) else replace(judgement, scores=scores)


def _repointed(score: Score, contexts: Sequence[Context]) -> Score:
    claims = tuple(_placed_claim(claim, contexts) for claim in score.claims)
    return score if all(map(is_, claims, score.claims)) else replace(score, claims=claims)


def _placed_claim(claim: ClaimScore, contexts: Sequence[Context]) -> ClaimScore:
    closest = claim.closest and _found_in(claim.closest, contexts)
    return claim if closest is claim.closest else replace(claim, closest=closest)


def _found_in(part: Context, contexts: Sequence[Context]) -> Context:
    """Return `part` as it lies in `contexts`; as it is where it lies there already, or nowhere."""
    if any(_lies_in(part, context) for context in contexts):
        return part
    places = (
        context.part(start, start + len(part.text))
        for context in contexts
        if (start := context.text.find(part.text)) >= 0
    )
    return next(places, part)


def _lies_in(part: Context, context: Context) -> bool:
    if (part.document, part.page) != (context.document, context.page):
        return False
    if part.start is None or context.start is None:
        return part.start is context.start and part.text in context.text
    offset = part.start - context.start
    return offset >= 0 and context.text[offset : offset + len(part.text)] == part.text
