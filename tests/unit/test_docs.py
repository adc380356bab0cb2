"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rag_evals.evals.judges.grader import Grader, whole_of
from rag_evals.evals.judges.judge import RawScore
from rag_evals.evals.judges.metrics import Metric
from rag_evals.evals.judges.prompts import Wording
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer

DOCS = Path(__file__).parents[2] / "docs"


def test_metric_of_your_own():
    """The metric that docs/judging.md adds in under 30 lines works, and so does its test."""
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "judging.md").read_text("utf-8"), re.DOTALL)
    assert len(example.splitlines()) < 30
    names = {
        thing.__name__: thing
        for thing in (Grader, whole_of, Metric, Wording, Question, RawScore, ScriptedLLM, Answer, Iterable)
    }
    exec(compile(example, "docs/judging.md", "exec"), names)
    names["test_conciseness"]()
    assert names["metric"].name == "conciseness"
    assert names["how"] == {"conciseness": names["conciseness"]}
