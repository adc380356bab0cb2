"""docs/migrating.md: what it shows of ours runs as it stands, with a scripted application and judge."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"
QUESTION = "How many experts does each token use?"
# Their application, and what a project has beside: a judge, here one that is scripted.
APP = f"""
from types import SimpleNamespace

QUESTION = {QUESTION!r}
PASSAGE = "Each token uses two experts."


{{ask}} ask(question):
    assert question == QUESTION
    return "Two.", [PASSAGE]


class Engine:
    async def aquery(self, question):
        assert question == QUESTION
        node = SimpleNamespace(metadata={{{{"file_name": "moe.pdf"}}}}, get_content=lambda: PASSAGE)
        found = SimpleNamespace(node=node, score=0.5)
        return type("Response", (), {{{{"source_nodes": [found], "__str__": lambda self: "Two."}}}})()


query_engine = Engine()
"""
JUDGE = """

from rag_evals.testing import FakeJudge


@pytest.fixture(scope="session")
def judge():
    return FakeJudge(lambda question, answer: {values})
"""
GOOD = {"faithfulness": 0.8, "relevancy": 0.65, "context_recall": 0.9}


def section(name: str) -> str:
    """Return the part of the page that is headed `From NAME`."""
    (text,) = re.findall(rf"^## From {name}.*?\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    return text


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def write_ours(project, text: str, *, values: dict[str, float] = GOOD, ask: str = "async def") -> None:
    """Write the files of ours, each named in its first line, and what they need."""
    (project.path / "test_it.py").unlink()
    project.write("app.py", APP.format(ask=ask))
    for block in (*blocks(text, "python"), *blocks(text, "ini")):
        name = block.partition("\n")[0].removeprefix("# ")
        if "." in name:
            project.write(name, block + (JUDGE.format(values=values) if name == "conftest.py" else ""))


def commands(text: str) -> list[list[str]]:
    return [
        shlex.split(line.removeprefix("$ "))
        for block in blocks(text, "console")
        for line in block.splitlines()
    ]


def run_ours(project, text: str) -> pytest.RunResult:
    """Run the commands of the page, one behind the other; return what came of the last."""
    *before, (program, *options) = commands(text)
    for tool, *arguments in before:
        assert (tool, main(arguments)) == ("rag-evals", 0)
    assert program == "pytest"
    return project.run(*options)


@pytest.mark.parametrize(
    ("tool", "file", "row", "ask"),
    [
        ("ragas", "testset.jsonl", {"user_input": QUESTION, "reference": "Two."}, "async def"),
        ("DeepEval", "goldens.json", [{"input": QUESTION, "expected_output": "Two."}], "def"),
    ],
)
def test_from_a_test_set(project, monkeypatch, tool, file, row, ask):
    """Their set comes in, their application is asked, and a score below its threshold fails the test."""
    monkeypatch.chdir(project.path)
    text = section(tool)
    project.write(file, json.dumps(row) + "\n")
    (project.path / "questions.jsonl").unlink()
    write_ours(project, text, ask=ask)
    run_ours(project, text).assert_outcomes(passed=1)
    (evaluation,) = project.evaluations
    assert (evaluation["question"], evaluation["answer"]) == (QUESTION, "Two.")
    if tool == "ragas":
        assert evaluation["scores"]["context_recall"]["value"] == 0.9
    else:
        assert evaluation["scores"]["faithfulness"]["threshold"] == 0.7


def test_a_breach_after_migrating_from_deepeval(project, monkeypatch):
    """The thresholds of the mark hold."""
    monkeypatch.chdir(project.path)
    text = section("DeepEval")
    project.write("goldens.json", json.dumps([{"input": QUESTION, "expected_output": "Two."}]))
    (project.path / "questions.jsonl").unlink()
    write_ours(project, text, values={**GOOD, "relevancy": 0.55}, ask="def")
    result = run_ours(project, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*relevancy 0.55 < 0.60*"])


def test_from_llamaindex(project, monkeypatch):
    """The query engine answers and retrieves, and the conditions of the gate are decided."""
    monkeypatch.chdir(project.path)
    text = section("LlamaIndex")
    (questions,) = blocks(text, "json")
    write_ours(project, text)
    project.write("questions.jsonl", questions)
    result = run_ours(project, text)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*faithfulness.pass_rate >= 0.9*", "*retrieval.hit@8.mean >= 0.8*"])


def test_the_evaluators_of_llamaindex_are_there():
    """Each class that the page names is one of the installed LlamaIndex."""
    from llama_index.core import evaluation

    text = section("LlamaIndex")
    named = set(re.findall(r"\b[A-Z]\w+(?:Evaluator|Runner)\b", text)) | {"DatasetGenerator"}
    assert len(named) > 8
    assert sorted(name for name in named if not hasattr(evaluation, name)) == []


def test_metrics_are_ours():
    """Each metric of ours that the page names is one."""
    from rag_evals.evals.judges.metrics import BUNDLED, METRICS

    text = PAGE.read_text("utf-8")
    named = {*re.findall(r"`(retrieval\.[\w@]+)`", text), *(name for name in METRICS if f"`{name}`" in text)}
    assert {"faithfulness", "relevancy", "correctness", "context_recall", "context_relevancy"} < named
    for name in named:
        BUNDLED.check(name, name)
