"""The action: each of its scripts is run as GitHub runs it, against GitHub's interface on this machine."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rag_evals.evals.cli.main import COMMANDS

from tests.servers.actions import Job
from tests.servers.github import LoopbackGitHub
from tests.servers.sessions import ROOT, Project

ACTION = ROOT / "action.yml"
MARK = "<!-- rag-evals: rag-evals -->\n"
URL = "https://github.invalid/owner/name/pull/7#issuecomment-1000"
SHA = "0123456789abcdef"


@pytest.fixture
def github() -> Iterator[LoopbackGitHub]:
    with LoopbackGitHub() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.begun(tmp_path / "checkout" / "project")


@pytest.fixture
def job(tmp_path, project, github):
    """Make a job on a pull request; what it needs is installed, and it needs no model."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, call in (("python", ""), ("rag-evals", "-m rag_evals.evals.cli")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        (programs / name).chmod(0o755)

    def made(fork: bool = False, inputs=None, **environment) -> Job:
        repositories = ["other/name" if fork else "owner/name", "owner/name"]
        head, base = ({"repo": {"full_name": name}, "sha": SHA} for name in repositories)
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7, "head": head, "base": base}}))
        told = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_API_URL": github.url,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_RUN_ID": "99",
            "GITHUB_SERVER_URL": "https://github.invalid",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_WORKSPACE": str(tmp_path / "checkout"),
            **environment,
        }
        given = {"working-directory": "project", "models": "", **(inputs or {})}
        return Job(ACTION, tmp_path / "checkout", told, given, left_out=("install",))

    return made


def test_failing_run(job, github, project, tmp_path):
    """Annotations, the summary, the artifact, caches and one comment; the status is the gate's."""
    one = job(inputs={"args": "\n  --evals-gate=pass_rate >= 0.9\n\n  -q\n"})
    assert one.run() == 1
    assert one.statuses == {"keys": 0, "fetch": 0, "run": 1, "comment": 0}
    assert (
        "::error file=project/test_it.py,line=2,title=first fails::faithfulness 0.10 < 0.50"
        in one.said["run"]
    )
    assert "pass_rate >= 0.9" in one.said["run"]
    assert one.said["comment"] == f"comment: {URL}\n"
    (comment,) = github.comments
    name = project.folder_of_run.name
    assert comment["body"].startswith(f"{MARK}## Run `{name}`: 4 of 12 evaluations failed\n")
    footer = "\nOf `0123456`, [log and report](https://github.invalid/owner/name/actions/runs/99)\n"
    assert comment["body"].removeprefix(MARK).removesuffix(footer) == (tmp_path / "summary.md").read_text()
    for file in ("report.html", "junit.xml"):
        assert (project.folder / ".rag-evals" / file).stat().st_size > 0


def test_second_push_updates_the_comment(job, github):
    """There is one, and it is about the last run."""
    job().run()
    job(inputs={"args": "-k=good"}).run()
    (comment,) = github.comments
    assert ": 0 of 2 evaluations failed\n" in comment["body"]


def test_what_is_kept(job, project):
    """Models by their weights, results by weights and processor; both also where the gate fails."""
    one = job(inputs={"models": "smollm2-135m-instruct"})
    one.left_out = ("install", "fetch")
    one.run()
    home = "project/.rag-evals"
    results = ["~/.cache/rag-evals/llama.cpp", f"{home}/cache.sqlite", f"{home}/indexes"]
    (python, given), *rest = one.used
    assert (python, given) == ("actions/setup-python@v5", {"python-version": "3.11"})
    models, restored, fetched, saved, artifact = (given for _, given in rest)
    assert [name for name, _ in rest] == [
        "actions/cache/restore@v4",
        "actions/cache/restore@v4",
        "actions/cache/save@v4",
        "actions/cache/save@v4",
        "actions/upload-artifact@v4",
    ]
    assert re.fullmatch(r"rag-evals-models-[0-9a-f]{12}", models["key"])
    assert models["path"] == "~/.cache/rag-evals/models"
    assert fetched == models
    weights = models["key"].rpartition("-")[2]
    key = rf"rag-evals-results-{weights}-[a-z0-9-]+-[0-9a-f]{{12}}-[0-9a-f]{{12}}-"
    assert re.fullmatch(key, restored["restore-keys"])
    assert restored["key"] == saved["key"] == f"{restored['restore-keys']}99-1"
    assert restored["path"].split() == saved["path"].split() == results
    assert artifact["path"].split() == [
        f"{home}/{name}" for name in ("report.html", "junit.xml", "runs/[0-9]*")
    ]
    assert artifact["include-hidden-files"] == "true"
    assert [*project.folder.glob(".rag-evals/runs/[0-9]*")] == [project.folder_of_run]


def test_keys_name_the_weights(job):
    """Other models, other keys; the order in which they are named is none."""

    def keys(models: str) -> list[str]:
        one = job(inputs={"models": models})
        one.left_out = ("install", "fetch", "run", "comment")
        one.run()
        return [given["key"] for _, given in one.used if "key" in given]

    small, large = "smollm2-135m-instruct all-minilm-l6-v2", "qwen2.5-coder-1.5b-instruct all-minilm-l6-v2"
    assert keys(small) == keys("all-minilm-l6-v2 smollm2-135m-instruct")
    assert not {*keys(small)} & {*keys(large)}


FORK = "a pull request from a fork gets none that may write"


@pytest.mark.parametrize(
    ("told", "given", "said"),
    [
        ({"status": 403}, {"fork": True}, f"the token may not comment on owner/name#7 (403): {FORK}"),
        ({}, {"fork": True, "inputs": {"token": ""}}, f"there is no token: give GITHUB_TOKEN ({FORK})"),
        ({"read_status": 503}, {}, "URL answers 503 Service Unavailable"),
    ],
)
def test_no_comment_is_no_failure(job, github, told, given, said):
    """A warning of one line; the step and the job end as the gate does."""
    for name, value in told.items():
        setattr(github, name, value)
    given = {**given, "inputs": {"args": "-k=good", **given.get("inputs", {})}}
    one = job(**given)
    assert one.run() == 0
    line = f"::warning title=evals::no comment: {said}\n"
    assert one.said["comment"].replace(github.url, "URL") == line
    assert github.comments == []


def test_no_pull_request(job, github):
    """A push to a branch gets no comment."""
    one = job(inputs={"args": "-k=good"}, GITHUB_EVENT_PATH="", GITHUB_REF="refs/heads/main")
    assert one.run() == 0
    assert one.said["comment"] == ("no comment: this job is about no pull request\n")
    assert github.requests == []


def test_no_comment_is_wanted(job, github):
    """An empty name is none."""
    one = job(inputs={"args": "-k=good", "comment": ""})
    assert one.run() == 0
    assert "comment" not in one.statuses
    assert github.requests == []


def test_wrong_configuration(job, github):
    """There is no run: the status is pytest's, and the comment says why it is not there."""
    one = job(inputs={"args": "--evals-judge-floor=2"})
    assert one.run() == 4
    (line,) = one.said["comment"].splitlines()
    assert line.startswith("::warning title=evals::no comment: no run ")
    assert github.comments == []


@pytest.mark.parametrize("told", ["-k=$(touch made) or `touch made`", "--evals-metrics=relevancy;touch made"])
def test_arguments_are_no_script(job, project, told):
    """Each line is one argument, whatever stands in it."""
    assert job(inputs={"args": told}).run() == 4
    assert not (project.folder / "made").exists()


def test_documentation_names_what_is_there():
    """Its workflows can be read, inputs are the action's, and commands are known."""
    text = (ROOT / "docs" / "ci.md").read_text("utf-8")
    inputs = yaml.safe_load(ACTION.read_text("utf-8"))["inputs"]
    github, gitlab = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    _, used = github["jobs"]["evals"]["steps"]
    assert {*used["with"]} <= {*inputs}
    assert gitlab["evals"]["artifacts"]["reports"] == {"junit": "junit.xml"}
    table = text.partition("| input | default | |\n")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[1:]]
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(inputs)
    assert {*re.findall(r"(?:^|[ `])rag-evals (\w+)", text)} - {*COMMANDS} == set()
