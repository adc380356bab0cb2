"""Seconds and tokens a question, beside those of the baseline."""

from __future__ import annotations

from rag_evals.evals.gate.comparison.compare import CostChange, cost_changes
from rag_evals.evals.gate.comparison.pairing import Pair
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Answer, Tokens


def evaluation(name="a", pipeline="one", repeat=0, *, error=None, seconds=None, **tokens) -> Evaluation:
    answer = None if error else Answer("Two.")
    return Evaluation(
        Question(name, "How many?"), pipeline, answer, (), {},
        seconds or {}, tokens, repeat, error=error,
    )  # fmt: skip


def test_means_by_stage():
    """Stages in the order in which they come, whichever side has them, and all together."""
    pairs = [
        Pair(
            (evaluation(seconds={"generate": 1.0, "rerank": 3.0}, generate=Tokens(10, 5, 1)),),
            (evaluation(seconds={"retrieve": 0.5, "generate": 2.0}, generate=Tokens(20, 0, 3)),),
        ),
        Pair((evaluation("b"),), (evaluation("b", seconds={"generate": 4.0}),)),
    ]
    assert cost_changes(pairs) == (
        CostChange("one", "retrieve", 2, 0.0, 0.25, 0, 0),
        CostChange("one", "rerank", 2, 1.5, 0.0, 0, 0),
        CostChange("one", "generate", 2, 0.5, 3.0, 5.5, 11.5),
        CostChange("one", "all", 2, 2.0, 3.25, 5.5, 11.5),
    )


def test_repeats_and_errors():
    """Repeats are averaged first; what raised took no time worth comparing."""
    repeats = tuple(evaluation(repeat=n, seconds={"generate": n * 2.0}) for n in range(2))
    pairs = [
        Pair((evaluation(seconds={"generate": 5.0}),), repeats),
        Pair((evaluation("b", seconds={"generate": 9.0}),), (evaluation("b", error="OSError"),)),
        Pair((evaluation("c", "two", error="x"),), (evaluation("c", "two"),)),
    ]
    assert cost_changes(pairs) == (
        CostChange("one", "generate", 1, 5.0, 1.0, 0, 0),
        CostChange("one", "all", 1, 5.0, 1.0, 0, 0),
    )
    assert cost_changes([]) == ()
