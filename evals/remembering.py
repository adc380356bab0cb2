"""Nothing twice: an answer or a judgement that was made before is taken from the cache.

The identity of an answer is the pipeline's fingerprint, the question's text and the number of the repeat.
Where a pipeline retrieves first, a second one is what it writes from: the passages in place of the documents.
That of a judgement is the judge's fingerprint, the question, the answer, its passages, the metrics and the
repeat.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.cache import Cache, Maker
from evals.errors import UsageError
from evals.judges import Judge
from evals.metrics import metrics_for
from evals.questions import Question
from evals.records import (
    Judgement,
    Score,
    answer_from_json,
    answer_to_json,
    judgement_from_json,
    judgement_to_json,
)
from rag.answer import Answer, Context, Pipeline, RetrievesFirst, Tokens
from rag.errors import RagError
from rag.identity import canonical, digest
from rag.loading import Loads, load

# Kinds of items in the cache; `written` is an answer under what it was written from.
ANSWER = "answer"
WRITTEN = "written"
SCORES = "scores"


@dataclass(frozen=True, slots=True)
class Task:
    """One evaluation to be made.

    Attributes:
        pipeline: What is asked.
        question: The question.
        judge: What scores the answer.
        metrics: Names of the metrics to score, as far as they apply to the question.
        name: Name of the pipeline in records and reports.
        repeat: 0 for the first time that the question is put in a run; a repeat is never a replay.
    """

    pipeline: Pipeline
    question: Question
    judge: Judge
    metrics: tuple[str, ...]
    name: str
    repeat: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same task as another one of this process."""
        question = self.question
        return (id(self.pipeline), id(self.judge), self.name, question.id, question.question, self.repeat)


class Remembering:
    """Answers and judges, with what the cache has.

    A pipeline or a judge is loaded before the first thing it has to make itself.

    Args:
        cache: Keeps what is made; None makes everything anew.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache
        self._loading: dict[int, asyncio.Future[None]] = {}

    async def answer(self, task: Task) -> tuple[Answer, bool]:
        """Give the answer, and whether it was made before.

        Raises:
            UsageError: The pipeline cannot be loaded.
            Exception: Whatever the pipeline raises.
        """
        pipeline, asked = task.pipeline, task.question.question
        key = answer_key(task)
        if (found := self._recall(pipeline, ANSWER, key)) is not None:
            return answer_from_json(found), True
        await self._load(pipeline)
        if not isinstance(pipeline, RetrievesFirst):
            answer = await pipeline.answer(asked)
            if not isinstance(answer, Answer):
                raise TypeError(f"answer() gave {type(answer).__name__}, not an Answer")
            self._keep(pipeline, {ANSWER: key}, answer_to_json(answer), task)
            return answer, False
        retrieval = await pipeline.retrieve(asked)
        keys = {ANSWER: key, WRITTEN: _written_key(task, pipeline.writing, retrieval.contexts)}
        found = self._recall(pipeline, WRITTEN, keys[WRITTEN])
        if found is not None:
            answer = _placed(answer_from_json(found), retrieval.contexts)
        else:
            answer = await pipeline.write(asked, retrieval)
        self._keep(pipeline, keys, answer_to_json(answer), task)
        return answer, found is not None

    async def judgement(self, task: Task, answer: Answer) -> tuple[Judgement, bool]:
        """Give the judgement of `answer`, and whether it was made before.

        Raises:
            UsageError: The judge cannot be loaded.
            Exception: Whatever the judge raises.
        """
        judge = task.judge
        key = scores_key(task, answer)
        if (found := self._recall(judge, SCORES, key)) is not None:
            return _pointing_into(judgement_from_json(found), answer.contexts), True
        await self._load(judge)
        judgement = await judge.score(task.question, answer)
        if not isinstance(judgement, Judgement):
            raise TypeError(f"score() gave {type(judgement).__name__}, not a Judgement")
        self._keep(judge, {SCORES: key}, judgement_to_json(judgement), task)
        return judgement, False

    def peek(self, task: Task) -> tuple[bool, bool]:
        """Tell whether the answer to `task` and its judgement were made before, without making anything."""
        found = self._recall(task.pipeline, ANSWER, answer_key(task))
        if found is None:
            return False, False
        answer = answer_from_json(found)
        return True, self._recall(task.judge, SCORES, scores_key(task, answer)) is not None

    def examples(self, kind: str, name: str) -> list[tuple[Tokens, float]]:
        """Give tokens and seconds of the latest answers or judgements that something called `name` made."""
        made = [json.loads(data) for data in self.cache.recent(kind, name)] if self.cache else []
        if kind == SCORES:
            judgements = map(judgement_from_json, made)
            return [(judgement.tokens, judgement.seconds) for judgement in judgements]
        answers = map(answer_from_json, made)
        return [(answer.total, sum(answer.seconds.values())) for answer in answers]

    async def _load(self, thing: Pipeline | Judge) -> None:
        if not isinstance(thing, Loads):
            return
        if id(thing) not in self._loading:
            self._loading[id(thing)] = asyncio.ensure_future(asyncio.to_thread(load, thing))
        try:
            # Others wait for the same loading: one that gives up does not end it.
            await asyncio.shield(self._loading[id(thing)])
        except RagError as error:
            raise UsageError(str(error)) from error

    def _recall(self, thing: Pipeline | Judge, kind: str, key: str) -> dict[str, Any] | None:
        if self.cache is None or not _is_cacheable(thing):
            return None
        found = self.cache.recall(kind, [key]).get(key)
        return json.loads(found) if found else None

    def _keep(
        self, thing: Pipeline | Judge, keys: Mapping[str, str], made: Mapping[str, Any], task: Task
    ) -> None:
        if self.cache is None or not _is_cacheable(thing):
            return
        try:
            data = canonical(made).encode(errors="surrogatepass")
        except (TypeError, ValueError):
            return  # a NaN, or what JSON has no form for: the record says it
        identity = getattr(thing, "identity", {})
        name = task.name if thing is task.pipeline else thing.name
        maker = Maker(thing.fingerprint, name, identity if isinstance(identity, Mapping) else {})
        for kind, key in keys.items():
            self.cache.keep(kind, {key: data}, subject=task.question.id, maker=maker)


def answer_key(task: Task) -> str:
    """Give the identity of the answer to `task`."""
    return digest([task.pipeline.fingerprint, task.question.question, task.repeat])


def scores_key(task: Task, answer: Answer) -> str:
    """Give the identity of the judgement of `answer`."""
    question = task.question
    return digest(
        {
            "judge": task.judge.fingerprint,
            "metrics": [metric.name for metric in metrics_for(question, task.metrics)],
            "question": [question.question, question.reference, question.answerable],
            "answer": [answer.text, answer.finished],
            # The page is in what is said of a breach; where on it a passage begins is not.
            "contexts": [[context.text, context.document, context.page] for context in answer.contexts],
            "repeat": task.repeat,
        }
    )


def _written_key(task: Task, writing: str, contexts: Sequence[Context]) -> str:
    texts = [context.text for context in contexts]
    return digest([writing, task.question.question, texts, task.repeat])


def _is_cacheable(thing: Pipeline | Judge) -> bool:
    """Tell whether the fingerprint of `thing` says when what it makes changes; it does unless it says no."""
    return bool(getattr(thing, "is_cacheable", True))


def _placed(answer: Answer, contexts: Sequence[Context]) -> Answer:
    """Give `answer` with the passages as they were retrieved now: their text is the same, not their place."""
    now = {context.text: context for context in contexts}
    return replace(answer, contexts=tuple(now[context.text] for context in answer.contexts))


def _pointing_into(judgement: Judgement, contexts: Sequence[Context]) -> Judgement:
    """Let the evidence of `judgement` point into the passages as they are placed now."""
    return replace(judgement, scores=tuple(_repointed(score, contexts) for score in judgement.scores))


def _repointed(score: Score, contexts: Sequence[Context]) -> Score:
    claims = tuple(
        replace(claim, closest=_found_in(claim.closest, contexts)) if claim.closest else claim
        for claim in score.claims
    )
    return replace(score, claims=claims) if claims != score.claims else score


def _found_in(part: Context, contexts: Sequence[Context]) -> Context:
    """Give `part` as it lies in `contexts`; as it is where it lies there already, or nowhere."""
    places = [
        context.part(start, start + len(part.text))
        for context in contexts
        if (start := context.text.find(part.text)) >= 0
    ]
    return part if not places or part in places else places[0]
