"""Evaluated samples of ragas: a dataset or a result, as JSON Lines, a JSON list or CSV.

Schema: `SingleTurnSample`, `MultiTurnSample` and `EvaluationResult.to_pandas` (`ragas/dataset_schema.py`) of
ragas 0.2 to 0.4, whose rows have a column for each metric; those of 0.1 have `question`, `answer`, `contexts`
and `ground_truth`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_evals.evals.answers.formats.line import Skipped, answer_line
from rag_evals.evals.answers.formats.messages import answered_in, asked_in, messages_in, unpacked
from rag_evals.evals.answers.formats.retrieved import passages_in
from rag_evals.evals.answers.formats.values import first_there, text, texts
from rag_evals.evals.base.fields import fits as is_kind
from rag_evals.evals.base.fields import number
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.cells import parse_printed
from rag_evals.evals.questions.formats.ragas import is_old

NAME = "ragas"
_ASKED = ("user_input", "question")
_SAID = ("response", "answer")
_FOUND = ("retrieved_contexts", "contexts")
_RIGHT = ("reference", "ground_truth", "ground_truths")
_OURS = frozenset(
    (*_ASKED, *_SAID, *_FOUND, *_RIGHT, "reference_contexts", "multi_responses", "rubrics", "rubric")
)


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is an evaluated sample."""
    is_new = "user_input" in record and ("response" in record or isinstance(record["user_input"], list))
    return is_new or (is_old(record) and "answer" in record)


def lines(record: Mapping[str, Any]) -> Iterator[dict[str, Any] | Fault | Skipped]:
    """Yield the line of a logged answer that a sample is."""
    try:
        told = {key: parse_printed(value) if key in _FOUND else value for key, value in record.items()}
    except ValueError as error:
        yield Fault((f"the contexts: {error}",))
        return
    given = first_there(told, _ASKED)
    given = parse_printed(given) if isinstance(given, str) and given.startswith("[{") else given
    reply, asked_of = first_there(told, _SAID), given
    if reply is None and isinstance(given, list):
        reply, asked_of = _parted(given)
    asked, answer = asked_in(asked_of), answered_in(reply)
    right = first_there(told, _RIGHT)
    right = right[0] if isinstance(right, list) and right else right
    contexts = passages_in(first_there(told, _FOUND))
    yield answer_line(asked, answer, contexts, reference=text(right), metadata=_metadata(told))


def _parted(messages: list[Any]) -> tuple[object, object]:
    """Return the last reply of a conversation, and the messages before it."""
    said = messages_in(messages)
    places = [n for n, message in enumerate(said) if message.role == "assistant" and message.text.strip()]
    return (said[places[-1]].text, messages[: places[-1]]) if places else (None, messages)


def _metadata(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores, whatever the metrics are called, and the passages that would have been right."""
    numbers = {key: _number(value) for key, value in told.items() if key not in _OURS}
    scores = {key: value for key, value in numbers.items() if value is not None}
    known = {"scores": scores, "reference_contexts": texts(unpacked(told.get("reference_contexts")))}
    return {key: value for key, value in known.items() if value}


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and is_kind(number, value) else None
