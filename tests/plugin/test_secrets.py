"""A secret in the arguments, in a pipeline's settings or in an error reaches nothing that is kept."""

from __future__ import annotations

import json
from pathlib import Path

SECRET = "hunter2hunter2hunter2"
TOKEN = "sk-" + "t0ps3cret" * 5

CONFTEST = f"""
import pytest
from rag_evals.testing import FakeJudge
from rag_evals import Answer
from rag_evals.rag.profile import Profile
from rag_evals.rag.tracing.spans import span

class Remote:
    name = "baseline"
    fingerprint = "f" * 64
    profile = Profile(
        settings={{"url": "https://me:{SECRET}@localhost/v1", "api_key": "{SECRET}", "top_k": 3}},
        identity={{"headers": {{"Authorization": "Bearer {SECRET}"}}, "model": "small"}},
    )

    async def answer(self, question):
        if "refused" in question:
            raise OSError("401 from https://localhost/v1?token={SECRET} for {TOKEN}")
        with span("search", api_key="{SECRET}", note="Bearer {SECRET}") as step:
            step.set({{"evals.url": "https://me:{SECRET}@localhost"}})
        return Answer(question)

class Judge(FakeJudge):
    async def score(self, question, answer):
        if "unjudged" in answer.text:
            raise OSError("refused {{'x-api-key': '{SECRET}'}}")
        return await super().score(question, answer)

@pytest.fixture(scope="session")
def baseline():
    return Remote()

@pytest.fixture(scope="session")
def judge():
    return Judge({{"faithfulness": 0.9, "relevancy": 0.8}})

def pytest_addoption(parser):
    parser.addoption("--api-key")
"""


def test_nothing_is_kept(project, how):
    """Not in the records, the traces, the baseline, the report or what is printed."""
    project.write("conftest.py", CONFTEST)
    project.ask(good="x", refused="refused", unjudged="unjudged")
    options = ("--evals-mode", "report", "--evals-traces", "--evals-html", "report.html")
    result = project.run(*how, *options, "--api-key", SECRET, "--evals-update-baseline")
    assert result.ret == 1, "a session that writes its own baseline fails"
    (run,) = project.runs
    kept = [
        *(project.path / ".rag-evals").rglob("*"),
        project.path / "report.html",
        project.path / "evals-baselines" / "main.jsonl",
    ]
    found = [str(file) for file in kept if file.is_file() and _is_in(file)]
    assert found == []
    assert SECRET not in result.stdout.str()
    assert TOKEN not in result.stdout.str()
    head = project.lines[0]
    assert head["args"] == [*how, *options, "--api-key", "***", "--evals-update-baseline"]
    told = json.loads((run / "run.json").read_text("utf-8"))
    assert told == {**head, "status": "finished", "inode": (run / "records.jsonl").stat().st_ino}
    (about,) = [line for line in project.lines if line["type"] == "pipeline"]
    assert (about["name"], about["fingerprint"]) == ("baseline", "f" * 64)
    assert about["settings"] == {"url": "https://***@localhost/v1", "api_key": "***", "top_k": 3}
    assert about["identity"] == {"headers": {"Authorization": "***"}, "model": "small"}
    said = {line["question_id"]: line for line in project.evaluations}
    assert said["refused"]["error"] == "OSError: 401 from https://localhost/v1?token=*** for ***"
    reason = said["unjudged"]["scores"]["relevancy"]["reason"]
    assert reason == "the judge raised OSError: refused {'x-api-key': '***'}"


def _is_in(file: Path) -> bool:
    text = file.read_text("utf-8", errors="replace")
    return SECRET in text or TOKEN in text
