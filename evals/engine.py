"""The engine: a question and a pipeline to an evaluation, on an event loop of its own in its own thread.

Tests may be async (they await) or plain (they call `result()`); no loop of theirs is patched or shared.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any

from evals.judges import Judge
from evals.metrics import DEFAULT_METRICS, metrics_for
from evals.questions import Question
from evals.records import Evaluation, Judgement, Score
from rag.answer import Answer, Pipeline

SOON = 0.001  # seconds


async def evaluate(
    pipeline: Pipeline,
    question: Question,
    judge: Judge,
    thresholds: Mapping[str, float],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    name: str | None = None,
    enforced: bool = True,
) -> Evaluation:
    """Ask the pipeline, then the judge.

    Whatever the pipeline raises becomes the evaluation's `error`; whatever the judge raises leaves the
    scores unscored with that reason. One question's trouble is never another's: not even `SystemExit`, which
    would end the engine's thread and leave every later test waiting.

    Args:
        pipeline: What is asked.
        question: The question.
        judge: What scores the answer.
        thresholds: Least value that is no breach, by metric.
        metrics: Names of the metrics that are unscored when there is no answer or no judgement.
        name: Name of the pipeline in records and reports; its own by default.
        enforced: Whether a breach is to fail its test.
    """
    name = name or pipeline.name
    try:
        answer = await pipeline.answer(question.question)
        if not isinstance(answer, Answer):
            raise TypeError(f"answer() gave {type(answer).__name__}, not an Answer")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the system under test may raise anything
        judgement = _all_unscored(question, metrics, "there is no answer")
        return Evaluation(
            question,
            name,
            None,
            judgement.scores,
            thresholds,
            error=_named(error),
            enforced=enforced,
        )
    try:
        judgement = await judge.score(question, answer)
        if not isinstance(judgement, Judgement):
            raise TypeError(f"score() gave {type(judgement).__name__}, not a Judgement")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a judge that fails has given no verdict
        judgement = _all_unscored(question, metrics, f"the judge raised {_named(error)}")
    if not judgement.scores:
        # Nothing could be below its threshold: the question would pass without a verdict.
        judgement = _all_unscored(question, metrics, "the judge gave no score")
    return Evaluation(
        question=question,
        pipeline=name,
        answer=answer,
        scores=judgement.scores,
        thresholds=thresholds,
        seconds={**answer.seconds, "judge": judgement.seconds},
        tokens=answer.tokens + judgement.tokens,
        enforced=enforced,
    )


def _all_unscored(question: Question, metrics: Sequence[str], reason: str) -> Judgement:
    applying = metrics_for(question, metrics)
    return Judgement(tuple(Score(metric.name, None, reason=reason) for metric in applying))


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Engine:
    """An event loop in a daemon thread; `submit` from any thread or loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="evals-engine", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Any) -> Future[Evaluation]:
        """Start `coroutine` on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Stop the loop; what still runs is cancelled."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class PendingEvaluation:
    """An evaluation under way: await it in an async test, call `result()` in a plain one.

    Args:
        future: The engine's.
        record: Called with the evaluation before the test gets it: recorded first, asserted after.
    """

    def __init__(self, future: Future[Evaluation], record: Callable[[Evaluation], None]) -> None:
        self._future = future
        self._record = record
        self._is_recorded = False

    def __await__(self) -> Generator[Any, None, Evaluation]:
        # Waking the test's loop from the engine's thread costs 0.4 ms, more than a fake or a remembered
        # evaluation takes: wait that moment for it, and only then leave the loop to others.
        wait((self._future,), timeout=SOON)
        if not self._future.done():
            yield from asyncio.wrap_future(self._future).__await__()
        return self.result()

    def result(self) -> Evaluation:
        """Wait for the evaluation and give it."""
        return self._recorded(self._future.result())

    def _recorded(self, evaluation: Evaluation) -> Evaluation:
        """Record `evaluation` the first time it is asked for."""
        if not self._is_recorded:
            self._record(evaluation)
            self._is_recorded = True
        return evaluation
