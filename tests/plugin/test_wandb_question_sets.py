"""The question sets of a run at Weights & Biases: an artifact each, and the questions as a table."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.generation.work_file import WorkFile, WorkItem, work_path
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import questions_digest
from rag_evals.evals.questions.question_set import load_set, save_set
from rag_evals.evals.trackers.run_files import COLUMNS
from rag_evals.rag.documents.document import Corpus, Document

from tests.servers.sessions import Project, said
from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_offline import read_offline
from tests.servers.wandb_store import ENTITY, WandbArtifact

TO_RAG = f"--wandb={ENTITY}/rag"
NAME = "question-set-questions"
KEY = "sk-" + "a1B2" * 8
GENERATOR = {"llm": "writer", "llm_fingerprint": "f" * 64, "prompt_version": 3, "seed": 7, "mix": {"fact": 9}}
FILES = ["audit.json", "questions.jsonl", "questions.manifest.json", "questions.table.json"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one run of a question set, sent to nobody."""
    project = Project.begun(tmp_path_factory.mktemp("sets") / "project")
    out = project.folder / "questions.jsonl"
    told = {"origin": "generated", "kind": "fact", "edited": False}
    questions = [replace(one, provenance=told) for one in load_questions([out])]
    questions[0] = replace(questions[0], reference=f"It is {KEY}.")
    save_set(out, questions, Corpus((Document("a.md", "x", (), "1" * 64),)), GENERATOR)
    work = WorkFile(work_path(out), {"rules": {}})
    work.load()
    work.append(WorkItem(0, "fact", 0, "invalid", reason="no JSON", output="what the model wrote"))
    assert said(project.run()) == []
    _tell_files(project, questions_digest(questions))
    return project


def _tell_files(project: Project, digest: str) -> None:
    """See that the first line of the records says where the questions came from."""
    records = project.folder_of_run / "records.jsonl"
    head, rest = records.read_text("utf-8").split("\n", 1)
    path = os.path.relpath(project.folder / "questions.jsonl", project.folder_of_run)
    value = {"questions": [{"path": path, "digest": digest}], **json.loads(head)}
    records.write_text(f"{json.dumps(value)}\n{rest}", "utf-8")


@pytest.fixture
def project(recorded: Project, tmp_path: Path) -> Project:
    """A copy that a test may change."""
    shutil.copytree(recorded.folder, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def check_files(files: dict[str, bytes], project: Project) -> None:
    """The set can be read back, and neither a secret nor what the model wrote is in it."""
    assert sorted(files) == FILES
    audit = json.loads(files["audit.json"])
    assert (audit["items"], audit["kinds"]["fact"]["invalid"]) == (1, 1)
    folder = project.folder / "back"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        assert KEY.encode() not in data
        assert b"what the model wrote" not in data
    asked, back = load_set(project.folder / "questions.jsonl"), load_set(folder / "questions.jsonl")
    assert back.manifest == asked.manifest
    assert back.questions[1:] == asked.questions[1:]
    assert back.questions[0].reference == "It is ***."
    check_table(json.loads(files["questions.table.json"]), project)


def check_table(table: dict[str, Any], project: Project) -> None:
    """One row a question, in the order of the file."""
    assert table["columns"] == list(COLUMNS)
    asked = load_questions([project.folder / "questions.jsonl"])
    assert [row[0] for row in table["data"]] == [question.id for question in asked]
    first, second = table["data"][:2]
    source = "b.pdf", "2", "eight experts", "generated", False, ""
    assert first[1:5] == ["fact", asked[0].question, "It is ***.", True]
    assert second == ["fails", "fact", asked[1].question, None, True, *source]


def sets_at(server: LoopbackWandb) -> list[WandbArtifact]:
    return server.versions(NAME)


def test_sent_once(project, server):
    """The artifact is what the run used; sent again, it is the same version, and the table is not doubled."""
    for _ in range(2):
        done = project.replay("latest", TO_RAG, **server.env)
        assert done.returncode == 0, done.stdout + done.stderr
    (run,) = server.runs.values()
    (artifact,) = sets_at(server)
    digest = questions_digest(load_questions([project.folder / "questions.jsonl"]))
    assert (artifact.type, artifact.state, artifact.name) == ("dataset", "COMMITTED", f"{NAME}:v0")
    assert sorted(artifact.aliases) == sorted(["latest", digest[:16]])
    assert artifact.metadata == {
        "digest": digest,
        "count": 6,
        "kinds": {"fact": 6},
        "generator": GENERATOR,
    }
    check_files(dict(artifact.files), project)
    assert f"{NAME}:v0" in run.used
    shown = [row["questions"] for row in run.history if "questions" in row]
    assert len(shown) == 1
    check_table(run.tables[shown[0]["path"]], project)
    assert run.summary["questions"]["path"] == shown[0]["path"]
    assert {one.state for one in server.artifacts} == {"COMMITTED"}
    assert (server.unknown, server.telemetry) == ([], [])


def test_sent_from_elsewhere(project, server, tmp_path):
    """The files are found from the run folder, whatever the current one is."""
    elsewhere = Project(tmp_path)
    done = elsewhere.replay(str(project.folder_of_run), TO_RAG, **server.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(sets_at(server)) == 1


def test_a_set_that_was_changed_since(project, server):
    """It is not what was asked, so it is not sent; the questions of the records are."""
    out = project.folder / "questions.jsonl"
    out.write_text(out.read_text("utf-8").replace("Where?", "Where to?"), "utf-8")
    assert project.replay("latest", TO_RAG, **server.env).returncode == 0
    assert sets_at(server) == []
    assert len(server.versions("eval-questions")) == 1
    (run,) = server.runs.values()
    assert not any("questions" in row for row in run.history)


def test_offline(project):
    """What waits for its upload is the same."""
    done = project.replay("latest", TO_RAG, WANDB_MODE="offline")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = read_offline(project.folder_of_run)
    (artifact,) = (one for one in kept.artifacts if one.collection == NAME)
    check_files({name: data or b"" for name, data in artifact.files.items()}, project)
    check_table(kept.tables[kept.history[-1]["questions"]["path"]], project)
