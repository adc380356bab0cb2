"""Whole runs read into memory: as far as they can be read, and what is said of the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import find_run, read_run
from rag_evals.evals.runs.score import Score
from rag_evals.evals.runs.undecided import asked_test
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical

HEAD = {"type": "run", "schema": 1, "run": "r1", "mode": "gate"}
ABOUTS = [
    {"type": "pipeline", "name": "baseline", "fingerprint": "a" * 64},
    {"type": "judge", "name": "fake", "fingerprint": "b" * 64},
]
END = {"type": "end", "passed": 1}
UNFINISHED = "it was not finished: it is read as far as it goes"


def evaluation(name="a", value: float | None = 0.9, **changes) -> Evaluation:
    given = {
        "question": Question(name, f"How many {name}?"),
        "pipeline": "baseline",
        "answer": Answer("Two.", (Context("The passage.", "a.md", score=0.5),)),
        "scores": (Score("faithfulness", value, reason=None if value is not None else "no key"),),
        "thresholds": {"faithfulness": 0.5},
        "seconds": {"generate": 1.0},
        **changes,
    }
    return Evaluation(**given)


def line(name="a", value: float | None = 0.9, **changes) -> dict:
    return evaluation_to_json(evaluation(name, value, **changes))


def asked(name: str) -> dict:
    return asked_test(name, "baseline", Question(name, f"How many {name}?"), 0, ["faithfulness"])


@pytest.fixture
def file(tmp_path) -> Path:
    folder = tmp_path / "home" / "runs" / "r1"
    folder.mkdir(parents=True)
    return folder / "records.jsonl"


def write(file: Path, *lines: object, end="\n") -> Path:
    texts = [one if isinstance(one, str) else canonical(one) for one in lines]
    file.write_text("\n".join(texts) + end, encoding="utf-8", errors="surrogateescape")
    return file


def test_a_whole_run(file):
    """Everything is there, by the folder or by the file, and nothing is said."""
    write(file, HEAD, *ABOUTS, line("a"), line("b", None), END)
    for path in (file, file.parent):
        run = read_run(path)
        assert (run.name, run.header.mode, run.notes) == ("r1", "gate", ())
        assert [one.name for one in run.components] == ["baseline", "fake"]
        assert run.evaluations == (evaluation("a"), evaluation("b", None))


def test_names(file, tmp_path):
    """A run is called by its id and shard, a baseline by its file."""
    assert read_run(write(file, {**HEAD, "shard": [2, 5]}, line(), END)).name == "r1 (2/5)"
    assert read_run(write(tmp_path / "main.jsonl", HEAD, line(), END)).name == "main"


def test_a_killed_run(file):
    run = read_run(write(file, HEAD, line()))
    assert (len(run.evaluations), run.notes) == (1, (UNFINISHED,))


def test_a_half_written_run(file):
    """The last line is cut: it is read up to there."""
    run = read_run(write(file, HEAD, *ABOUTS, line(), '{"type":"evalu', end=""))
    assert [e.question.id for e in run.evaluations] == ["a"]
    assert run.notes == ("records.jsonl:5 is half-written: left out", UNFINISHED)


def test_a_last_line_without_its_end(file):
    """An editor took the line's end: the line is whole all the same."""
    assert read_run(write(file, HEAD, line(), END, end="")).notes == ()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("{broken", "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is no object with a type"),
        ('{"type":"judge"}', "is no judge: has no name"),
        ({k: v for k, v in line().items() if k != "scores"}, "is no evaluation: has no scores"),
        ({**line(), "scores": 3}, "is no evaluation: scores is 3, not an object"),
        (
            {**line(), "scores": {"faithfulness": {"value": "0.9\x1b", "threshold": None}}},
            'is no evaluation: scores.faithfulness.value is "0.9\\u001b", not a number',
        ),
        ({**line(), "repeat": True}, "is no evaluation: repeat is true, not a whole number"),
        ({**line(), "pipeline": 3}, "is no evaluation: pipeline is 3, not a text"),
    ],
)
def test_a_damaged_run(file, broken, said):
    """The line is left out, with its number and what is wrong with it; the others are read."""
    run = read_run(write(file, HEAD, line("a"), broken, line("b"), END))
    assert [e.question.id for e in run.evaluations] == ["a", "b"]
    assert run.notes == (f"records.jsonl:3 {said}: left out",)
    one = read_run(write(file, HEAD, broken, END)).notes
    assert one == (f"records.jsonl:2 {said}: left out", "there is no evaluation in it")


def test_many_damaged_lines(file):
    """The first ten are named, and the others counted."""
    notes = read_run(write(file, HEAD, *["x"] * 1_000, line(), END)).notes
    assert notes[:2] == ("records.jsonl:2 is not JSON: left out", "records.jsonl:3 is not JSON: left out")
    assert notes[10:] == ("records.jsonl: 990 lines more are damaged",)


def test_lost_lines_count_as_lost(file):
    """A test whose record is left out has no verdict; a run that ended before its last test is no damage."""
    told = {"type": "asked", "tests": [asked(name) for name in ("a", "b", "c")]}
    changed = {**line("b", test="b"), "repeat": -1}
    whole = [line(name, test=name) for name in ("a", "c")]
    run = read_run(write(file, HEAD, told, whole[0], changed, "{", whole[1], END))
    assert [(e.test, e.unscored) for e in run.evaluations] == [
        ("a", ()),
        ("c", ()),
        (
            "b",
            ("faithfulness unscored: its record is no evaluation: repeat is -1, not a whole number from 0",),
        ),
    ]
    run = read_run(write(file, HEAD, told, whole[0], whole[1], "{", END))
    assert [(e.test, e.unscored) for e in run.lost] == [
        ("b", ("faithfulness unscored: its record is damaged",))
    ]
    assert [e.test for e in read_run(write(file, HEAD, told, whole[0], "{", END)).lost] == []


def test_odd_fields_of_what_is_said_of_a_run(file):
    """Each is named and left out; what the run was is read all the same."""
    head = {**HEAD, "mode": "x", "thresholds": {"faithfulness": "0.5"}, "margin": 10**400}
    judge = {**ABOUTS[1], "settings": [1], "remarks": None}
    run = read_run(write(file, head, judge, line(), END))
    assert (run.header.mode, run.header.thresholds, run.header.margin) == ("strict", {}, 0.05)
    assert run.judges[0].settings is None
    assert run.notes == (
        f"records.jsonl:1 margin is 1{'0' * 36}..., not a number up to 1e+100: read as if it were not there",
        'records.jsonl:1 mode is "x", not one of strict, gate, report: read as if it were not there',
        'records.jsonl:1 thresholds.faithfulness is "0.5", not a number: read as if it were not there',
        "records.jsonl:2 remarks is null, not a list: read as if it were not there",
        "records.jsonl:2 settings is [1], not an object: read as if it were not there",
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([""], "{file}:1: is not JSON"),
        (['{"type": "ru'], "{file} has no whole line: the run was killed as it began"),
        ([END], "{file}:1: is not the first line of a run"),
        (["{broken", END], "{file}:1: is not JSON"),
        (
            [{**HEAD, "schema": 2}],
            "{file}:1: is of schema 2, and this version reads 1: "
            "read it with the version of rag-evals that wrote it",
        ),
        ([{**HEAD, "shard": [1, 0]}], "{file}:1: shard [1, 0] is not [index, count]"),
    ],
)
def test_no_run_at_all(file, lines, said):
    """Without a head that can be read there is nothing to hold on to."""
    write(file, *lines)
    if lines == [""]:
        file.write_text("\n{}\n")
    with pytest.raises(RunFileError) as caught:
        read_run(file)
    assert str(caught.value) == said.format(file=file)


def test_an_empty_file(file):
    file.write_text("")
    with pytest.raises(RunFileError) as caught:
        read_run(file)
    assert str(caught.value) == f"{file} has no whole line: the run was killed as it began"


def test_no_file(file):
    with pytest.raises(RunFileError) as caught:
        read_run(file)
    assert str(caught.value) == f"{file} cannot be read: No such file or directory"


def test_an_empty_run(file):
    run = read_run(write(file, HEAD, END))
    assert (run.evaluations, run.notes) == ((), ("there is no evaluation in it",))
    assert read_run(write(file, HEAD)).notes == (UNFINISHED, "there is no evaluation in it")


def test_nan_in_a_file_from_elsewhere(file):
    """A score without a number is unscored, with the reason; all else is kept."""
    odd = line("a", None, tokens={})
    odd["scores"]["faithfulness"] |= {"value": float("nan"), "least": float("inf"), "reason": None}
    odd["scores"]["mine"] = {"value": float("-inf"), "threshold": float("nan")}
    odd["scores"]["faithfulness"]["claims"] = [{"text": "Two.", "value": float("nan")}]
    odd["scores"]["faithfulness"]["again"] = [0.5, float("nan")]
    odd["seconds"] = {"generate": float("nan"), "judge": 2.0}
    odd["contexts"][0]["score"] = float("nan")
    odd["tokens"]["stages"] = {"generate": {"evaluated": float("nan"), "generated": 3}}
    run = read_run(write(file, json.dumps(HEAD), json.dumps(odd), canonical(line("b")), canonical(END)))
    first, second = run.evaluations
    score, mine = first.scores
    assert (score.value, score.reason, score.least) == (None, "NaN in the file", None)
    assert (score.claims[0].value, score.claims[0].reason) == (None, "NaN in the file")
    assert score.repeats == (0.5, None)
    assert (mine.value, mine.reason) == (None, "an infinity in the file")
    assert first.thresholds == {"faithfulness": 0.5}
    assert first.seconds == {"judge": 2.0}
    assert first.answer.contexts == (Context("The passage.", "a.md"),)
    assert (first.total.evaluated, first.total.generated) == (0, 3)
    assert first.outcome == "unscored"
    assert second == evaluation("b")
    assert run.notes == ("records.jsonl: NaN or an infinity in line 2: a score without a number is unscored",)


def test_a_question_twice(file):
    """The last counts, and stands where it came."""
    run = read_run(write(file, HEAD, line("a", 0.1), line("b"), line("a", 0.8), END))
    assert [(e.question.id, e.scores[0].value) for e in run.evaluations] == [("b", 0.9), ("a", 0.8)]
    assert run.notes == ("an evaluation is there more than once, and the last counts: baseline a",)
    repeats = read_run(write(file, HEAD, line("a"), line("a", repeat=1), line("a", repeat=1), END))
    assert len(repeats.evaluations) == 2
    assert repeats.notes == (
        "an evaluation is there more than once, and the last counts: baseline a repeat 1",
    )
    many = read_run(write(file, HEAD, *(line(f"q{n:02}") for n in (*range(12), *range(12))), END))
    assert many.notes == (
        "12 evaluations are there more than once, and the last counts: "
        f"{', '.join(f'baseline q{n:02}' for n in range(10))} and 2 more",
    )


def test_finding_a_baseline(file, tmp_path, monkeypatch):
    """By name or by file; a run of the same name wins, a file that happens to be called so does not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main").write_text("")
    home, baselines = tmp_path / "home", tmp_path / "baselines"
    baselines.mkdir()
    main = write(baselines / "main.jsonl", HEAD, END)
    write(file, HEAD, END)
    for text in ("main", str(main)):
        assert find_run(text, home, baselines) == main
    for text in ("r1", str(file), str(file.parent)):
        assert find_run(text, home, baselines) == file.parent
    write(baselines / "r1.jsonl", HEAD, END)
    assert find_run("r1", home, baselines) == file.parent


@pytest.mark.parametrize("text", ["gone", "x" * 5000, "a\0b", ""])
def test_what_is_not_there(file, tmp_path, text):
    """The error says where it was looked for, and what there is."""
    home, baselines = tmp_path / "home", tmp_path / "baselines"
    baselines.mkdir()
    for n in range(12):
        write(baselines / f"b{n:02}.jsonl", HEAD)
    write(file, HEAD, END)
    with pytest.raises(RunFileError) as caught:
        find_run(text, home, baselines)
    shown = repr(text)
    assert str(caught.value).splitlines() == [
        f"no run {shown}: it is no folder with a records.jsonl, no such file, "
        f"and no run in {home / 'runs'} or baseline in {baselines}",
        "  runs there: r1",
        f"  baselines there: {', '.join(f'b{n:02}' for n in range(11, 1, -1))} and 2 more",
    ]
    with pytest.raises(RunFileError, match=r"\n  runs there: none$"):
        find_run("gone", tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["link", "copy", "none", "file", "gone", "outward", "left"])
def test_the_latest_run(tmp_path, kind):
    """A `latest` that is no link, as after a copy that follows links, is not taken for the newest run."""
    runs = tmp_path / "runs"
    for name in ("20260101-000000-aaaaaa", "20260102-000000-bbbbbb"):
        (runs / name).mkdir(parents=True)
        (runs / name / "records.jsonl").write_text("{}\n")
    if kind == "copy":
        shutil.copytree(runs / "20260101-000000-aaaaaa", runs / "latest")
    elif kind == "file":  # a link as it is unpacked where there are none
        (runs / "latest").write_text("20260101-000000-aaaaaa")
    elif kind == "gone":
        (runs / "latest").symlink_to("20260103-000000-cccccc")
    elif kind == "outward":
        shutil.copytree(runs / "20260101-000000-aaaaaa", tmp_path / "20270101-000000-dddddd")
        (runs / "latest").symlink_to("../20270101-000000-dddddd")
    elif kind == "left":  # by a session that could not put its link in the place of a folder
        (runs / "latest-20260101-000000-aaaaaa").symlink_to("20260101-000000-aaaaaa")
    elif kind == "link":
        (runs / "latest").symlink_to("20260102-000000-bbbbbb")
    newest = runs / "20260102-000000-bbbbbb"
    assert find_run("latest", tmp_path).resolve() == newest
    assert find_run(str(runs / "latest"), tmp_path).resolve() == newest
    assert find_run(str(runs / "latest" / "records.jsonl"), tmp_path).resolve() == newest
    moved = tmp_path / "another" / "home"
    moved.mkdir(parents=True)
    runs.rename(moved / "runs")
    assert find_run("latest", moved).resolve() == moved / "runs" / newest.name


def test_latest_without_a_run(tmp_path, monkeypatch):
    """A link out of the folder is none; runs that lie where the command is begun are none of the home's."""
    elsewhere = tmp_path / "20270101-000000-dddddd"
    elsewhere.mkdir()
    (elsewhere / "records.jsonl").write_text("{}\n")
    (tmp_path / "home" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFileError):
        find_run("latest", tmp_path / "home")
    (tmp_path / "home" / "runs" / "latest").symlink_to(elsewhere)
    with pytest.raises(RunFileError):
        find_run("latest", tmp_path / "home")


def test_a_run_that_is_called_latest(tmp_path, monkeypatch):
    """A single run that was fetched into a folder of that name is read as what it is."""
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "records.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    assert find_run("latest", tmp_path / "home") == Path("latest")
