"""Tests that were to evaluate and never did: their evaluations are unscored, so that they count as lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score

# What a reader needs of each.
KEYS = {"test", "pipeline", "question_id", "question", "answerable", "tags", "repeat", "metrics"}
# The type of the line that says what is to be evaluated.
ASKED = "asked"
UNKNOWN = "unknown"
# The type of the line with which a run goes on that was interrupted.
CONTINUED = "continued"
# Why a run that was killed has no evaluation of a test.
NEVER_REACHED = "the session ended before"


def asked_test(
    test: str, pipeline: str | None, question: Question, repeat: int, metrics: Sequence[str]
) -> dict[str, Any]:
    """Return what is kept of a test that is to evaluate, as JSON.

    Args:
        test: Its node id.
        pipeline: The name of the pipeline; None where only the test knows.
        question: What it asks.
        repeat: Which repeat of the question it is.
        metrics: The metrics that are to be scored.
    """
    return {
        "test": test,
        "pipeline": pipeline,
        "question_id": question.id,
        "question": question.question,
        "answerable": question.answerable,
        "tags": list(question.tags),
        "repeat": repeat,
        "metrics": list(metrics),
    }


def undecided(
    asked: Mapping[str, Any], reason: str, *, pipeline: str | None = None, attempt: int = 0
) -> Evaluation:
    """Return the evaluation of a test that ended before it had one.

    Args:
        asked: What `asked_test` gave.
        reason: Why there is none, on one line.
        pipeline: The name of the pipeline where `asked` has none, if it is known by now.
        attempt: Which attempt of the test it was.

    Raises:
        KeyError: Something is missing in `asked`.
    """
    return Evaluation(
        question=Question(
            asked["question_id"],
            asked["question"],
            tags=tuple(asked["tags"]),
            answerable=asked["answerable"],
        ),
        pipeline=asked["pipeline"] or pipeline or UNKNOWN,
        answer=None,
        scores=tuple(Score(metric, None, reason=reason) for metric in asked["metrics"]),
        thresholds={},
        repeat=asked["repeat"],
        attempt=attempt,
        test=asked["test"],
    )


def asked_in(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tests that a line of the records says are to evaluate; of other lines, none."""
    tests = event.get("tests") if event["type"] == ASKED else ()
    return [one for one in tests or () if isinstance(one, dict) and one.keys() >= KEYS]


def was_made(evaluation: Evaluation) -> bool:
    """Return whether there is anything in it that a run which goes on need not make again."""
    return evaluation.answer is not None or evaluation.error is not None


def never_reached(asked: Sequence[Mapping[str, Any]], evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the evaluations that a run which was killed never came to."""
    return all_undecided(asked, evaluations, {one["test"]: NEVER_REACHED for one in asked})


def all_undecided(
    asked: Iterable[Mapping[str, Any]], evaluations: Sequence[Evaluation], reasons: Mapping[str, str]
) -> list[Evaluation]:
    """Return the evaluations of the tests that `reasons` names and that have none.

    Args:
        asked: The tests that were to evaluate.
        evaluations: Those that are there.
        reasons: Why others are not, by node id.
    """
    decided = {evaluation.test for evaluation in evaluations}
    names = {_function(evaluation.test): evaluation.pipeline for evaluation in evaluations}
    return [
        undecided(one, reasons[one["test"]], pipeline=names.get(_function(one["test"])))
        for one in asked
        if one["test"] in reasons and one["test"] not in decided
    ]


def _function(test: str) -> str:
    """Return the node id of the test function: its tests ask the same pipelines."""
    return test.partition("[")[0]
