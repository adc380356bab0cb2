"""Evaluation of retrieval-augmented generation with pytest: the names that users need.

Each is imported when it is first used. In a checkout the packages `rag`, `evals` and `fixtures` lie beside
this one, a wheel has them inside; either way they are `rag_evals.rag`, `rag_evals.evals` and
`rag_evals.fixtures`, so that they hide nothing of a user's own project.
"""

from __future__ import annotations

import os.path

# Every pytest session of the environment imports this, and `typing` alone costs more than all of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rag_evals.evals.judges.criteria.check import Check
    from rag_evals.evals.judges.criteria.checks import (
        contains,
        json_schema,
        language,
        max_seconds,
        max_tokens,
        numbers_match,
        regex,
    )
    from rag_evals.evals.judges.criteria.criterion import Criterion
    from rag_evals.evals.judges.judge import Judge
    from rag_evals.evals.questions.question import Question, Source
    from rag_evals.evals.reports.dataframe import to_pandas
    from rag_evals.evals.runs.score import Score
    from rag_evals.rag.answer import Answer, Citation, Context, Message
    from rag_evals.rag.pipelines.adapters import pipeline_from, pipeline_from_query_engine
    from rag_evals.rag.pipelines.frameworks.dspy import pipeline_from_dspy
    from rag_evals.rag.pipelines.frameworks.haystack import pipeline_from_haystack
    from rag_evals.rag.pipelines.frameworks.langchain import pipeline_from_langchain
    from rag_evals.rag.pipelines.services.service import pipeline_from_http

__all__ = [
    "Answer",
    "Check",
    "Citation",
    "Context",
    "Criterion",
    "Judge",
    "Message",
    "Question",
    "Score",
    "Source",
    "contains",
    "json_schema",
    "language",
    "max_seconds",
    "max_tokens",
    "numbers_match",
    "pipeline_from",
    "pipeline_from_dspy",
    "pipeline_from_haystack",
    "pipeline_from_http",
    "pipeline_from_langchain",
    "pipeline_from_query_engine",
    "regex",
    "to_pandas",
]

_HOMES = {
    "Answer": "rag_evals.rag.answer",
    "Check": "rag_evals.evals.judges.criteria.check",
    "Citation": "rag_evals.rag.answer",
    "Context": "rag_evals.rag.answer",
    "Criterion": "rag_evals.evals.judges.criteria.criterion",
    "Judge": "rag_evals.evals.judges.judge",
    "Message": "rag_evals.rag.answer",
    "Question": "rag_evals.evals.questions.question",
    "Score": "rag_evals.evals.runs.score",
    "Source": "rag_evals.evals.questions.question",
    "contains": "rag_evals.evals.judges.criteria.checks",
    "json_schema": "rag_evals.evals.judges.criteria.checks",
    "language": "rag_evals.evals.judges.criteria.checks",
    "max_seconds": "rag_evals.evals.judges.criteria.checks",
    "max_tokens": "rag_evals.evals.judges.criteria.checks",
    "numbers_match": "rag_evals.evals.judges.criteria.checks",
    "pipeline_from": "rag_evals.rag.pipelines.adapters",
    "pipeline_from_dspy": "rag_evals.rag.pipelines.frameworks.dspy",
    "pipeline_from_haystack": "rag_evals.rag.pipelines.frameworks.haystack",
    "pipeline_from_http": "rag_evals.rag.pipelines.services.service",
    "pipeline_from_langchain": "rag_evals.rag.pipelines.frameworks.langchain",
    "pipeline_from_query_engine": "rag_evals.rag.pipelines.adapters",
    "regex": "rag_evals.evals.judges.criteria.checks",
    "to_pandas": "rag_evals.evals.reports.dataframe",
}

if not os.path.isdir(os.path.join(__path__[0], "evals")):  # noqa: PTH112, PTH118 - pathlib costs more than all of this
    __path__.append(os.path.dirname(__path__[0]))  # noqa: PTH120


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
