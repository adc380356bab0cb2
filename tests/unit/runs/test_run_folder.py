"""The run folder: what is in it, when, and who is told to look away."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical

INFO = {"args": ["-n", "2"], "mode": "strict"}


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "project" / ".rag-evals"


@pytest.fixture
def folder(home):
    """A run folder with its first line."""
    folder = RunFolder(home)
    folder.start(INFO)
    yield folder
    folder.finish({})


def lines(folder: RunFolder) -> list[dict]:
    """Read the records through a file of one's own, as another process would."""
    with (folder.path / "records.jsonl").open(encoding="utf-8") as file:
        return [{key: value for key, value in json.loads(line).items() if key != "sum"} for line in file]


def test_nothing_is_made_before_the_first_line(home):
    """A folder that is never started leaves nothing behind, though it has its name."""
    folder = RunFolder(home)
    assert folder.path == home / "runs" / folder.run_id
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", folder.run_id)
    assert not home.parent.exists()


def test_start_writes_the_head(home, folder):
    """The first line says what ran under which schema, and `run.json` says it again."""
    head = {"type": "run", "schema": 1, "run": folder.run_id, **INFO}
    assert lines(folder) == [head]
    inode = (folder.path / "records.jsonl").stat().st_ino
    said = json.loads((folder.path / "run.json").read_text("utf-8"))
    assert said == {**head, "status": "running", "inode": inode}
    assert sorted(path.name for path in folder.path.iterdir()) == ["records.jsonl", "run.json"]


def test_every_line_is_flushed(folder):
    """A line can be read as soon as it is written: a killed session keeps what was finished."""
    folder.append(canonical({"type": "evaluation", "answer": "Zwölf 🦜\nund mehr\u2028"}))
    assert lines(folder)[1:] == [{"type": "evaluation", "answer": "Zwölf 🦜\nund mehr\u2028"}]
    folder.append(canonical({"type": "evaluation", "answer": None}))
    assert len(lines(folder)) == 3


def test_last_line(home):
    """The last line says how the run ended."""
    folder = RunFolder(home)
    folder.start(INFO)
    folder.finish({"passed": 3})
    assert lines(folder)[-1] == {"type": "end", "passed": 3}


def test_git_looks_away(home, folder):
    """The home folder ignores itself; a file of the user's own is left alone."""
    assert (home / ".gitignore").read_text() == "*\n"
    (home / ".gitignore").write_text("runs\n")
    later = RunFolder(home)
    later.start(INFO)
    later.finish({})
    assert (home / ".gitignore").read_text() == "runs\n"


def test_latest_points_at_the_last_run(home, folder):
    """`latest` is a relative link, so that the folder can be moved, and follows the newest run."""
    latest = home / "runs" / "latest"
    assert latest.readlink() == Path(folder.run_id)
    later = RunFolder(home)
    later.start(INFO)
    later.finish({})
    assert latest.readlink() == Path(later.run_id)
    assert {path.name for path in (home / "runs").iterdir()} == {"latest", folder.run_id, later.run_id}


def test_latest_that_is_a_folder(home, folder):
    """In the place of a copied tree's folder no link can be put, and none is left beside it."""
    latest = home / "runs" / "latest"
    latest.unlink()
    latest.mkdir()
    later = RunFolder(home)
    later.start({})
    later.finish({})
    assert latest.is_dir()
    assert {path.name for path in (home / "runs").iterdir()} == {"latest", folder.run_id, later.run_id}


def test_no_links_no_trouble(home, monkeypatch):
    """On a file system without symbolic links the run goes without `latest`."""

    def refuse(*_, **__):
        raise OSError("no symbolic links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = RunFolder(home)
    folder.start(INFO)
    folder.finish({})
    assert [path.name for path in (home / "runs").iterdir()] == [folder.run_id]


def test_half_characters_are_escaped(home):
    """Half of a surrogate pair, as in the name of a file that is not UTF-8, is no trouble and comes back."""
    folder = RunFolder(home)
    folder.start({"args": ["caf\udce9.pdf"]})
    folder.append(canonical({"document": "caf\udce9.pdf"}))
    folder.finish({})
    assert [line.get("args") or line.get("document") for line in lines(folder)] == [
        ["caf\udce9.pdf"],
        "caf\udce9.pdf",
        None,
    ]
    assert json.loads((folder.path / "run.json").read_text("utf-8"))["args"] == ["caf\udce9.pdf"]


def test_nan_is_refused_and_leaves_no_half_line(folder):
    """A value that is no JSON is an error, and the file still ends with a whole line."""
    with pytest.raises(ValueError, match=r"^Out of range float values are not JSON compliant"):
        folder.append(canonical({"type": "evaluation", "value": float("nan")}))
    assert len(lines(folder)) == 1


def test_evaluations_are_read_back_though_the_folder_is_gone(folder):
    """The summary does not depend on the folder's still being there; lines may follow the reading."""
    evaluation = Evaluation(Question("a", "Why?"), "base", Answer("So."), (Score("relevancy", 0.9),), {})
    folder.append(canonical(evaluation_to_json(evaluation)))
    shutil.rmtree(folder.path)
    for _ in range(2):
        assert [(read.question.id, read.scores) for read in folder.read()[0].evaluations] == [
            ("a", evaluation.scores)
        ]
        folder.append(canonical({"type": "later"}))
