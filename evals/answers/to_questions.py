"""What failed in a run becomes questions: yesterday's failure is tomorrow's test.

What was answered was wrong: it goes to the provenance, and never to the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rag_evals.evals.questions.question import Question, messages_to_json
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run
from rag_evals.rag.identity import digest

ORIGIN = "run"
Only = Literal["breaches", "unscored"]
_OUTCOMES: Mapping[str | None, tuple[str, ...]] = {
    None: ("failed", "error", "unscored"),
    "breaches": ("failed", "error"),
    "unscored": ("unscored",),
}


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the questions of a run.

    Attributes:
        questions: Those that are new.
        known: How many stood in the file before.
    """

    questions: tuple[Question, ...]
    known: int


def failed_questions(run: Run, only: Only | None = None, *, take_all: bool = False) -> tuple[Question, ...]:
    """Return the questions of a run that failed, each once, with what was wrong in the provenance.

    Args:
        run: The run.
        only: `breaches` takes those below a threshold or with an error, `unscored` those without a verdict.
        take_all: Whether to take those that passed as well.
    """
    failed: dict[str, list[Evaluation]] = {}
    for evaluation in run.evaluations:
        if take_all or evaluation.outcome in _OUTCOMES[only]:
            failed.setdefault(_asked(evaluation.question), []).append(evaluation)
    return tuple(_question(run, evaluations) for evaluations in failed.values())


def new_questions(known: Sequence[Question], found: Iterable[Question]) -> Added:
    """Return those questions that are not among the known ones; an id that is taken is made another."""
    asked = set(map(_asked, known))
    taken = {question.id for question in known}
    added, twice = [], 0
    for question in found:
        if _asked(question) in asked:
            twice += 1
            continue
        question = replace(question, id=_free(question, taken))
        asked.add(_asked(question))
        taken.add(question.id)
        added.append(question)
    return Added(tuple(added), twice)


def _asked(question: Question) -> str:
    """Return what tells one question from another: its words, whatever the blanks, and its history."""
    return digest([" ".join(question.question.split()).casefold(), messages_to_json(question.history)])


def _free(question: Question, taken: set[str]) -> str:
    if question.id not in taken:
        return question.id
    name, number = f"{question.id}-{_asked(question)[:8]}", 2
    while name in taken:
        name, number = f"{question.id}-{_asked(question)[:8]}-{number}", number + 1
    return name


def _question(run: Run, evaluations: Sequence[Evaluation]) -> Question:
    question = evaluations[0].question
    provenance = {
        "origin": ORIGIN,
        "run": run.name,
        **_told(run.header.line, "started"),
        **({"conversation": question.conversation, "turn": question.turn} if question.conversation else {}),
        "failures": [_failure(evaluation) for evaluation in evaluations],
    }
    # What was said before it stands in its history, so that it is asked without the turns before it.
    return replace(question, provenance=provenance, conversation=None, turn=None)


def _told(line: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: line[name]} if isinstance(line.get(name), str) else {}


def _failure(evaluation: Evaluation) -> dict[str, Any]:
    """Return what was wrong with an answer, and the answer."""
    known = {
        "pipeline": evaluation.pipeline,
        "repeat": evaluation.repeat or None,
        "outcome": evaluation.outcome,
        "error": evaluation.error,
        "scores": list(_scores(evaluation)),
        "answer": evaluation.answer.text if evaluation.answer else None,
        **{name: evaluation.logged.get(name) for name in ("trace", "time", "model")},
    }
    return {key: value for key, value in known.items() if value not in (None, [])}


def _scores(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield the scores that are below their thresholds, and those that could not be had with the reason."""
    for score in evaluation.scores:
        if score.value is None:
            yield {"metric": score.metric, "value": None, "reason": score.reason}
        elif evaluation.is_breach(score):
            yield {
                "metric": score.metric,
                "value": score.value,
                "threshold": evaluation.thresholds[score.metric],
            }
