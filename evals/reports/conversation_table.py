"""Conversations of a run: how many passed, and of those that did not which turn is why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from rag_evals.evals.gate.comparison.baseline_gate import score_getter
from rag_evals.evals.gate.run_gate import all_passed
from rag_evals.evals.runs.evaluation import Evaluation

# Of one repeat of a conversation: its turns, as far as they were evaluated, in their order.
Turns = tuple[Evaluation, ...]
OUTCOMES = {1.0: "passed", 0.0: "failed", None: "unscored"}


def conversations_of(evaluations: Iterable[Evaluation]) -> list[Turns]:
    """Return the conversations of a run, by pipeline and name; retrieval by itself is none."""
    found: dict[tuple[str, str, int], list[Evaluation]] = {}
    for evaluation in evaluations:
        name = evaluation.question.conversation
        if name is not None and not evaluation.is_retrieval:
            found.setdefault((evaluation.pipeline, name, evaluation.repeat), []).append(evaluation)
    return [tuple(sorted(found[key], key=_number)) for key in sorted(found)]


def _number(evaluation: Evaluation) -> int:
    return evaluation.question.turn or 0


def conversation_rows(evaluations: Iterable[Evaluation]) -> list[tuple[str, ...]]:
    """Return the cells of the table, header first, a row a pipeline; nothing without conversations."""
    by_pipeline: dict[str, list[Turns]] = {}
    for turns in conversations_of(evaluations):
        by_pipeline.setdefault(turns[0].pipeline, []).append(turns)
    rows = []
    for pipeline, talks in by_pipeline.items():
        outcomes = [OUTCOMES[all_passed(turns)] for turns in talks]
        counts = (
            len(talks),
            *(outcomes.count(outcome) for outcome in OUTCOMES.values()),
            sum(map(len, talks)),
        )
        rows.append((pipeline, *(f"{count:,}" for count in counts)))
    return [("pipeline", "conversations", *OUTCOMES.values(), "turns"), *rows] if rows else []


def broken_lines(evaluations: Iterable[Evaluation]) -> list[str]:
    """Return a line for each conversation that did not pass, with the turns that did not."""
    return [
        f"{name_of(turns)}: {turns_text([turn for turn in turns if turn.outcome != 'passed'])}"
        for turns in conversations_of(evaluations)
        if all_passed(turns) != 1.0
    ]


def name_of(turns: Turns) -> str:
    """Return the pipeline and the name of a conversation, and which repeat of it, for people."""
    again = f" ({turns[0].repeat + 1})" if turns[0].repeat else ""
    return f"{turns[0].pipeline} {turns[0].question.conversation}{again}"


def turns_text(turns: Sequence[Evaluation]) -> str:
    """Return what came of turns, such as `turn 2 failed, turns 3 to 5 unscored`."""
    groups: list[tuple[str, list[int]]] = []
    for turn in turns:
        outcome = "gave an error" if turn.outcome == "error" else turn.outcome
        if groups and groups[-1][0] == outcome and groups[-1][1][-1] == _number(turn) - 1:
            groups[-1][1].append(_number(turn))
        else:
            groups.append((outcome, [_number(turn)]))
    return ", ".join(f"{_numbers(numbers)} {outcome}" for outcome, numbers in groups)


def _numbers(numbers: Sequence[int]) -> str:
    return f"turn {numbers[0]}" if len(numbers) == 1 else f"turns {numbers[0]} to {numbers[-1]}"


def each_conversation(evaluations: Iterable[Evaluation], metrics: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the cells of a table with a row a conversation, header first, those that did not pass first."""
    talks = sorted(conversations_of(evaluations), key=lambda turns: all_passed(turns) == 1.0)
    rows = [
        (name_of(turns), turns_text(turns), *(_mean(turns, metric) for metric in metrics)) for turns in talks
    ]
    return [("conversation", "turns", *metrics), *rows] if rows else []


def _mean(turns: Turns, metric: str) -> str:
    values = [value for value in map(score_getter(metric), turns) if value is not None]
    return f"{fmean(values):.2f}" if values else "-"
