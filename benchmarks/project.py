"""The project that a benchmark has pytest run: its conftest, its suite, its ini file and its questions."""

from __future__ import annotations

import json
from pathlib import Path

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
# Each answer is held to its thresholds.
SUITE = """
async def test_answer(evaluate, pipeline, question):
    evaluation = await evaluate(pipeline, question)
    evaluation.require()
"""
# Each answer is evaluated, whatever comes of it.
UNHELD = """
async def test_answer(evaluate, pipeline, question):
    await evaluate(pipeline, question)
"""
ASKING = """evals_pipelines = {pipeline}
evals_questions = questions.jsonl
"""


def write_project(folder: Path, conftest: str, settings: str, suite: str = SUITE) -> None:
    """Write all but the questions; `settings` are the lines of the ini file that are ours."""
    texts = {"conftest.py": conftest, "test_evals.py": suite, "pytest.ini": INI + settings}
    for name, text in texts.items():
        (folder / name).write_text(text)


def write_questions(folder: Path, count: int, question: str = "What is {}?") -> None:
    """Write so many questions, each with its number in it."""
    lines = (json.dumps({"id": f"q{n}", "question": question.format(n)}) for n in range(count))
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
