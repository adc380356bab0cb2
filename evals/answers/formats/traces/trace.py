"""Traces in one form whatever tool wrote them, and the line of a logged answer that each comes to.

What is asked and answered is read of the root, else of the span nearest to it that says it; the passages are
those of the retrievers under it in the order in which they began, or of the last reranker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from rag_evals.evals.answers.formats.line import Skipped, answer_line
from rag_evals.evals.answers.formats.messages import Asked, answered_in, asked_in, unpacked
from rag_evals.evals.answers.formats.places import Places, value_in
from rag_evals.evals.answers.formats.retrieved import Passages, passages_beside, passages_in
from rag_evals.evals.answers.logged_answer import Feedback
from rag_evals.evals.base.fields import count, fits
from rag_evals.evals.questions.fields import is_encodable
from rag_evals.evals.questions.load import may_be_id

Kind = Literal["step", "model", "retriever", "reranker", "inside"]

_MOST_CHARACTERS = 1000
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace.

    Attributes:
        id: Its id.
        name: What it is called.
        parent: The id of the step that it is part of; None for a first one.
        kind: What it does; `inside` is what neither asks nor answers, such as an embedding.
        start: When it began, in seconds of the epoch; None where that is not known.
        end: When it ended.
        input: What went in, as the tool has it.
        output: What came out.
        documents: The passages as the tool has them, where it has a place for them; else they are the output.
        model: Name of the language model.
        read: Tokens of the prompt.
        written: Tokens of the reply.
        error: What went wrong.
    """

    id: str
    parent: str | None = None
    name: str = ""
    kind: Kind = "step"
    start: float | None = None
    end: float | None = None
    input: Any = None
    output: Any = None
    documents: Any = None
    model: str | None = None
    read: int | None = None
    written: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What a tool has of one request.

    Attributes:
        id: Its id.
        spans: Its steps.
        about: The request as a whole: what went in and came out, where the tool says so beside the steps.
        reference: The answer that people said would be right.
        feedback: What whoever asked thought of it.
        scores: What else was said of it, by name.
        tags: Its tags.
        metadata: What else is known, texts, numbers and truths.
    """

    id: str
    spans: Sequence[Span]
    about: Span = field(default_factory=lambda: Span(""))
    reference: str | None = None
    feedback: Feedback | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def line_of(trace: Trace, places: Places | None = None) -> dict[str, Any] | Skipped:
    """Return the line of a logged answer that a trace comes to, or why it comes to none.

    Args:
        trace: The trace.
        places: Where question, answer and passages stand; what is not told there is looked for.
    """
    tree, places = _tree(trace), places or {}
    asked = asked_in(_at(tree, places["question"])) if "question" in places else _asked(tree)
    answer = answered_in(_at(tree, places["answer"])) if "answer" in places else _answer(tree)
    if asked is not None and answer is None and any(span.error for span in tree.spans):
        return Skipped("no answer found, as it ended in an error")
    contexts = passages_in(_at(tree, places["contexts"])) if "contexts" in places else _contexts(tree)
    return answer_line(
        asked,
        answer,
        contexts,
        id=trace.id if len(trace.id) <= _LONGEST_ID and may_be_id(trace.id) else None,
        reference=trace.reference,
        tags=[tag for tag in dict.fromkeys(trace.tags) if tag.strip()],
        time=_time(tree),
        model=_model(tree),
        seconds=_seconds(tree),
        tokens=_tokens(tree),
        feedback=trace.feedback,
        trace=trace.id,
        metadata=_metadata(trace),
    )


# --- the tree ---


@dataclass(frozen=True, slots=True)
class _Tree:
    """The steps of a trace, the request as a whole first, then level by level in order of time.

    Attributes:
        spans: All of them.
        children: Those directly under each, by its id.
    """

    spans: tuple[Span, ...]
    children: Mapping[str, Sequence[Span]]

    @property
    def root(self) -> Span:
        """The request as a whole."""
        return self.spans[0]

    def under(self, span: Span) -> Sequence[Span]:
        """Return the steps directly under one."""
        return self.children.get(span.id, ())


_WHOLE = ""


def _tree(trace: Trace) -> _Tree:
    """Return the steps as a tree; one whose parent is not there is under the only first one, or the whole."""
    spans = {span.id: _known(span) for span in trace.spans if span.id != _WHOLE}
    first = [span for span in spans.values() if span.parent not in spans]
    true = [span for span in first if span.parent is None]
    top = true[0].id if len(true) == 1 else _WHOLE
    children: dict[str, list[Span]] = {}
    for span in spans.values():
        parent = span.parent if span.parent in spans else None
        above = parent or (_WHOLE if span.id == top else top)
        children.setdefault(above, []).append(span)
    for members in children.values():
        members.sort(key=lambda span: (span.start is None, span.start or 0.0))
    return _Tree(tuple(_by_level(trace.about, children)), children)


# Tools without a kind for it have retrievers among other steps; `RetrievalQA` gives no list.
_RETRIEVES = re.compile(r"(?i)retriev|vector[-_ ]?(?:store|search)|similarity[-_ ]?search")


def _known(span: Span) -> Span:
    """Return a step that is called a retriever and gives a list of passages as the retriever that it is."""
    if span.kind != "step" or not _RETRIEVES.search(span.name):
        return span
    output = unpacked(span.output)
    is_list = isinstance(output, list) and passages_in(output) is not None
    return replace(span, kind="retriever") if is_list else span


def _by_level(whole: Span, children: Mapping[str, Sequence[Span]]) -> Iterator[Span]:
    level = [whole]
    while level:
        yield from level
        level = [child for span in level for child in children.get(span.id, ())]


# --- what was asked and answered ---

_SPEAKS = ("step", "model")


def _at(tree: _Tree, place: tuple[str, str]) -> Any:
    """Return what stands at a place of the first step, level by level, that has something there."""
    found = (value_in(place, span.input, span.output) for span in tree.spans)
    return next((value for value in found if value is not None), None)


def _asked(tree: _Tree) -> Asked | None:
    speaking = (span for span in tree.spans if span.kind in _SPEAKS)
    told = next((asked for span in speaking if (asked := asked_in(span.input))), None)
    if told is not None:
        return told
    searching = (span for span in tree.spans if span.kind == "retriever")
    return next((asked for span in searching if (asked := asked_in(span.input))), None)


def _answer(tree: _Tree) -> str | None:
    """Return the answer of the span nearest to the root; of several the one that ended last."""
    depth = _depths(tree)
    speaking = [span for span in tree.spans if span.kind in _SPEAKS]
    speaking.sort(key=lambda span: (depth[span.id], -(span.end or span.start or 0.0)))
    said = [answer for span in speaking if (answer := answered_in(span.output)) is not None]
    return next(filter(None, said), None) or next(iter(said), None)


def _depths(tree: _Tree) -> dict[str, int]:
    depth = {tree.root.id: 0}
    for span in tree.spans:
        depth.update((child.id, depth[span.id] + 1) for child in tree.under(span))
    return depth


# --- passages ---


def _contexts(tree: _Tree) -> Passages | None:
    """Return the passages that the answer was written from; None where they are not known."""
    searched = sorted(_searching(tree, tree.root), key=lambda found: found[0].start or 0.0)
    kept: Passages = []
    for span, passages in searched:
        kept = list(passages) if span.kind == "reranker" else [*kept, *(p for p in passages if p not in kept)]
    if searched:
        return kept
    speaking = [span for span in tree.spans if span.kind in _SPEAKS]
    told = (passages_beside(value) for span in speaking for value in (span.output, span.input))
    return next((passages for passages in told if passages is not None), None)


def _searching(tree: _Tree, top: Span) -> Iterator[tuple[Span, Passages]]:
    """Yield the retrievers and rerankers that tell their passages; none that is a part of another one."""
    waiting = [top]
    while waiting:
        span = waiting.pop()
        passages = None
        if span.kind in ("retriever", "reranker"):
            passages = passages_in(span.output if span.documents is None else span.documents)
        if passages is None:
            waiting += tree.under(span)
        else:
            yield span, passages


# --- time, model, tokens ---


def _time(tree: _Tree) -> str | None:
    whole = _timed(tree)
    started = [span.start for span in tree.spans if span.start is not None]
    start = whole.start if whole else min(started, default=None)
    if start is None:
        return None
    return datetime.fromtimestamp(start, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(tree: _Tree) -> float | None:
    whole = _timed(tree)
    timed = [whole] if whole else [span for span in tree.spans if _is_timed(span)]
    if not timed:
        return None
    taken = max(span.end or 0.0 for span in timed) - min(span.start or 0.0 for span in timed)
    return round(taken, 6) if taken >= 0 else None


def _timed(tree: _Tree) -> Span | None:
    """Return the step that is the whole: evaluators may run on long after it."""
    only = tree.under(tree.root)
    return next(filter(_is_timed, (tree.root, *(only if len(only) == 1 else ()))), None)


def _is_timed(span: Span) -> bool:
    return span.start is not None and span.end is not None


def _model(tree: _Tree) -> str | None:
    """Return the model that wrote last."""
    named = [span for span in tree.spans if span.model and span.kind == "model"]
    named = named or [span for span in tree.spans if span.model and span.kind == "step"]
    return max(named, key=lambda span: span.end or span.start or 0.0).model if named else None


def _tokens(tree: _Tree) -> dict[str, int] | None:
    """Return the tokens of all calls of models; a call inside of another one is counted with that."""
    counted = list(_counting(tree)) or [span for span in tree.spans[:1] if _has_tokens(span)]
    counted = counted or next(([span] for span in tree.spans if _has_tokens(span)), [])
    if not counted:
        return None
    told = {"read": [span.read for span in counted], "written": [span.written for span in counted]}
    sums = {name: sum(filter(None, numbers)) for name, numbers in told.items() if any(numbers)}
    return {name: held for name, held in sums.items() if fits(count, held)} or None


def _counting(tree: _Tree) -> Iterator[Span]:
    waiting = [tree.root]
    while waiting:
        span = waiting.pop()
        if span.kind == "model" and _has_tokens(span):
            yield span
        else:
            waiting += tree.under(span)


def _has_tokens(span: Span) -> bool:
    return bool(span.read or span.written)


# --- what else is known ---


def _metadata(trace: Trace) -> dict[str, Any]:
    """Return what else is known: short texts, numbers and truths; the rest stays with the tool."""
    told = {key: value for key, value in trace.metadata.items() if _is_plain(key) and _is_plain(value)}
    scores = {key: value for key, value in trace.scores.items() if _is_plain(key) and _is_plain(value)}
    return {**told, **({"scores": scores} if scores else {})}


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _MOST_CHARACTERS and is_encodable(value)
    return isinstance(value, bool | int | float) and abs(value) < 10**15
