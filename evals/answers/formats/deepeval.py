"""Test cases of DeepEval: a test run, the results of `evaluate()`, or cases alone.

Schema: `LLMApiTestCase` and `ConversationalApiTestCase` (`deepeval/test_run/api.py`), `TestRun`
(`deepeval/test_run/test_run.py`: `testCases`, in `.deepeval/.latest_test_run.json` under `testRunData`) and
`TestResult` (`test_results`) of DeepEval 3 and 4; names are written `actualOutput` or `actual_output`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rag_evals.evals.answers.formats.line import Skipped, answer_line
from rag_evals.evals.answers.formats.messages import (
    Asked,
    Said,
    answered_in,
    asked_in,
    history_of,
    messages_in,
    unpacked,
)
from rag_evals.evals.answers.formats.retrieved import Passages, passages_in
from rag_evals.evals.answers.formats.values import first_there, objects, text, texts
from rag_evals.evals.base.fields import fits as is_kind
from rag_evals.evals.base.fields import number
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats.deepeval import DELIMITER

NAME = "deepeval"
_RUNS = ("testRunData", "test_run_data")
_CASES = (
    *("testCases", "test_cases", "conversationalTestCases", "conversational_test_cases", "test_results"),
    "testResults",
)
_ANSWER = ("actualOutput", "actual_output")
_RIGHT = ("expectedOutput", "expected_output")
_FOUND = ("retrievalContext", "retrieval_context")
_METRICS = ("metricsData", "metrics_data")


def fits(record: Mapping[str, Any]) -> bool:
    """Return whether a record is a test case, or a run of them."""
    names = (*_RUNS, *_CASES, *_ANSWER)
    is_conversation = isinstance(record.get("turns"), list)
    return is_conversation or any(name in record for name in names)


def lines(record: Mapping[str, Any]) -> Iterator[dict[str, Any] | Fault | Skipped]:
    """Yield the lines of logged answers that a case, or each of a run, comes to."""
    run = next((record[name] for name in _RUNS if isinstance(record.get(name), Mapping)), record)
    listed = [name for name in _CASES if isinstance(run.get(name), list)]
    for case in (case for name in listed for case in run[name]):
        if isinstance(case, Mapping):
            yield from _of_case(case)
        else:
            yield Fault(("a test case is not an object",))
    if not listed:
        yield from _of_case(run)


def _of_case(case: Mapping[str, Any]) -> Iterator[dict[str, Any] | Fault | Skipped]:
    turns = unpacked(case.get("turns"))
    if isinstance(turns, list) and turns:
        yield from _of_turns(case, objects(turns))
        return
    asked, answer = asked_in(case.get("input")), answered_in(first_there(case, _ANSWER))
    seconds = first_there(case, ("completionTime", "completion_time"))
    yield answer_line(
        asked,
        answer,
        _contexts(case),
        reference=text(first_there(case, _RIGHT)),
        seconds=seconds if is_kind(number, seconds) and seconds >= 0 else None,
        **_about(case),
    )


def _of_turns(
    case: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any] | Skipped]:
    """Yield a line for each reply of a conversation, with the messages before it."""
    said: list[Said] = []
    is_empty = True
    for turn in turns:
        message = next(iter(messages_in([turn])), None)
        if message is None:
            continue
        asked = said[-1] if said else None
        if message.role == "assistant" and asked is not None and asked.role == "user":
            is_empty = False
            told = Asked(asked.text, history_of(said[:-1]))
            yield answer_line(told, message.text, _contexts(turn), **_about(case))
        said.append(message)
    if is_empty:
        yield Skipped("no reply to a question in its turns")


def _contexts(told: Mapping[str, Any]) -> Passages | None:
    found = first_there(told, _FOUND)
    if isinstance(found, str) and isinstance(unpacked(found), str):  # a cell of CSV
        found = [part for part in found.split(DELIMITER) if part.strip()]
    return passages_in(found)


def _about(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags, and as metadata the scores and the name of a case."""
    tags = [tag for tag in texts(case.get("tags")) if tag.strip()]
    scores = {
        one["name"]: one["score"]
        for one in objects(first_there(case, _METRICS))
        if isinstance(one.get("name"), str) and is_kind(number, one.get("score"))
    }
    name = case.get("name")
    known = {"name": name if isinstance(name, str) else None, "scores": scores}
    return {"tags": tags, "metadata": {key: value for key, value in known.items() if value}}
