"""Every question that has sources to every pipeline: does it find them?"""

from __future__ import annotations

import pytest
from rag_evals.evals.plugin.evaluate_fixture import EvaluateRetrieval
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Pipeline

pytestmark = [pytest.mark.evals, pytest.mark.asyncio]


async def test_sources_are_found(
    evaluate_retrieval: EvaluateRetrieval, pipeline: Pipeline, question: Question
) -> None:
    """What is found holds its thresholds; no language model is loaded."""
    evaluation = await evaluate_retrieval(pipeline, question)
    evaluation.require()
