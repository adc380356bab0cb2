"""Reuse of answers and judgements: what was made before is taken from the cache.

The identity of an answer is the pipeline's fingerprint, the question's text, what was said before it and the
number of the repeat.
Where a pipeline retrieves first, a second one is what it writes from: the passages in place of the documents.
That of a judgement is the judge's fingerprint, the question, the answer, its passages, the metrics and the
repeat.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.cache import Maker, Store
from rag_evals.evals.engine.relocation import placed, pointing_into
from rag_evals.evals.engine.task import Task, said_before, with_known_history, written_key
from rag_evals.evals.judges.choice.explain import TASKS, VERSION
from rag_evals.evals.judges.citations.reading import CITATION_METRICS
from rag_evals.evals.judges.citations.reading import VERSION as CITATIONS_VERSION
from rag_evals.evals.judges.judge import Explains, Explanation, Judge, explainer_of
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import ANSWER, EXPLANATION, SCORES, answer_from_json, answer_to_json
from rag_evals.evals.runs.masking import masked_fingerprint, masked_parts, masked_text
from rag_evals.evals.runs.score import (
    ClaimScore,
    Judgement,
    Score,
    citation_to_json,
    from_json,
    judgement_from_json,
    judgement_to_json,
)
from rag_evals.rag.answer import Answer, Context, Pipeline, Tokens, put, replays, retrieves_first
from rag_evals.rag.errors import ModelDiedError, RagError
from rag_evals.rag.identity import canonical, digest
from rag_evals.rag.profile import load, profile_of
from rag_evals.rag.tracing.conventions import INPUT, OUTPUT, RETRIEVED, documents
from rag_evals.rag.tracing.spans import span

ANSWER_FROM_CONTEXTS = "written"
# What `--evals-refresh` makes anew.
REFRESHED = {"answers": (ANSWER, ANSWER_FROM_CONTEXTS), "scores": (SCORES, EXPLANATION)}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyedResult(Generic[T]):
    """An answer or a judgement.

    Attributes:
        value: What was made.
        key: Its identity, under which the cache has it.
        is_cached: Whether it was made before.
    """

    value: T
    key: str
    is_cached: bool = False


class ReuseCache:
    """Answers and judges, with what the cache has.

    A pipeline or a judge is loaded before the first thing it has to make itself.

    Args:
        cache: Keeps what is made; None makes everything anew.
        masks_texts: Whether texts with secrets are kept nowhere: masked, they would be judged otherwise.
    """

    def __init__(self, cache: Store | None = None, *, masks_texts: bool = False) -> None:
        self.cache = cache
        self._masks_texts = masks_texts
        self._loading: dict[int, asyncio.Future[None]] = {}

    def forget_loading(self) -> None:
        """Forget what is being loaded: who waited for it is given up, with the loop that it was loaded on."""
        self._loading = {key: loading for key, loading in self._loading.items() if loading.done()}

    async def answer(self, task: Task) -> KeyedResult[Answer]:
        """Return the answer, made now or before.

        Raises:
            UsageError: The pipeline cannot be loaded.
            Exception: Whatever the pipeline raises.
        """
        pipeline, asked, history = task.pipeline, task.question.question, task.question.history
        key = task.answer_key
        if replays(pipeline):
            return KeyedResult(pipeline.replayed(task.question.id), key)
        if (known := self._recall(pipeline, ANSWER, key, answer_from_json)) is not None:
            return KeyedResult(known, key, is_cached=True)
        await self._load(pipeline)
        if not retrieves_first(pipeline):
            await self._check_judge(task)
            answer = await _answered(task)
            self._keep(pipeline, {ANSWER: key}, answer_to_json(answer), task)
            return KeyedResult(answer, key)
        retrieval = await put(pipeline.retrieve, asked, history)
        written = written_key(task, pipeline.writing, retrieval.contexts)
        if (known := self._recall(pipeline, ANSWER_FROM_CONTEXTS, written, answer_from_json)) is not None:
            answer = placed(known, retrieval)
            self._keep(pipeline, {ANSWER: key}, answer_to_json(answer), task)
            return KeyedResult(answer, key, is_cached=True)
        await self._check_judge(task)
        answer = await put(pipeline.write, asked, history, retrieval)
        self._keep(pipeline, {ANSWER: key, ANSWER_FROM_CONTEXTS: written}, answer_to_json(answer), task)
        return KeyedResult(answer, key)

    async def judgement(self, task: Task, answer: Answer, *, judging: int = 0) -> KeyedResult[Judgement]:
        """Return the judgement of `answer`, made now or before.

        Args:
            task: What is evaluated.
            answer: Its answer.
            judging: 0 for the first judging of this answer; a further one is never a replay of it.

        Raises:
            UsageError: The judge cannot be loaded.
            Exception: Whatever the judge raises.
        """
        judge = task.judge
        key = scores_key(task, answer, judging)
        if (known := self._recall(judge, SCORES, key, judgement_from_json)) is not None:
            return KeyedResult(pointing_into(known, answer.contexts), key, is_cached=True)
        await self._load(judge)
        judgement = await _judged(judge, task.question, answer)
        # Whether another try would give a verdict, only the judge can tell.
        if profile_of(judge).unscored_is_final or all(s.value is not None for s in judgement.scores):
            self._keep(judge, {SCORES: key}, judgement_to_json(judgement), task)
        return KeyedResult(judgement, key)

    async def explanation(self, task: Task, answer: Answer, score: Score) -> KeyedResult[Explanation] | None:
        """Return what the judging model says of a breach, said now or before; None where it says nothing.

        Raises:
            UsageError: The judge cannot be loaded.
            Exception: Whatever the model raises.
        """
        judge, claim = task.judge, score.weakest
        explainer = explainer_of(judge)
        if explainer is None or claim is None or score.metric not in TASKS or claim.fault:
            return None
        key = _explanation_key(explainer, task.question, answer, score.metric, claim)
        if (known := self._recall(judge, EXPLANATION, key, partial(from_json, Explanation))) is not None:
            return KeyedResult(known, key, is_cached=True)
        await self._load(judge)
        explain = partial(explainer.explain, score.metric, task.question, answer, claim)
        made = await asyncio.to_thread(explain)
        self._keep(judge, {EXPLANATION: key}, asdict(made), task)
        return KeyedResult(made, key)

    def known(self, task: Task) -> tuple[KeyedResult[Answer], KeyedResult[Judgement]] | None:
        """Return answer and judgement if both were made before, without making anything; from any thread.

        None as well for a task with several judgings, one whose breaches are explained, a turn behind others,
        and one with checks, which are made anew: what is known of them is found as it is evaluated.
        """
        if task.judgings > 1 or task.explains or task.earlier or task.has_checks:
            return None
        answer = self._there(task)
        if answer is None:
            return None
        key = scores_key(task, answer.value)
        judgement = self._recall(task.judge, SCORES, key, judgement_from_json)
        if judgement is None:
            return None
        placed = pointing_into(judgement, answer.value.contexts)
        return answer, KeyedResult(placed, key, is_cached=True)

    def peek(self, task: Task) -> tuple[bool, bool]:
        """Return whether the answer to `task` and its judgement were made before, without making anything.

        An answer that would be found by its passages counts as not made: nothing is retrieved. So does one to
        a turn with an earlier one whose answer is not known.
        """
        turn = with_known_history(task, self._made)
        answer = self._made(turn) if turn else None
        if turn is None or answer is None:
            return False, False
        key = scores_key(turn, answer)
        return True, self._recall(turn.judge, SCORES, key, judgement_from_json, is_use=False) is not None

    def _made(self, task: Task) -> Answer | None:
        made = self._there(task, is_use=False)
        return made.value if made else None

    def examples(self, kind: str, name: str) -> list[tuple[tuple[Tokens, ...], float]]:
        """Return tokens and seconds of the latest answers or judgements that something called `name` made.

        The tokens of a judgement are those of each judge of an ensemble.
        """
        made = self.cache.recent(kind, name) if self.cache else []
        if kind == SCORES:
            judgements = (_read(data, judgement_from_json) for data in made)
            return [(judged.parts, judged.seconds) for judged in judgements if judged]
        if kind == EXPLANATION:
            said = (_read(data, partial(from_json, Explanation)) for data in made)
            return [((one.tokens,), one.seconds) for one in said if one]
        answers = (_read(data, answer_from_json) for data in made)
        return [((answer.total,), sum(answer.seconds.values())) for answer in answers if answer]

    def _there(self, task: Task, *, is_use: bool = True) -> KeyedResult[Answer] | None:
        """Return the answer if it was made before; one that cannot be had says so when it is evaluated."""
        if replays(task.pipeline):
            with suppress(Exception):
                return KeyedResult(task.pipeline.replayed(task.question.id), task.answer_key)
            return None
        key = task.answer_key
        known = self._recall(task.pipeline, ANSWER, key, answer_from_json, is_use=is_use)
        return None if known is None else KeyedResult(known, key, is_cached=True)

    async def _check_judge(self, task: Task) -> None:
        """Load a judge on a server before there is an answer: one that it cannot judge costs for nothing."""
        if (profile_of(task.judge).most_at_once or 1) > 1:
            await self._load(task.judge)

    async def _load(self, thing: Pipeline | Judge) -> None:
        # isinstance() of a protocol takes 6 microseconds, and this is asked for every evaluation.
        if not hasattr(thing, "load"):
            return
        loading = self._loading.get(id(thing))
        try:
            if loading is not None and loading.done():
                loading.result()
                return
            with span("load") as step:
                step.set({"evals.loaded": thing.name})
                loading = loading or asyncio.ensure_future(asyncio.to_thread(load, thing))
                self._loading[id(thing)] = loading
                # Others wait for the same loading: one that gives up does not end it.
                await asyncio.shield(loading)
        except ModelDiedError:
            raise  # nothing is wrong with the configuration
        except RagError as error:
            raise UsageError(str(error)) from error

    def _recall(
        self,
        thing: Pipeline | Judge,
        kind: str,
        key: str,
        read: Callable[[Mapping[str, Any]], T],
        *,
        is_use: bool = True,
    ) -> T | None:
        if self.cache is None or not profile_of(thing).is_cacheable:
            return None
        found = self.cache.recall(kind, [key], is_use=is_use).get(key)
        return _read(found, read) if found else None

    def _keep(
        self, thing: Pipeline | Judge, keys: Mapping[str, str], made: Mapping[str, Any], task: Task
    ) -> None:
        if self.cache is None or not profile_of(thing).is_cacheable:
            return
        if self._masks_texts and masked_parts(made) != made:
            return
        if any(masked_text(text) != text for text in _addresses_and_reasons(made)):
            return
        try:
            data = canonical(made).encode(errors="surrogatepass")
        except (TypeError, ValueError):
            return  # a NaN, or what JSON has no form for: the record says it
        identity = profile_of(thing).identity
        name = task.name if thing is task.pipeline else thing.name
        maker = Maker(
            masked_fingerprint(thing.fingerprint), name, identity if isinstance(identity, Mapping) else {}
        )
        for kind, key in keys.items():
            self.cache.keep(kind, {key: data}, subject=task.question.id, maker=maker)


def _addresses_and_reasons(made: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is recorded without its secrets: kept without them, it would be another answer's."""
    yield from (name for one in made.get("contexts", ()) if "://" in (name := one["document"]))
    for score in made.get("scores", ()):
        yield from (reason for one in (score, *score["claims"]) if (reason := one["reason"]))


async def _answered(task: Task) -> Answer:
    asked = task.question.question
    with span("answer") as step:
        step.set({INPUT: asked})
        ask = partial(put, task.pipeline.answer, asked, task.question.history)
        answer = await (task.calls.made(ask) if task.calls else ask())
        if not isinstance(answer, Answer):
            raise TypeError(f"answer() gave {type(answer).__name__}, not an Answer")
        step.set_from(_answer_told, answer)
    return answer


def _answer_told(answer: Answer) -> dict[str, Any]:
    # All that is known of the passages of anyone's own pipeline.
    return {OUTPUT: answer.text, **documents(RETRIEVED, answer.contexts)}


async def _judged(judge: Judge, question: Question, answer: Answer) -> Judgement:
    with span("judge", kind="EVALUATOR") as step:
        judgement = await judge.score(question, answer)
        if not isinstance(judgement, Judgement):
            raise TypeError(f"score() gave {type(judgement).__name__}, not a Judgement")
        step.set_from(_judgement_told, judge, question, answer, judgement)
        if missing := [
            f"{score.metric}: {score.reason}" for score in judgement.scores if score.value is None
        ]:
            step.fail("; ".join(missing))
    return judgement


def _judgement_told(judge: Judge, question: Question, answer: Answer, judgement: Judgement) -> dict[str, Any]:
    scores = {score.metric: score.value for score in judgement.scores}
    return {
        "evals.judge": judge.name,
        INPUT: f"{question.question}\n\n{answer.text}",
        OUTPUT: canonical(scores),
        **{f"evals.score.{metric}": value for metric, value in scores.items()},
    }


def scores_key(task: Task, answer: Answer, judging: int = 0) -> str:
    """Return the identity of a judgement of `answer`; `judging` is 0 for the first."""
    question = task.question
    again = {"judging": judging} if judging else {}
    criteria = {metric.name: metric.criterion.fingerprint for metric in task.judged if metric.criterion}
    return digest(
        {
            **again,
            **({"criteria": criteria} if criteria else {}),
            "judge": task.judge.fingerprint,
            "metrics": [metric.name for metric in task.judged],
            "question": _asked(question),
            "answer": [answer.text, answer.finished],
            # The page is in what is said of a breach; where on it a passage begins is not.
            "contexts": [[context.text, context.document, *_pages(context)] for context in answer.contexts],
            "repeat": task.turn,
            **_cited(task, answer),
        }
    )


def _asked(question: Question) -> list[Any]:
    return [question.question, question.reference, question.answerable, *said_before(question)]


def _cited(task: Task, answer: Answer) -> dict[str, Any]:
    """Return what a judgement of citations depends on besides the text and the passages."""
    if not any(metric.name in CITATION_METRICS for metric in task.judged):
        return {}
    cited = list(map(citation_to_json, answer.citations))
    return {"citations": [CITATIONS_VERSION, cited, answer.cites]}


def _explanation_key(
    explainer: Explains, question: Question, answer: Answer, metric: str, claim: ClaimScore
) -> str:
    return digest(
        {
            "explainer": explainer.fingerprint,
            "version": VERSION,
            "metric": metric,
            "question": _asked(question),
            "claim": [claim.text, claim.closest.text if claim.closest else None],
            "contexts": [context.text for context in answer.contexts],
        }
    )


def _pages(context: Context) -> list[int | None]:
    return [context.page] if context.page_end is None else [context.page, context.page_end]


def _read(data: bytes, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """Read an item; one of another form than this version's is none."""
    try:
        return read(json.loads(data))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
