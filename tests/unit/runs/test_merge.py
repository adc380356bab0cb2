"""Runs of shards read back and joined: what belongs together, what is missing, what the whole is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.cli.runs.report import holds, merged_lines
from rag_evals.evals.gate.decision import Decision, decide
from rag_evals.evals.gate.rules import rules_from
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.merge import merge
from rag_evals.evals.runs.run import Run, find_run, read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.evals.runs.undecided import asked_test
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical

HEAD = {
    "args": ["evals"],
    "mode": "strict",
    "metrics": ["faithfulness"],
    "thresholds": {"faithfulness": 0.6},
    "machine": {"python": "3.11"},
    "max_unscored": 0.1,
    "judge_floor": 0.7,
}


def about(kind="pipeline", name="baseline", fingerprint="a" * 64, **settings) -> dict:
    return {"type": kind, "name": name, "fingerprint": fingerprint, "settings": settings}


JUDGE = about("judge", "fake")
ABOUTS = (about(), JUDGE)


def evaluation(name="a", value: float | None = 0.9, **changes) -> Evaluation:
    context = Context("The passage.", document="a.md")
    given = {
        "question": Question(name, f"How many {name}?"),
        "pipeline": "baseline",
        "answer": Answer("Two.", (context,)),
        "scores": (
            Score(
                "faithfulness",
                value,
                reason=None if value is not None else "no key",
                claims=(ClaimScore("Two.", value, closest=context),),
            ),
        ),
        "thresholds": {"faithfulness": 0.5},
        "seconds": {"generate": 1.0},
        **changes,
    }
    return Evaluation(**given)


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home):
    """Write a run; return its folder."""

    def written(*evaluations: Evaluation, abouts=ABOUTS, finished=True, more="", **head) -> Path:
        folder = RunFolder(home)
        folder.start({**HEAD, **head})
        for event in (*abouts, *({**evaluation_to_json(e), "test": "t.py::t"} for e in evaluations)):
            folder.append(canonical(event))
        folder.finish({"passed": len(evaluations)})
        file = folder.path / "records.jsonl"
        lines = file.read_text("utf-8").splitlines(keepends=True)
        file.write_text("".join(lines if finished else lines[:-1]) + more, encoding="utf-8")
        return folder.path

    return written


def events(path: Path) -> list[dict]:
    lines = map(json.loads, (path / "records.jsonl").read_text("utf-8").splitlines())
    return [{key: value for key, value in line.items() if key != "sum"} for line in lines]


def merged(home, *paths: Path, **options) -> Run:
    return merge([read_run(path, strict=True) for path in paths], home / "out", **options)


def ruled(whole: Run) -> Decision:
    return decide(rules_from(whole.header), whole)


def ids(path: Path) -> list[str]:
    return [event["question_id"] for event in events(path) if event["type"] == "evaluation"]


def test_reading_a_run_back(store):
    """What was written is there again, read as often as one likes."""
    given = [evaluation("a"), evaluation("b", None)]
    path = store(*given, shard=[2, 5])
    run = read_run(path, strict=True)
    assert (run.records.folder, run.records.is_finished, run.records.is_cut) == (path, True, False)
    assert run.header.mode == "strict"
    assert [one.name for one in run.components] == ["baseline", "fake"]
    assert (str(run.header.shard), run.name) == ("2/5", f"{path.name} (2/5)")
    for _ in range(2):
        assert [e.scores for e in run.evaluations] == [e.scores for e in given]
    assert [event for _, event in run.records.events()] == events(path)


def test_a_run_that_was_killed(store):
    """It is read as far as it goes, up to the last whole line."""
    path = store(evaluation("a"), finished=False, more='{"type":"evaluation","answer":"Zw\xf6l')
    run = read_run(path, strict=True)
    assert (run.records.is_finished, run.records.is_cut) == (False, True)
    assert [e.question.id for e in run.evaluations] == ["a"]
    whole = read_run(store(evaluation("a"), finished=False), strict=True)
    assert (whole.records.is_finished, whole.records.is_cut, whole.header.shard) == (False, False, None)


def test_a_run_that_goes_on(store):
    """What is written after the reading began is not read."""
    path = store(evaluation("a"), finished=False)
    run = read_run(path, strict=True)
    with (path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write(canonical(evaluation_to_json(evaluation("b"))) + "\n")
    assert [e.question.id for e in run.evaluations] == ["a"]


def test_damaged_lines_are_named(store):
    """All of them, with file and line, whatever is wrong with them."""
    whole = evaluation_to_json(evaluation())
    half = {key: value for key, value in whole.items() if key != "scores"}
    lines = ["{broken", "[1]", '{"no": "type"}', canonical(half), canonical({**whole, "scores": 3})]
    lines += ['{"type":"judge","name":"x"}', '{"type":"later"}', "\x1b[2J"]
    path = store(evaluation("a"), more="".join(f"{line}\n" for line in lines))
    file = path / "records.jsonl"
    with pytest.raises(RunFileError) as caught:
        read_run(path, strict=True)
    assert str(caught.value).splitlines() == [
        "8 lines of a run cannot be read:",
        f"  {file}:6: is not JSON",
        f"  {file}:7: is no object with a type",
        f"  {file}:8: is no object with a type",
        f"  {file}:9: was put in after the run: it has no checksum",
        f"  {file}:10: was put in after the run: it has no checksum",
        f"  {file}:11: was put in after the run: it has no checksum",
        f"  {file}:12: was put in after the run: it has no checksum",
        f"  {file}:13: is not JSON",
    ]


def test_many_damaged_lines(store):
    """The first ten are named, and the others counted."""
    path = store(more="x\n" * 14)
    with pytest.raises(RunFileError, match=r"^14 lines of a run cannot be read:\n(.*\n){10}  and 4 more$"):
        read_run(path, strict=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{file} has no whole line: the run was killed as it began"),
        ('{"type": "ru', "{file} has no whole line: the run was killed as it began"),
        (
            '{"type": "end"}\n',
            "a line of a run cannot be read:\n  {file}:1: is not the first line of a run",
        ),
        (
            '{"type": "run", "schema": 2}\n',
            "a line of a run cannot be read:\n  {file}:1: is of schema 2, and this version reads 1: "
            "read it with the version of rag-evals that wrote it",
        ),
        (
            '{"type": "run", "schema": 1, "shard": [1, 0]}\n',
            "a line of a run cannot be read:\n  {file}:1: shard [1, 0] is not [index, count]",
        ),
    ],
)
def test_no_run_at_all(tmp_path, text, message):
    file = tmp_path / "records.jsonl"
    file.write_text(text)
    with pytest.raises(RunFileError) as caught:
        read_run(tmp_path, strict=True)
    assert str(caught.value) == message.format(file=file)


def test_finding_runs(home, store):
    """By folder, by file, by id, as the latest."""
    path = store(evaluation())
    for text in (str(path), str(path / "records.jsonl"), path.name):
        assert find_run(text, home) == path
    assert find_run("latest", home).resolve() == path
    with pytest.raises(RunFileError) as caught:
        find_run("gone", home)
    assert str(caught.value) == (
        f"no run 'gone': it is no folder with a records.jsonl, no such file, and no run in {home / 'runs'}\n"
        f"  runs there: latest, {path.name}"
    )


def test_the_whole(home, store):
    """One run folder like any other: one head, each thing described once, every evaluation, one end."""
    parts = [
        store(evaluation("a"), evaluation("b", 0.3), shard=[2, 2]),
        store(evaluation("c"), evaluation("d", None), shard=[1, 2]),
    ]
    whole = merged(home, *parts)
    assert whole.records.folder.parent == home / "out" / "runs"
    first, *rest, last = events(whole.records.folder)
    assert first == {
        **HEAD,
        "gate": [],
        "inconclusive": "warn",
        "type": "run",
        "schema": 1,
        "run": whole.records.folder.name,
        "args": [],
        "machine": first["machine"],
        "shard": None,
        "questions": [],
        "stale": [],
        "used": [],
        "criteria": {},
        "merged": [
            {
                "run": path.name,
                "shard": shard,
                "args": ["evals"],
                "machine": {"python": "3.11"},
                "finished": True,
            }
            for path, shard in ((parts[1], [1, 2]), (parts[0], [2, 2]))
        ],
    }
    assert rest == [about(), JUDGE, *events(parts[1])[3:-1], *events(parts[0])[3:-1]]
    assert last == {"type": "end", "failed": 1, "passed": 2, "unscored": 1}
    assert ids(whole.records.folder) == ["c", "d", "a", "b"]
    assert read_run(whole.records.folder, strict=True).records.is_finished
    assert whole.notes == ()
    # What would fill the memory stays in the files.
    assert all(e.answer.contexts == () and e.scores[0].claims == () for e in whole.evaluations)


def test_what_was_asked_is_that_of_all_parts(home, store):
    """Question files by their path from the new folder, each once; what was stale or fetched in any part."""
    here = {"path": "../../../sets.jsonl", "digest": "a"}
    other = {"path": "../../../other.jsonl", "digest": "b"}
    artifact = {"reference": "wandb:team/project/questions:v1"}
    parts = [
        store(evaluation("a"), shard=[1, 2], questions=[here], stale=["y", "x"], used=[artifact]),
        store(evaluation("b"), shard=[2, 2], questions=[here, other], stale=["x"], used=[artifact]),
    ]
    head = events(merged(home, *parts).records.folder)[0]
    asked = [
        {"path": "../../../../sets.jsonl", "digest": "a"},
        {"path": "../../../../other.jsonl", "digest": "b"},
    ]
    assert (head["questions"], head["stale"], head["used"]) == (asked, ["x", "y"], [artifact])


@pytest.mark.parametrize("odd", [None, "x", [None, {"path": 1}, {}]])
def test_what_another_version_says_of_its_questions_is_passed_over(home, store, odd):
    parts = [store(evaluation(name), shard=[n, 2], questions=odd) for n, name in ((1, "a"), (2, "b"))]
    assert events(merged(home, *parts).records.folder)[0]["questions"] == []


def test_the_order_of_the_arguments_does_not_matter(home, store):
    parts = [store(evaluation(f"q{n}"), shard=[n, 3]) for n in (1, 2, 3)]
    assert ids(merged(home, *parts).records.folder) == ids(merged(home, *reversed(parts)).records.folder)


def test_what_is_said(home, store):
    """As at the end of pytest: breaches, what has no verdict, the table, budget, judge, run."""
    whole = merged(
        home, store(evaluation("a", 0.3), shard=[1, 2]), store(evaluation("b", None), shard=[2, 2])
    )
    assert [" ".join(line.split()) for line in merged_lines(whole, ruled(whole))] == [
        "baseline a: faithfulness 0.30 < 0.50",
        "baseline b: faithfulness unscored: no key",
        "",
        "pipeline questions passed failed unscored faithfulness s/question tokens/question",
        "baseline 2 0 1 1 0.30 1.0 0",
        "",
        "judge: fake, uncalibrated: how often it errs is not known (rag-evals calibrate)",
        "",
        "1 of 2 evaluations have no verdict, more than evals_max_unscored = 0.1 allows: "
        "the run fails in every mode",
        "",
        f"run: {whole.records.folder}",
    ]


@pytest.mark.parametrize(
    ("mode", "values", "max_unscored", "expected"),
    [
        ("strict", (0.9, 0.8), 0.1, True),
        ("strict", (0.9, 0.3), 0.1, False),
        ("report", (0.9, 0.3), 0.1, True),
        ("strict", (0.9, None), 0.5, True),
        ("strict", (0.9, None), 0.4, False),
        ("report", (0.9, None), 0.4, False),
    ],
)
def test_the_gate(home, store, mode, values, max_unscored, expected):
    """A breach counts in strict mode, the budget in both, over the whole and not over each part."""
    parts = [
        store(evaluation(str(n), value), shard=[n, 2], mode=mode, max_unscored=max_unscored)
        for n, value in enumerate(values, 1)
    ]
    whole = merged(home, *parts)
    assert holds(whole, ruled(whole)) is expected


def test_a_pipeline_that_raised_is_a_breach(home, store):
    broken = evaluation("a", None, answer=None, error="OSError: no disk")
    whole = merged(home, store(broken, max_unscored=1.0))
    assert not holds(whole, ruled(whole))


def refused(home, *paths: Path, **options) -> list[str]:
    """Merge what cannot be; return the lines of the message, with the runs called by their number."""
    with pytest.raises(RunFileError) as caught:
        merged(home, *paths, **options)
    assert not (home / "out").exists()
    text = str(caught.value)
    for n, path in enumerate(paths, 1):
        text = text.replace(path.name, f"run{n}")
    return text.splitlines()


def test_different_configurations(home, store):
    """Each difference is a line: what, and which run has which value."""
    first = store(evaluation("a"), shard=[1, 3])
    same = store(evaluation("b"), shard=[2, 3])
    other = store(
        evaluation("c"),
        shard=[2, 4],
        mode="report",
        metrics=["faithfulness", "relevancy"],
        thresholds={},
        max_unscored=0.2,
        judge_floor=0.5,
        abouts=(
            about(fingerprint="b" * 64, top_k=3, model="x"),
            about("judge", "fake", "c" * 64),
            about(name="alone"),
        ),
    )
    head, *lines = refused(home, first, same, other)
    assert head == "these runs are not parts of one, as they were configured differently:"
    a, b = "run1 (1/3) and run2 (2/3)", "run3 (2/4)"
    assert lines == [
        f"  mode: strict in {a}, report in {b}",
        f'  metrics: ["faithfulness"] in {a}, ["faithfulness","relevancy"] in {b}',
        f'  thresholds: {{"faithfulness":0.6}} in {a}, {{}} in {b}',
        f"  max_unscored: 0.1 in {a}, 0.2 in {b}",
        f"  judge_floor: 0.7 in {a}, 0.5 in {b}",
        f"  shards in all: 3 in {a}, 4 in {b}",
        f"  judge fake: aaaaaaaaaaaa in {a}, cccccccccccc in {b}",
        f"  pipeline baseline: aaaaaaaaaaaa in {a}, bbbbbbbbbbbb in {b} (differing in model, top_k)",
    ]


def test_runs_that_do_not_say_their_bounds(home, store):
    """Older runs went by the defaults."""
    first = store(evaluation("a"))
    head = {key: value for key, value in HEAD.items() if key not in ("max_unscored", "judge_floor")}
    older = RunFolder(home)
    older.start(head)
    older.append(canonical(evaluation_to_json(evaluation("b"))))
    older.finish({})
    whole = merged(home, first, older.path)
    assert holds(whole, ruled(whole))


def test_missing_shards(home, store):
    """They are an error, or a note where that was asked for."""
    first, third = store(evaluation("a"), shard=[1, 5]), store(evaluation("c"), shard=[3, 5])
    assert refused(home, first, third) == [
        "shards 2, 4, 5 of 5 are missing: name the run as well, or give --partial to do without"
    ]
    assert merged(home, first, third, partial=True).notes == ("shards 2, 4, 5 of 5 are missing",)
    whole = [store(evaluation(str(n)), shard=[n, 3]) for n in (1, 2)]
    assert refused(home / "other", *whole) == [
        "shard 3 of 3 is missing: name the run as well, or give --partial to do without"
    ]


def test_unfinished_runs_are_said(home, store):
    whole = merged(
        home,
        store(evaluation("a"), shard=[1, 2], finished=False),
        cut := store(evaluation("b"), shard=[2, 2], finished=False, more='{"type"'),
    )
    first, second = whole.notes
    assert first.endswith("(1/2) was not finished: it is read as far as it goes")
    assert second == (
        f"{cut.name} (2/2) was not finished: it is read as far as it goes, "
        "and its last line, which is cut, is left out"
    )
    assert ids(whole.records.folder) == ["a", "b"]
    assert [part["finished"] for part in events(whole.records.folder)[0]["merged"]] == [False, False]


def test_what_a_killed_part_never_came_to(home, store):
    """It is unscored in the whole as well, and counts against the budget; a part that ended lost nothing."""
    tests = [
        asked_test(f"t.py::{test}", "baseline", Question(name, f"{name}?"), 0, ["faithfulness"])
        for test, name in (("t", "a"), ("never", "b"))
    ]
    asked = (*ABOUTS, {"type": "asked", "tests": tests})
    killed = store(evaluation("a"), abouts=asked, shard=[1, 2], finished=False)
    whole = merged(home, killed, store(evaluation("c"), abouts=asked, shard=[2, 2]))
    assert [(e.question.id, e.outcome) for e in whole.evaluations] == [
        ("a", "passed"),
        ("b", "unscored"),
        ("c", "passed"),
    ]
    assert events(whole.records.folder)[-1] == {"type": "end", "passed": 2, "unscored": 1}
    assert [e.question.id for e in read_run(killed).evaluations] == ["a", "b"]


def test_a_question_in_two_runs(home, store):
    """It would count twice; the first ten are listed. In one run two tests may well ask the same."""
    first = store(*(evaluation(f"q{n}") for n in range(13)), evaluation("q0"), shard=[1, 2])
    again = [evaluation("q0", pipeline="other"), *(evaluation(f"q{n}") for n in range(12))]
    second = store(*again, evaluation("q12", repeat=1), shard=[2, 2])
    assert refused(home, first, second) == [
        "12 evaluations are in two runs, and would count twice:",
        *(f"  baseline q{n}: in run1 (1/2) and run2 (2/2)" for n in range(10)),
        "  and 2 more",
    ]


def test_the_same_run_twice(home, store):
    """Also under another name."""
    path = store(evaluation())
    runs = [read_run(path, strict=True), read_run(path.parent / "latest", strict=True)]
    with pytest.raises(RunFileError, match=f"^given more than once: {path.name}$"):
        merge(runs, home / "out")
    with pytest.raises(RunFileError, match=r"^no runs: name the runs of the shards$"):
        merge([], home / "out")


def test_control_characters(home, store):
    """What records say is not what the terminal does."""
    nasty = "\x1b[2J"
    first, second = store(evaluation("a"), mode=f"strict{nasty}"), store(evaluation("b"))
    assert all(line.isprintable() for line in refused(home, first, second))
    twice = [store(evaluation(nasty)), store(evaluation(nasty))]
    assert all(line.isprintable() for line in refused(home, *twice))
    whole = merged(home, store(evaluation(nasty, 0.1)))
    shown = merged_lines(whole, ruled(whole))
    assert all(line.isprintable() for line in shown)


def test_a_folder_that_cannot_be_written(home, store, tmp_path):
    run = read_run(store(evaluation()), strict=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFileError) as caught:
        merge([run], tmp_path / "file")
    assert str(caught.value) == (
        f"the merged run cannot be written to {tmp_path / 'file'}: Not a directory: "
        "give another folder with --out"
    )
