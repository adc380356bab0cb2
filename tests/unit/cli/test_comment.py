"""`rag-evals comment`: what is said of a run on its pull request, and that nothing about it is a failure."""

from __future__ import annotations

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.gate.decision import decide, decision_to_json
from rag_evals.evals.gate.rules import rules_from
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports import github_comment
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical

from tests.servers.github import LoopbackGitHub

URL = "https://github.invalid/owner/name/pull/7#issuecomment-1000"


@pytest.fixture
def github(monkeypatch, tmp_path):
    """Be a job on a pull request, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("ACTIONS", "EVENT_PATH", "SHA", "SERVER_URL", "RUN_ID"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    with LoopbackGitHub() as running:
        monkeypatch.setenv("GITHUB_API_URL", running.url)
        monkeypatch.setenv("GITHUB_TOKEN", "good")
        monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
        monkeypatch.setenv("GITHUB_REF", "refs/pull/7/merge")
        yield running


@pytest.fixture
def stored(tmp_path):
    """Write a run of some questions that pass or fail; return its folder."""

    def written(passed, baseline=None, is_decided=True):
        folder = RunFolder(tmp_path / ".rag-evals")
        folder.start({"gate": ["pass_rate >= 0.9"]})
        for number, is_passed in enumerate(passed):
            score = Score("relevancy", 0.9 if is_passed else 0.1)
            question, least = Question(f"q{number}", "Why?"), {"relevancy": 0.5}
            one = Evaluation(question, "mine", Answer("So."), (score,), least)
            folder.append(canonical(evaluation_to_json(one)))
        if is_decided:
            run, _ = folder.read()
            base = read_run(baseline) if baseline else None
            ruling = decision_to_json(decide(rules_from(run.header), run, base))
            folder.append(canonical({**ruling, "baseline": str(baseline) if baseline else None}))
        folder.finish({})
        return folder.path

    return written


def said(capsys, *arguments):
    assert main(["comment", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_run(github, stored, capsys):
    """The latest one, with what its gate said."""
    folder = stored([True] * 3 + [False])
    assert said(capsys) == f"comment: {URL}\n"
    (comment,) = github.comments
    head = f"<!-- rag-evals: rag-evals -->\n## Run `{folder.name}`: 1 of 4 evaluations failed\n"
    assert comment["body"].startswith(head)
    assert "pass_rate >= 0.9" in comment["body"]


def test_run_and_its_baseline(github, stored, capsys, monkeypatch):
    """The comparison is there as well, unless both together are too long for GitHub."""
    base = stored([True] * 20)
    run = stored([False] * 20, baseline=base)

    def heads():
        assert said(capsys, run) == f"comment: {URL}\n"
        (comment,) = github.comments
        return [line[:10] for line in comment["body"].splitlines() if line.startswith("## ")]

    assert heads() == ["## Run `20", "## BLOCK: "]
    monkeypatch.setattr(github_comment, "MOST_CHARACTERS", len(github.comments[0]["body"]) - 200)
    assert heads() == ["## Run `20"]


def test_killed_run(github, stored, capsys):
    """What nobody decided is decided from the records."""
    stored([True, False], is_decided=False)
    assert said(capsys, "--name", "second") == f"comment: {URL}\n"
    (comment,) = github.comments
    assert comment["body"].startswith("<!-- rag-evals: second -->\n## Run `")
    assert "1 of 2 evaluations failed" in comment["body"]


def test_trouble_is_one_line(github, stored, capsys, monkeypatch):
    """No run, a refusal, a damaged record: status 0, and a warning where GitHub shows it."""
    assert said(capsys, "gone").startswith("no comment: no run ")
    folder = stored([True])
    github.status = 403
    refused = (
        "no comment: the token may not comment on owner/name#7 (403): "
        "it needs `permissions: pull-requests: write`\n"
    )
    assert said(capsys) == refused
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert said(capsys) == f"::warning title=evals::{refused}"
    records = folder / "records.jsonl"
    records.write_text(records.read_text().replace('"type":"run"', '"type":"ran"'))
    latest = ".rag-evals/runs/latest/records.jsonl"
    assert said(capsys) == f"::warning title=evals::no comment: {latest}:1: is not the first line of a run\n"
    assert github.comments == []


def test_no_pull_request(github, capsys, monkeypatch):
    """It is no trouble, and nobody is asked."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    assert said(capsys) == "no comment: this job is about no pull request\n"
    assert github.requests == []
