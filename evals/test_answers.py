"""Every question to every pipeline: is the answer faithful to its contexts, and does it answer?"""

from __future__ import annotations

import pytest
from rag_evals.evals.plugin.evaluate_fixture import Evaluate
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Pipeline

pytestmark = [pytest.mark.evals, pytest.mark.asyncio]


async def test_answer_is_faithful_and_relevant(
    evaluate: Evaluate, pipeline: Pipeline, question: Question
) -> None:
    """The answer holds its thresholds; a question that the documents cannot answer is declined."""
    evaluation = await evaluate(pipeline, question)
    evaluation.require()
