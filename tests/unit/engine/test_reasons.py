"""Reasons of breaches in the engine: what they cost when they cannot be had, and what is kept of them."""

from __future__ import annotations

import pytest
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.evaluate import evaluate
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.judge import Explanation
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.evals.testing import FakePipeline
from rag_evals.rag.answer import Tokens


class Explaining:
    """A judge that finds one of two metrics breached, and says why unless it fails."""

    name = fingerprint = "judge"

    def __init__(self, trouble: Exception | None = None) -> None:
        self.explainer = self
        self.asked: list[str] = []
        self._trouble = trouble

    async def score(self, question, answer) -> Judgement:
        scores = (
            Score(metric, value, claims=(ClaimScore("So.", value),), breach="is wrong")
            for metric, value in (("faithfulness", 0.1), ("relevancy", 0.9))
        )
        return Judgement(tuple(scores), 1.0, Tokens(evaluated=5))

    def explain(self, metric, question, answer, claim) -> Explanation:
        self.asked.append(metric)
        if self._trouble:
            raise self._trouble
        return Explanation("It is not so.", Tokens(evaluated=7, generated=3), 0.5)


async def evaluation(judge: Explaining, cache: Cache | None = None, **changes) -> Evaluation:
    thresholds = dict.fromkeys(("faithfulness", "relevancy"), 0.5)
    pipeline, question = FakePipeline({"Is it?": "So."}), Question("q", "Is it?")
    changes = {"explains": lambda _: thresholds, **changes}
    task = Task(pipeline, question, judge, ("faithfulness", "relevancy"), "base", **changes)
    return await evaluate(task, ReuseCache(cache))


async def test_only_breaches_are_explained():
    """The sentence is on the score, and what it took on the evaluation, apart from the verdicts."""
    judge = Explaining()
    found = await evaluation(judge)
    assert [score.explanation for score in found.scores] == ["It is not so.", None]
    assert judge.asked == ["faithfulness"]
    assert (found.tokens["reasons"], found.seconds["reasons"]) == (Tokens(7, 0, 3), 0.5)
    assert found.tokens["judge"] == Tokens(evaluated=5)
    assert found.judged == (Tokens(12, 0, 3),)


@pytest.mark.parametrize("trouble", [RuntimeError("the model is gone"), TimeoutError()])
async def test_a_reason_that_cannot_be_had_costs_no_verdict(trouble):
    """The score counts without it."""
    found = await evaluation(Explaining(trouble))
    assert [(score.value, score.explanation) for score in found.scores] == [(0.1, None), (0.9, None)]
    assert "reasons" not in found.tokens


async def test_a_reason_is_kept(tmp_path):
    """It is written once; what is reused costs nothing now."""
    cache = Cache(tmp_path / "cache.sqlite")
    judge = Explaining()
    first, again = await evaluation(judge, cache), await evaluation(judge, cache)
    cache.close()
    assert [score.explanation for score in again.scores] == ["It is not so.", None]
    assert judge.asked == ["faithfulness"]
    assert (again.tokens, again.judged) == (first.tokens, (Tokens(evaluated=5),))


async def test_none_where_none_are_asked_for():
    """Without the option the judge is asked for none."""
    judge = Explaining()
    found = await evaluation(judge, explains=None)
    assert (judge.asked, found.scores[0].explanation) == ([], None)
