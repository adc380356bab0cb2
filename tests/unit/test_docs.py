"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from evals.asking import Asker, whole_of
from evals.metrics import Metric
from evals.prompts import Wording
from evals.questions import Question
from evals.readings import Reading
from evals.testing import ScriptedLLM
from rag.answer import Answer

DOCS = Path(__file__).parents[2] / "docs"


def test_metric_of_your_own():
    """The metric that docs/judging.md adds in under 30 lines works, and so does its test."""
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "judging.md").read_text("utf-8"), re.DOTALL)
    assert len(example.splitlines()) < 30
    names = {
        thing.__name__: thing
        for thing in (Asker, whole_of, Metric, Wording, Question, Reading, ScriptedLLM, Answer, Iterable)
    }
    exec(compile(example, "docs/judging.md", "exec"), names)
    names["test_conciseness"]()
    assert names["metric"].name == "conciseness"
    assert names["how"] == {"conciseness": names["conciseness"]}
