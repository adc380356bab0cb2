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

    from rag_evals.evals.judges.judge import Judge
    from rag_evals.evals.questions.question import Question, Source
    from rag_evals.evals.reports.dataframe import to_pandas
    from rag_evals.rag.answer import Answer, Citation, Context, Message
    from rag_evals.rag.pipelines.adapters import pipeline_from, pipeline_from_query_engine
    from rag_evals.rag.pipelines.frameworks.dspy import pipeline_from_dspy
    from rag_evals.rag.pipelines.frameworks.haystack import pipeline_from_haystack
    from rag_evals.rag.pipelines.frameworks.langchain import pipeline_from_langchain
    from rag_evals.rag.pipelines.services.service import pipeline_from_http

__all__ = [
    "Answer",
    "Citation",
    "Context",
    "Judge",
    "Message",
    "Question",
    "Source",
    "pipeline_from",
    "pipeline_from_dspy",
    "pipeline_from_haystack",
    "pipeline_from_http",
    "pipeline_from_langchain",
    "pipeline_from_query_engine",
    "to_pandas",
]

_HOMES = {
    "Answer": "rag_evals.rag.answer",
    "Citation": "rag_evals.rag.answer",
    "Context": "rag_evals.rag.answer",
    "Judge": "rag_evals.evals.judges.judge",
    "Message": "rag_evals.rag.answer",
    "Question": "rag_evals.evals.questions.question",
    "Source": "rag_evals.evals.questions.question",
    "pipeline_from": "rag_evals.rag.pipelines.adapters",
    "pipeline_from_dspy": "rag_evals.rag.pipelines.frameworks.dspy",
    "pipeline_from_haystack": "rag_evals.rag.pipelines.frameworks.haystack",
    "pipeline_from_http": "rag_evals.rag.pipelines.services.service",
    "pipeline_from_langchain": "rag_evals.rag.pipelines.frameworks.langchain",
    "pipeline_from_query_engine": "rag_evals.rag.pipelines.adapters",
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
