"""Attribution of lost answers to a stage of the pipeline, by where gold sources stand and what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from rag_evals.evals.questions.question import Source
from rag_evals.evals.retrieval.coverage import has_offsets
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Context, Span

Stage = Literal[
    "not in the corpus",
    "not retrieved",
    "not in the contexts",
    "lost in merging or reranking",
    "in the contexts, not used",
    "contradicted",
]

# A border between two chunks cuts a source in two, and the larger piece holds half of it or more: asking for
# more would call a source lost that was found, and less would count a chunk that begins in its last words.
LEAST_SHARE = 0.5
# Metrics of the contexts alone, or of what is cited: a low score does not say that the answer is wrong.
_OF_CONTEXTS = (
    "context_relevancy",
    "context_recall",
    "context_precision",
    "citation_precision",
    "citation_recall",
)


def stage_of(evaluation: Evaluation, corpus: Collection[str] | None) -> Stage | None:
    """Return at which stage the answer to an answerable question was lost.

    Every source of a question is needed for its answer, and of alternatives one: the stage is that of the
    source that was lost first. A source is found when at least half of its characters are in the passages
    together, so that chunks and merged parents count alike. It is looked for by what both sides tell:
    offsets, else its quote, else its page, else its document. The corpus are the names of the documents that
    the pipeline had; None when it does not tell.

    Returns:
        The stage; "not in the contexts" where the pipeline does not tell what it retrieved. None for an
        evaluation that did not fail, raised, is of a question without sources or not to be answered, or
        failed only by metrics that look at the contexts alone while they hold every source.
    """
    question, answer = evaluation.question, evaluation.answer
    wanted = question.wanted
    if evaluation.outcome != "failed" or answer is None or not question.answerable or not wanted:
        return None
    if corpus is not None and any(all(one.document not in corpus for one in group) for group in wanted):
        return "not in the corpus"
    missing = [group for group in wanted if not any(is_in_contexts(one, answer.contexts) for one in group)]
    if not missing:
        return None if evaluation.is_retrieval else _use_of(evaluation)
    if not answer.candidates:
        return "not in the contexts"
    # A candidate that is still among the contexts is none of those that were lost.
    lost = [span for span in answer.candidates if not _is_kept(span, answer.contexts)]
    if all(any(_is_among(one, answer.candidates, lost) for one in group) for group in missing):
        return "lost in merging or reranking"
    return "not retrieved"


def is_in_contexts(source: Source, contexts: Sequence[Context]) -> bool:
    """Return whether at least half of `source` is in `contexts`."""
    own = [span for context in contexts for span in context.places if span.document == source.document]
    placed = [span for span in own if _is_placed(span)]
    if has_offsets(source) and len(placed) == len(own):
        return _covers(source, placed)
    if source.quote and source.quote.strip():
        texts = [c.text for c in contexts if any(span.document == source.document for span in c.places)]
        return any(_is_quoted(source.quote, text) for text in texts)
    if has_offsets(source) and placed:
        return _covers(source, placed)
    return _is_on_page(source, own)


def _use_of(evaluation: Evaluation) -> Stage | None:
    """Return what was made of sources that the model saw."""
    failing = {score.metric for score in evaluation.breached}
    if "faithfulness" in failing:
        return "contradicted"
    return "in the contexts, not used" if failing.difference(_OF_CONTEXTS) else None


def _is_among(source: Source, candidates: Sequence[Span], lost: Sequence[Span]) -> bool:
    """Return whether `source` was retrieved.

    By offsets all candidates count; by page or document only those that are not among the contexts, as the
    source is known not to be there.
    """
    own = [span for span in candidates if span.document == source.document]
    if has_offsets(source) and any(span.start is not None for span in own):
        return _covers(source, own)
    return _is_on_page(source, [span for span in lost if span.document == source.document])


def _is_placed(span: Span) -> bool:
    return span.start is not None and span.end is not None


def _covers(source: Source, spans: Iterable[Span]) -> bool:
    """Return whether `spans` together hold at least half of the characters of `source`."""
    first, last = source.start or 0, source.end or 0
    held, reached = 0, first
    for start, end in sorted((s.start, s.end) for s in spans if s.start is not None and s.end is not None):
        held += max(0, min(end, last) - max(start, reached))
        reached = max(reached, end)
    return held >= LEAST_SHARE * (last - first)


def _is_quoted(quote: str, text: str) -> bool:
    """Return whether half of `quote` or more stands in `text`, whatever the white space.

    A passage that is cut within the quote holds its first or its last half.
    """
    words, whole = _words(quote), _words(text)
    half = (len(words) + 1) // 2
    # A passage may also be shorter than the quote.
    return words[:half] in whole or words[-half:] in whole or (len(whole) >= half and whole in words)


def _words(text: str) -> str:
    return " ".join(text.split())


def _is_on_page(source: Source, spans: Sequence[Span]) -> bool:
    """Return whether a span is on the page of `source`; where no page is known, in its document."""
    if source.page is None or all(span.page is None for span in spans):
        return bool(spans)
    pages = [(span.page, span.page_end or span.page) for span in spans]
    return any(
        first <= source.page <= last for first, last in pages if first is not None and last is not None
    )


def _is_kept(span: Span, contexts: Sequence[Context]) -> bool:
    """Return whether `span` is within one of `contexts`."""
    if span.start is None or span.end is None:
        return False
    return any(
        place.document == span.document
        and place.start is not None
        and place.end is not None
        and place.start <= span.start
        and span.end <= place.end
        for context in contexts
        for place in context.places
    )
