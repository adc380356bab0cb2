"""The run folder: what is in it, when, and who is told to look away."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.drawn import Drawn
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.lines.checksums import unsealed
from rag_evals.evals.runs.lines.writer import is_being_written
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.run_folder import RunFolder, is_written_here
from rag_evals.evals.runs.score import ClaimScore, Decline, Score
from rag_evals.rag.answer import Answer, Citation, Context, Span
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


@pytest.mark.parametrize("damage", ["cut", "overwritten", "removed"])
def test_what_is_lost_is_taken_from_memory(home, damage):
    """Evaluations without their passages and claims, all other lines as they were; and it is said, once."""
    folder = RunFolder(home)
    folder.start({**INFO, "thresholds": {"relevancy": 0.5}})
    file = folder.path / "records.jsonl"
    claims = (ClaimScore('So "it" is.', 0.9, closest=Context("A passage.", "a.md", copies=(Span("b.md"),))),)
    declines = (Decline("No.", 0, 3, "rule"),)
    judge = {
        "type": "judge",
        "name": "j",
        "fingerprint": "f",
        "settings": {"text": '"contexts":[ ],"error":'},
    }
    folder.append(canonical(judge))
    evaluations = [
        Evaluation(
            Question(name, 'Why "],"?', sources=(Source("a.md"),)),
            "base",
            Answer(
                'So "claims":[ ],"evidence": it is.',
                (Context('],\n"', "a.md"),),
                stages={"candidates": (Span("a.md"),)},
            ),
            (
                Score("mine", None, "no"),
                Score("relevancy", 0.9, evidence="],", claims=claims, declines=declines),
            ),
            {"relevancy": 0.5},
        )
        for name in "abc"
    ]
    cited = replace(evaluations[2].answer, citations=(Citation(0, 2, (0,)), Citation(contexts=(0,))))
    evaluations[2] = replace(evaluations[2], answer=cited, drawn=Drawn("web", 30, 3), logged={"trace": "t"})
    for evaluation in evaluations:
        folder.append(canonical(evaluation_to_json(evaluation)))
    assert folder.read()[0].evaluations == tuple(evaluations)
    assert folder.read(whole=False)[0].evaluations == tuple(map(_without_passages, evaluations))
    assert (folder.losses, folder.is_there) == ([], True)
    data = file.read_bytes()
    if damage == "cut":
        os.truncate(file, len(data) - 5)
    elif damage == "overwritten":
        with file.open("r+b") as opened:
            opened.seek(len(data) - 50)
            opened.write(b"####")
    else:
        shutil.rmtree(folder.path)
    folder.append(canonical({"type": "later"}))
    run, others = folder.read()
    small = _without_passages(evaluations[2])
    assert run.evaluations == (*evaluations[:2], evaluations[2] if damage == "removed" else small)
    assert others[1:] == [judge, {"type": "later"}]
    why = {"removed": "it was moved or removed while the session ran"}
    lost = why.get(damage, "1 line of 6 cannot be read any more")
    assert folder.losses == [f"the record {file} is lost, or a part of it: {lost}"]
    folder.finish({})
    assert len(folder.losses) == 1
    if damage != "removed":
        assert [event["type"] for _, event in read_run(folder.path).records.events()][-2:] == ["later", "end"]


def test_how_a_run_stands(home):
    """Running while its session lives, and by its lock so; interrupted or finished when that is over."""
    for is_interrupted, status in ((False, "finished"), (True, "interrupted")):
        folder = RunFolder(home)
        folder.start(INFO)
        file = folder.path / "records.jsonl"
        assert (status_of(folder), is_being_written(file)) == ("running", True)
        folder.finish({"passed": 1}, is_interrupted=is_interrupted)
        assert (status_of(folder), is_being_written(file)) == (status, False)
        assert read_run(folder.path).records.is_interrupted == is_interrupted
        assert is_written_here(folder.path.resolve(), home)
    going, other = RunFolder(home), RunFolder(home)
    going.start(INFO)
    with pytest.raises(BlockingIOError):
        other.go_on(going.run_id)
    going.finish({})


def test_going_on_with_a_run(home):
    """The same lines, chain and folder; half a line is taken off, and what was never made is made."""
    folder = RunFolder(home)
    folder.start(INFO)
    made = Evaluation(
        Question("a", "Why?"), "base", Answer("So."), (Score("relevancy", 0.9),), {}, test="t[a]"
    )
    lost = replace(made, question=Question("b", "How?"), answer=None, test="t[b]")
    for evaluation in (made, lost):
        folder.append(canonical(evaluation_to_json(evaluation)))
    folder.close()
    file = folder.path / "records.jsonl"
    with file.open("a") as opened:
        opened.write('{"type":"ev')
    again = RunFolder(home)
    texts = again.go_on(folder.run_id)
    assert canonical(evaluation_to_json(made)) in texts
    assert again.read()[0].evaluations == (made,)
    again.append(canonical(evaluation_to_json(replace(lost, answer=Answer("Thus.")))))
    again.finish({"passed": 2})
    run = read_run(folder.path)
    assert [e.question.id for e in run.evaluations] == ["a", "b"]
    assert [e.question.id for e in read_run(folder.path, strict=True).evaluations] == ["a", "b"]
    assert (run.notes, again.losses, status_of(again)) == ((), [], "finished")


@pytest.mark.parametrize("change", ["copied", "changed", "linked", "head", "older"])
def test_a_run_from_elsewhere(home, tmp_path, change):
    """A copy, a link, a changed first line or one without a checksum were not written here."""
    folder = RunFolder(home)
    folder.start(INFO)
    folder.finish({})
    path, file = folder.path.resolve(), folder.path / "records.jsonl"
    if change == "copied":
        path = Path(shutil.copytree(path, path.with_name("20300101-000000-abcdef")))
    elif change == "linked":
        shutil.move(file, tmp_path / "records.jsonl")
        file.symlink_to(tmp_path / "records.jsonl")
    elif change == "changed":
        data = file.read_bytes().replace(b'"-n"', b'"-p"')
        file.write_bytes(data)
        (path / "run.json").write_text((path / "run.json").read_text().replace('"-n"', '"-p"'))
    elif change == "head":
        (path / "run.json").write_text((path / "run.json").read_text().replace('"-n"', '"-p"'))
    else:
        file.write_bytes(b"".join(unsealed(line) + b"\n" for line in file.read_bytes().splitlines()))
    assert not is_written_here(path, home)


def status_of(folder: RunFolder) -> str:
    return json.loads((folder.path / "run.json").read_text("utf-8"))["status"]


@pytest.mark.parametrize(
    "again",
    [
        {"repeat": 1},
        {"attempt": 1, "test": "other"},
        {"scores": (Score("retrieval.recall@8", 0.5),)},
    ],
    ids=["repeat", "attempt", "retrieval"],
)
def test_a_summary_has_the_passages_that_it_tells_something_by(tmp_path, again):
    """What differs between times, and what retrieval comes to, is seen by passages; else none is read."""
    folder = RunFolder(tmp_path)
    folder.start({})
    answer = Answer("yes", (Context("It is.", "a.md"),))
    question = Question("q", 'Is it? "repeat":1, "attempt":2')
    once = Evaluation(question, "mine", answer, (Score("relevancy", 0.9),), {}, test="t")
    for evaluation in (once, replace(once, **again)):
        folder.append(canonical(evaluation_to_json(evaluation)))
        read = folder.read(whole=False)[0]
        small = [not one.answer.contexts for one in (*read.evaluations, *read.attempts) if one.answer]
        if evaluation is once:
            assert small == [True]
        else:
            assert small == ([True, False] if evaluation.is_retrieval else [False, False])


def _without_passages(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation as it is held in memory."""
    assert evaluation.answer is not None
    scores = tuple(replace(score, claims=(), declines=()) for score in evaluation.scores)
    return replace(evaluation, answer=replace(evaluation.answer, contexts=(), stages={}), scores=scores)
