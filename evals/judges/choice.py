"""The choice judge: reads its verdicts from token probabilities."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

from evals.prompts import METRICS, Metric, judge_prompt, metrics_for
from evals.questions import Question
from evals.records import Judgement, Score
from rag.answer import Answer, Tokens
from rag.identity import digest
from rag.llm import LLM

# With less of the probability than this on the offered options, the model answered something else.
LEAST_MASS = 0.5


class ChoiceJudge:
    """Asks the model one yes/no question a metric and reads the answer from its next-token distribution.

    A prompt with contexts begins with the very parts the answer was written from, so with the same model a
    verdict costs one forward pass over answer and task.

    Args:
        llm: The judging model.
    """

    def __init__(self, llm: LLM) -> None:
        self.name = f"choice ({llm.name})"
        self.fingerprint = digest(
            {
                "judge": "choice",
                "llm": llm.fingerprint,
                "least_mass": LEAST_MASS,
                "metrics": [asdict(metric) for metric in METRICS.values()],
                "prompt": [*_EMPTY.parts, _EMPTY.system],
            }
        )
        self._llm = llm

    async def score(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.score_now, question, answer)

    def score_now(self, question: Question, answer: Answer) -> Judgement:
        """Score `answer` by every metric that applies to `question`."""
        start = time.perf_counter()
        scored = [self._ask(metric, question, answer) for metric in metrics_for(question)]
        tokens = sum((used for _, used in scored), Tokens())
        return Judgement(tuple(score for score, _ in scored), time.perf_counter() - start, tokens)

    def _ask(self, metric: Metric, question: Question, answer: Answer) -> tuple[Score, Tokens]:
        if not answer.text.strip():
            return Score(metric.name, None, reason="the answer is empty"), Tokens()
        choice = self._llm.choose(judge_prompt(metric, question, answer), ("yes", "no"))
        mass = 1.0 - choice.other
        if mass < LEAST_MASS:
            reason = f"only {mass:.2f} of the judge's probability fell on yes or no"
            return Score(metric.name, None, reason=reason), choice.tokens
        value = choice.share(metric.good)
        return Score(metric.name, value, evidence=_evidence(metric, answer)), choice.tokens


_EMPTY = judge_prompt(METRICS["faithfulness"], Question(id="-", question=""), Answer("", ()))


def _evidence(metric: Metric, answer: Answer) -> str:
    """Say what a low score means: the answer, the complaint, and the best ranked context if it was read."""
    contexts = answer.contexts if metric.reads_contexts else ()
    best = max(contexts, key=lambda context: context.score or 0.0, default=None)
    page = f" p.{best.page}" if best and best.page else ""
    where = f" (best ranked: {best.document}{page})" if best and best.document else ""
    return f'"{_shortened(answer.text)}" {metric.breach}{where}'


def _shortened(text: str, width: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
