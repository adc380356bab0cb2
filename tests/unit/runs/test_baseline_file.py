"""Baselines: files fit for git, the same bytes for the same run, and read back as they were."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.baseline_file import baseline_file, baseline_files, write_baseline
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, header_from_json
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Span, Tokens

HEAD = {
    "type": "run",
    "schema": 1,
    "run": "r1",
    "args": ["evals", "-x"],
    "mode": "gate",
    "metrics": ["faithfulness"],
    "thresholds": {"faithfulness": 0.5},
    "versions": {"torch": "2.0"},
    "machine": {"system": "Linux"},
    "shard": None,
}
COMPONENTS = (
    ComponentInfo("judge", "fake", "b" * 64, {}, {"x": 1}),
    ComponentInfo("pipeline", "two", "a" * 64, {"top_k": 8}),
    ComponentInfo("pipeline", "one", "c" * 64),
)


def evaluation(name="a", pipeline="one", repeat=0, **changes) -> Evaluation:
    context = Context("The pässage.\u2028\x1b", "a.pdf", 2, 10, 22, 0.123456789)
    given = {
        "question": Question(name, "How many?", "Two.", (Source("a.pdf", quote="Two"),), ("fact",)),
        "pipeline": pipeline,
        "answer": Answer("Two.", (context,), stages={"candidates": (Span("a.pdf", 2, 10, 22),)}, omitted=1),
        "scores": (
            Score("faithfulness", 0.9, claims=(ClaimScore("Two.", 0.9, 0, 4, context),), repeats=(0.8, None)),
        ),
        "thresholds": {"faithfulness": 0.5},
        "seconds": {"generate": 1.23456, "judge": 0.0004},
        "tokens": {"generate": Tokens(5, 6, 7)},
        "repeat": repeat,
        "cached": ("answer",),
        "usd": 0.5,
        "conditions": ("pass_rate >= 0.9",),
        "test": "t.py::t",
        "keys": {"answer": "k" * 64},
        **changes,
    }
    return Evaluation(**given)


def run(*evaluations: Evaluation, notes=()) -> Run:
    return Run("r1", header_from_json(HEAD), COMPONENTS, evaluations, notes)


def test_round_trip(tmp_path):
    """What is read back is what was written, but for what is true of one run only."""
    broken = evaluation("c", answer=None, scores=(), error="no disk", seconds={}, tokens={}, thresholds={})
    given = [evaluation("b"), evaluation("a", "two"), broken, evaluation("a", repeat=1), evaluation("a")]
    file = write_baseline(run(*given), tmp_path / "deep" / "er", "main")
    assert file == tmp_path / "deep" / "er" / "main.jsonl"
    base = read_run(file)
    kept = {"cached": (), "usd": None}
    rounded = {"generate": 1.235, "judge": 0.0}
    expected = [given[4], given[3], given[0], broken, given[1]]
    assert base.evaluations == tuple(
        replace(e, **kept, seconds=rounded if e.seconds else {}) for e in expected
    )
    assert (base.name, base.notes) == ("main", ())
    assert base.components == (COMPONENTS[2], COMPONENTS[1], COMPONENTS[0])
    assert write_baseline(base, tmp_path, "again").read_bytes() == file.read_bytes()


def test_the_file(tmp_path):
    """Keys sorted; head, pipelines, judges, evaluations, end; nothing of the time or the machine."""
    lines = write_baseline(run(evaluation()), tmp_path, "main").read_text("utf-8").split("\n")
    assert lines.pop() == ""
    assert lines[0] == (
        '{"metrics":["faithfulness"],"mode":"gate","run":"r1","schema":1,'
        '"thresholds":{"faithfulness":0.5},"type":"run","versions":{"torch":"2.0"}}'
    )
    assert [json.loads(line)["type"] for line in lines] == [
        "run", "pipeline", "pipeline", "judge", "evaluation", "end",
    ]  # fmt: skip
    assert lines[-1] == '{"passed":1,"type":"end"}'
    event = json.loads(lines[4])
    assert list(event) == sorted(event)
    assert not {"cached", "usd"} & set(event)
    assert event["contexts"][0]["text"] == "The pässage.\u2028\x1b"


def test_the_same_run_gives_the_same_bytes(tmp_path):
    """In whatever order its tests came, and whatever was reused."""
    evaluations = [evaluation("b"), evaluation("a"), evaluation("a", "two")]
    first = write_baseline(run(*evaluations), tmp_path, "one").read_bytes()
    other = Run(
        "r1",
        header_from_json({**HEAD, "args": [], "machine": {}}),
        COMPONENTS[::-1],
        tuple(replace(e, cached=(), usd=None) for e in evaluations[::-1]),
    )
    assert write_baseline(other, tmp_path, "two").read_bytes() == first


def test_notes_stay(tmp_path):
    """What was wrong with the run is said of the baseline too."""
    notes = ("it was not finished: it is read as far as it goes",)
    base = read_run(write_baseline(run(evaluation(), notes=notes), tmp_path, "main"))
    assert base.notes == notes
    assert read_run(write_baseline(base, tmp_path, "main")).notes == notes


def test_halves_of_surrogate_pairs(tmp_path):
    """The name of a file need not be valid Unicode."""
    odd = evaluation(answer=Answer("Two.", (Context("x", "a\udcff.pdf"),)))
    base = read_run(write_baseline(run(odd), tmp_path, "main"))
    assert base.evaluations[0].answer.contexts[0].document == "a\udcff.pdf"


@pytest.mark.parametrize(
    "name", ["", ".hidden", "a/b", "..", "a b", "latest", "ä", "x" * 101, "a\n", "a\x1b"]
)
def test_names(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        write_baseline(run(evaluation()), tmp_path, name)
    assert str(caught.value) == (
        f"{printable(name)!r} cannot be the name of a baseline: "
        'write letters, digits, ".", "_" and "-", such as main; not latest, which is a run'
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["main", "release-1.2_x", "0", "_"])
def test_good_names(tmp_path, name):
    assert baseline_file(tmp_path, name) == tmp_path / f"{name}.jsonl"


def test_an_empty_run(tmp_path):
    """Nothing could be compared with it, and the baseline before stays."""
    file = write_baseline(run(evaluation()), tmp_path, "main")
    before = file.read_bytes()
    with pytest.raises(RunFileError) as caught:
        write_baseline(run(), tmp_path, "main")
    assert str(caught.value) == "r1 has no evaluation, so nothing could be compared with it: name another run"
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFileError) as caught:
        write_baseline(run(evaluation()), tmp_path / "file" / "sub", "main")
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'sub' / 'main.jsonl'} cannot be written: Not a directory: "
        "give another folder with --baselines"
    )


def test_whole_or_not_at_all(tmp_path, monkeypatch):
    """An interrupted write leaves the baseline before, and no scraps."""
    file = write_baseline(run(evaluation()), tmp_path, "main")
    before = file.read_bytes()

    def fail(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_baseline(run(evaluation("b")), tmp_path, "main")
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["main.jsonl"]  # noqa: PTH208


def test_baseline_files(tmp_path):
    assert baseline_files(tmp_path / "nowhere") == ()
    files = [write_baseline(run(evaluation()), tmp_path, name) for name in ("b", "a")]
    assert baseline_files(tmp_path) == tuple(sorted(files))
