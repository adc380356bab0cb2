"""The root span of an evaluation."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from rag_evals.evals.engine.task import Task
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.trace_lines import ROOT
from rag_evals.rag.tracing.conventions import INPUT
from rag_evals.rag.tracing.spans import Trace, TraceSpan


async def traced(task: Task, making: Awaitable[Evaluation]) -> Evaluation:
    """Make an evaluation, and give it with the spans of what was done for it."""
    trace = Trace(ROOT, _about(task))
    with trace.root:
        evaluation = await making
    return replace(evaluation, spans=trace.close())


def trace_of_nothing(task: Task) -> tuple[TraceSpan, ...]:
    """Return the trace of an evaluation for which nothing was done: it was made before."""
    trace = Trace(ROOT, _about(task))
    with trace.root:
        pass
    return trace.close()


def _about(task: Task) -> dict[str, Any]:
    return {
        "evals.question_id": task.question.id,
        "evals.pipeline": task.name,
        "evals.repeat": task.repeat,
        **({"evals.retrieval": True} if task.is_retrieval else {}),
        INPUT: task.question.question,
    }
