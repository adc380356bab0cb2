"""Shards of a run: each evaluates its part, and merged they are the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.shard import Shard

GOOD = "faithfulness=0.9 relevancy=0.8"
BAD = "faithfulness=0.1 relevancy=0.8"
QUESTIONS = [f"q{n}" for n in range(8)]


def parts(project) -> list[Path]:
    """Return the run folders in the order of their shards."""
    heads = {path: json.loads((path / "run.json").read_text("utf-8")) for path in project.runs}
    return sorted(heads, key=lambda path: heads[path]["shard"] or [])


def asked(path: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (path / "records.jsonl").read_text("utf-8").splitlines()]
    return [(line["pipeline"], line["question_id"]) for line in lines if line["type"] == "evaluation"]


def merge(project, *arguments: object) -> int:
    home = project.path / ".rag-evals"
    return main(["merge", "--home", str(home), *map(str, arguments)])


@pytest.fixture
def sharded(project):
    """Run the shards of a suite with two pipelines; `bad` are questions with a breach."""

    def run(*args: str, count: int = 2, bad: tuple[str, ...] = ()) -> list[Path]:
        project.append(
            "conftest.py",
            """
@pytest.fixture(scope="session")
def other():
    return FakePipeline(answer, name="other")
""",
        )
        project.ask(**{name: BAD if name in bad else GOOD for name in QUESTIONS})
        for index in range(1, count + 1):
            project.run("--evals-pipelines", "baseline,other", "--evals-shard", f"{index}/{count}", *args)
        return parts(project)

    return run


def test_each_shard_has_its_part(project, sharded, how):
    """The same questions for every pipeline, and each question once."""
    runs = sharded(*how)
    for index, path in enumerate(runs, 1):
        held = [name for name in QUESTIONS if Shard(index, 2).holds(name)]
        assert sorted(asked(path)) == sorted((p, name) for p in ("baseline", "other") for name in held)


def test_merged_shards_are_the_whole(project, sharded, capsys):
    """Run, merged, gated: the same as in one go."""
    runs = sharded()
    capsys.readouterr()
    assert merge(project, *runs) == 0
    output = capsys.readouterr().out.splitlines()
    whole = project.path / ".rag-evals" / "runs" / "latest"
    assert sorted(asked(whole)) == sorted((p, name) for p in ("baseline", "other") for name in QUESTIONS)
    assert [line.split()[:4] for line in output[:3]] == [
        ["pipeline", "questions", "passed", "failed"],
        ["baseline", "8", "8", "0"],
        ["other", "8", "8", "0"],
    ]
    assert output[-1] == f"run: {whole.resolve()}"


def test_a_breach_in_one_shard(project, sharded, capsys):
    """The whole fails as the shard did, and says which question it was."""
    runs = sharded(bad=("q3",))
    capsys.readouterr()
    assert merge(project, *(path.name for path in runs)) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{name} q3: faithfulness 0.10 < 0.50" for name in ("baseline", "other")
    ]


def test_a_breach_in_report_mode(project, sharded):
    assert merge(project, *sharded("--evals-mode", "report", bad=("q3",))) == 0


def test_shards_of_different_runs(project, sharded, capsys):
    """What was configured differently is no part of one run: status 4, nothing written."""
    runs = sharded()
    project.run("--evals-shard", "2/2", "--evals-max-unscored", "0.5")
    (other,) = set(project.runs) - set(runs)
    capsys.readouterr()
    assert merge(project, runs[0], other, "--out", project.path / "out") == 4
    assert capsys.readouterr().err.splitlines() == [
        "ERROR: these runs are not parts of one, as they were configured differently:",
        f"  max_unscored: 0.1 in {runs[0].name} (1/2), 0.5 in {other.name} (2/2)",
    ]
    assert not (project.path / "out").exists()


def test_a_missing_shard(project, sharded, capsys):
    """It is an error, unless it is asked for."""
    runs = sharded()
    capsys.readouterr()
    assert merge(project, runs[0]) == 4
    assert capsys.readouterr().err == (
        "ERROR: shard 2 of 2 is missing: name the run as well, or give --partial to do without\n"
    )
    assert merge(project, runs[0], "--partial") == 0
    assert capsys.readouterr().out.startswith("shard 2 of 2 is missing\n")


def test_a_shard_that_was_killed(project, sharded, capsys):
    """It counts as far as it went, and that is said."""
    first, second = sharded()
    file = second / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    capsys.readouterr()
    assert merge(project, first, second) == 0
    note, *_ = capsys.readouterr().out.splitlines()
    assert note == (
        f"{second.name} (2/2) was not finished: it is read as far as it goes, "
        "and its last line, which is cut, is left out"
    )


def test_labels_that_are_missing(project, sharded, capsys):
    runs = sharded()
    capsys.readouterr()
    assert merge(project, *runs, "--labels", project.path / "gone.jsonl") == 4
    assert "gone.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "a/b", "2"])
def test_wrong_shards(project, shard):
    """One line and pytest's status for wrong usage."""
    result = project.run("--evals-shard", shard)
    assert result.ret == 4
    assert [line for line in result.errlines + result.outlines if f"ERROR: shard {shard!r}" in line]
