"""Evaluations, the records that they leave, and their JSON: the only place where records are dicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rag_evals.evals.base.drawn import Drawn
from rag_evals.evals.base.errors import BreachError, UnscoredError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question, Source, conversation_to_json
from rag_evals.evals.runs.score import (
    RETRIEVAL,
    Score,
    citation_from_json,
    citation_to_json,
    context_from_json,
    context_to_json,
    fields_of,
    from_fields,
    is_below,
    score_from_json,
    score_to_json,
    tokens_from_json,
    tokens_to_json,
    without,
)
from rag_evals.rag.answer import CANDIDATES, Answer, Citation, Message, Span, Tokens
from rag_evals.rag.tracing.spans import TraceSpan

SCHEMA = 1
# Fields that a line of the records does not hold: what `evaluation_from_json` reads has their default values.
# Seconds and tokens of the answer are in those of the evaluation, spans in a file of their own; what a
# question was held to is among the thresholds, and what a judging cost in its price.
NOT_IN_A_LINE = (
    "answer.seconds",
    "answer.tokens",
    "before.evaluated",
    "before.generated",
    "before.reused",
    "enforced",
    "judged",
    "question.provenance",
    "question.thresholds",
    "spans",
)
Outcome = Literal["passed", "failed", "unscored", "error"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One question put to one pipeline, and what came of it.

    Attributes:
        question: The question.
        pipeline: Name of the pipeline.
        answer: The answer; None when the pipeline raised.
        scores: One score a metric that applies to the question.
        thresholds: Least value that is no breach, by metric.
        seconds: Wall-clock seconds by stage; the judge's are under `judge`. What was made before has the
            seconds it took when it was made.
        tokens: Tokens by stage, in the same way.
        repeat: 0 for the first evaluation of the question in a run.
        attempt: 0 for the first run of its test, 1 for the first rerun; the last one counts.
        cached: What was made before and reused: `answer`, `scores`, both or nothing.
        usd: What was spent on it now, for models that have a price; None where there is none.
        error: What the pipeline raised.
        enforced: Whether `require` raises; only in strict mode it does.
        conditions: Conditions on the run that marks of its test set, as they were written.
        test: Node id of its test.
        keys: Identities of its answer and its scores, under which the cache has them.
        judged: Tokens of each judge of an ensemble, or of the only one, for their prices; not recorded.
        before: Tokens of answers to earlier turns of its conversation that were made for it; not recorded.
        spans: What was done for it, where the run has traces; they are kept beside the records.
        logged: What the log says of the answer beside it, by name; empty for one that was not logged.
        drawn: What its question was drawn from; None for one that was not drawn.
    """

    question: Question
    pipeline: str
    answer: Answer | None
    scores: tuple[Score, ...]
    thresholds: Mapping[str, float]
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    repeat: int = 0
    attempt: int = 0
    cached: tuple[str, ...] = ()
    usd: float | None = None
    error: str | None = None
    enforced: bool = True
    conditions: tuple[str, ...] = ()
    test: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    judged: tuple[Tokens, ...] = field(default=(), compare=False)
    before: Tokens = field(default=Tokens(), compare=False)
    spans: tuple[TraceSpan, ...] = ()
    logged: Mapping[str, Any] = field(default_factory=dict)
    drawn: Drawn | None = None

    @property
    def is_retrieval(self) -> bool:
        """Whether it is of retrieval alone: nothing was answered, and its scores are of the passages."""
        return any(score.metric.startswith(RETRIEVAL) for score in self.scores)

    @property
    def total(self) -> Tokens:
        """Tokens of all stages."""
        return sum(self.tokens.values(), Tokens())

    @property
    def breaches(self) -> tuple[str, ...]:
        """One line for every score below its threshold, or for the pipeline's error."""
        if self.error:
            return (_line(f"pipeline {self.pipeline} raised {self.error}"),)
        return tuple(self._breach(score) for score in self.breached)

    @property
    def breached(self) -> tuple[Score, ...]:
        """The scores below their thresholds."""
        return tuple(score for score in self.scores if self.is_breach(score))

    @property
    def unscored(self) -> tuple[str, ...]:
        """One line for every score that could not be had; none after an error, which says it all."""
        if self.error:
            return ()
        return tuple(_line(f"{s.metric} unscored: {s.reason}") for s in self.scores if s.value is None)

    @property
    def outcome(self) -> Outcome:
        """`error` without an answer, `failed` with a breach, `unscored` without a verdict, else `passed`."""
        if self.error:
            return "error"
        if any(map(self.is_breach, self.scores)):
            return "failed"
        return "unscored" if None in [score.value for score in self.scores] else "passed"

    def require(self, *metrics: str) -> None:
        """Hold the scores against their thresholds.

        Args:
            *metrics: The metrics to hold; all of them by default. A question marked as not answerable is
                always held to `refusal`, the only metric that applies to it.

        Raises:
            BreachError: A score is below its threshold, or the pipeline raised. One line each, and one
                for everything unscored. An AssertionError.
            UnscoredError: Nothing is below its threshold, but a score could not be had. Pytest reports
                the test as skipped, with the reason.
            UsageError: A metric is not among the scores.
        """
        __tracebackhide__ = True
        chosen = self.only(*metrics) if metrics and self.question.answerable and not self.error else self
        if not self.enforced:
            return
        if chosen.breaches:
            raise BreachError("\n".join((*chosen.breaches, *chosen.unscored)))
        if chosen.unscored:
            raise UnscoredError("; ".join(chosen.unscored))

    def only(self, *metrics: str) -> Evaluation:
        """Return the evaluation with the scores of `metrics` alone.

        Raises:
            UsageError: A metric is not among the scores.
        """
        known = [score.metric for score in self.scores]
        for metric in metrics:
            if metric not in known:
                raise UsageError(f"require: unknown metric {metric!r}: scored are {', '.join(known)}")
        return replace(self, scores=tuple(score for score in self.scores if score.metric in metrics))

    def is_breach(self, score: Score) -> bool:
        """Return whether `score` is below the threshold of its metric."""
        return is_below(score.value, self.thresholds.get(score.metric))

    def held_to(self, thresholds: Mapping[str, float]) -> Evaluation:
        """Return the evaluation as it is held to `thresholds`: nothing of what holds is complained of."""
        scores = (score.held_to(thresholds.get(score.metric)) for score in self.scores)
        supported = (score.without_words(thresholds.get(score.metric)) for score in scores)
        return replace(self, thresholds=thresholds, scores=tuple(supported))

    def _breach(self, score: Score) -> str:
        threshold = self.thresholds[score.metric]
        said = score.held_to(threshold).evidence
        evidence = f": {said}" if said else ""
        if score.explanation:
            evidence += f"; the judge: {score.explanation}"
        return _line(f"{score.metric} {_below(score.value or 0.0, threshold)}{evidence}")


def last_attempts(
    evaluations: Iterable[Evaluation],
) -> tuple[tuple[Evaluation, ...], tuple[Evaluation, ...]]:
    """Return the evaluations of the last attempt of each test, and those of the attempts before it.

    A test that was run again after a failure counts once.
    """
    evaluations = tuple(evaluations)
    last: dict[str, int] = {}
    for evaluation in evaluations:
        last[evaluation.test] = max(evaluation.attempt, last.get(evaluation.test, 0))
    return (
        tuple(e for e in evaluations if e.attempt == last[e.test]),
        tuple(e for e in evaluations if e.attempt < last[e.test]),
    )


def _below(value: float, threshold: float) -> str:
    """Return `value < threshold` with enough digits that 0.4996 does not read "0.50 < 0.50"."""
    texts = ((f"{value:.{digits}f}", f"{threshold:.{digits}f}") for digits in range(2, 17))
    shown, limit = next((pair for pair in texts if pair[0] != pair[1]), (repr(value), repr(threshold)))
    return f"{shown} < {limit}"


def _line(text: str) -> str:
    """Return `text`, which may quote a document, a model or an exception, as one line fit for a terminal."""
    return printable(" ".join(text.split()))


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the line of `records.jsonl` for `evaluation`.

    Raises:
        ValueError: A score is NaN or infinite, which is no verdict and no JSON.
    """
    for score in evaluation.scores:
        if score.value is not None and not math.isfinite(score.value):
            raise ValueError(
                f"{score.metric} = {score.value} is no score: "
                "a judge without a verdict gives None and says the reason"
            )
    question, answer = evaluation.question, evaluation.answer
    thresholds = evaluation.thresholds
    return {
        "type": "evaluation",
        "question_id": question.id,
        "pipeline": evaluation.pipeline,
        "repeat": evaluation.repeat,
        **({"attempt": evaluation.attempt} if evaluation.attempt else {}),
        "question": question.question,
        **conversation_to_json(question),
        "reference": question.reference,
        "answerable": question.answerable,
        "tags": list(question.tags),
        "sources": [fields_of(source) for source in question.sources],
        "answer": answer.text if answer else None,
        "finished": answer.finished if answer else None,
        "omitted": answer.omitted if answer else None,
        "contexts": [context_to_json(context) for context in answer.contexts] if answer else [],
        "retrieved": _stages_to_json(answer.stages) if answer else {},
        **(_rarely_told(answer) if answer else {}),
        "scores": {
            score.metric: _score_line(score, thresholds.get(score.metric)) for score in evaluation.scores
        },
        "outcome": evaluation.outcome,
        "error": evaluation.error,
        "seconds": dict(evaluation.seconds),
        "tokens": {**fields_of(evaluation.total), "stages": tokens_to_json(evaluation.tokens)},
        "cached": list(evaluation.cached),
        "usd": evaluation.usd,
        "conditions": list(evaluation.conditions),
        "test": evaluation.test,
        "keys": dict(evaluation.keys),
        **({"logged": dict(evaluation.logged)} if evaluation.logged else {}),
        **({"drawn": fields_of(evaluation.drawn)} if evaluation.drawn else {}),
    }


def _score_line(score: Score, threshold: float | None) -> dict[str, Any]:
    line = score_to_json(score)
    del line["metric"]  # it is the key
    line["threshold"] = threshold
    return line


def evaluation_from_json(line: Mapping[str, Any]) -> Evaluation:
    """Read back what `evaluation_to_json` wrote; keys that it does not know are passed over.

    Nothing is lost but `NOT_IN_A_LINE`, and thresholds of metrics without a score.

    Raises:
        KeyError: A key that every evaluation has is missing.
    """
    answer = None
    if line["answer"] is not None:
        contexts = tuple(context_from_json(context) for context in line["contexts"])
        answer = Answer(
            line["answer"],
            contexts,
            omitted=line["omitted"],
            finished=line["finished"],
            stages=_stages(line),
            citations=_citations(line),
            cites=bool(line.get("cites")),
            contexts_known=line.get("contexts_known", True),
        )
    return Evaluation(
        question=Question(
            id=line["question_id"],
            question=line["question"],
            reference=line.get("reference"),
            sources=tuple(from_fields(Source, source) for source in line.get("sources") or ()),
            tags=tuple(line.get("tags", ())),
            answerable=line.get("answerable", True),
            history=tuple(from_fields(Message, message) for message in line.get("history") or ()),
            conversation=line.get("conversation"),
            turn=line.get("turn"),
        ),
        pipeline=line["pipeline"],
        answer=answer,
        scores=tuple(score_from_json(metric, score) for metric, score in line["scores"].items()),
        thresholds={m: s["threshold"] for m, s in line["scores"].items() if s["threshold"] is not None},
        seconds=line["seconds"],
        tokens=tokens_from_json(line["tokens"].get("stages", {})),
        repeat=line["repeat"],
        attempt=line.get("attempt") or 0,
        cached=tuple(line.get("cached") or ()),
        usd=line.get("usd"),
        error=line["error"],
        conditions=tuple(line.get("conditions") or ()),
        test=line.get("test") or "",
        keys=line.get("keys") or {},
        logged=line.get("logged") or {},
        drawn=from_fields(Drawn, line["drawn"]) if line.get("drawn") else None,
    )


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """Return `answer` as it is kept in the cache."""
    return {
        **without(fields_of(answer), "citations", "cites", "contexts_known"),
        **_rarely_told(answer),
        "contexts": [context_to_json(context) for context in answer.contexts],
        "stages": _stages_to_json(answer.stages),
        "seconds": dict(answer.seconds),
        "tokens": tokens_to_json(answer.tokens),
    }


def answer_from_json(kept: Mapping[str, Any]) -> Answer:
    """Read back what `answer_to_json` wrote."""
    return Answer(
        kept["text"],
        tuple(context_from_json(context) for context in kept["contexts"]),
        kept["seconds"],
        tokens_from_json(kept["tokens"]),
        kept["omitted"],
        kept["finished"],
        _stages(kept, key="stages"),
        _citations(kept),
        bool(kept.get("cites")),
        kept.get("contexts_known", True),
    )


def _rarely_told(answer: Answer) -> dict[str, Any]:
    """Return what is told of an answer that cites, or whose passages are not known; nothing of any other."""
    told: dict[str, Any] = {}
    if answer.citations:
        told["citations"] = list(map(citation_to_json, answer.citations))
    if answer.cites:
        told["cites"] = True
    if not answer.contexts_known:
        told["contexts_known"] = False
    return told


def _citations(kept: Mapping[str, Any]) -> tuple[Citation, ...]:
    return tuple(map(citation_from_json, kept.get("citations") or ()))


def _stages_to_json(stages: Mapping[str, Sequence[Span]]) -> dict[str, Any]:
    return {stage: [fields_of(span) for span in spans] for stage, spans in stages.items()}


def _stages(kept: Mapping[str, Any], key: str = "retrieved") -> dict[str, tuple[Span, ...]]:
    # Runs and caches of before have the first stage alone.
    stages = kept.get(key) or ({CANDIDATES: kept[CANDIDATES]} if kept.get(CANDIDATES) else {})
    return {stage: tuple(from_fields(Span, span) for span in spans) for stage, spans in stages.items()}


# Kinds of items in the cache; `written` is an answer under what it was written from.
ANSWER = "answer"
SCORES = "scores"
EXPLANATION = "explanation"
