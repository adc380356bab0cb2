"""Checksums of lines: damage is noticed at its line, whatever it is; form alone is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import evaluation_from_json
from rag_evals.evals.runs.lines.checksums import sealed, unsealed
from rag_evals.evals.runs.merge import merge
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.undecided import asked_test
from rag_evals.rag.identity import canonical

from tests.unit.runs.test_run import evaluation, line

ABOUT = {"type": "pipeline", "name": "baseline", "fingerprint": "a" * 64}
GAP = "does not follow the line before it: lines between them are gone, or it was moved"


@pytest.fixture
def file(tmp_path) -> Path:
    """A run of a pipeline and four evaluations, on the lines 3 to 6."""
    folder = RunFolder(tmp_path / "home")
    folder.start({"mode": "gate", "thresholds": {"faithfulness": 0.5}, "document": "caf\udce9.pdf"})
    for event in (ABOUT, *(line(name) for name in "abcd")):
        folder.append(canonical(event))
    folder.finish({"passed": 4})
    return folder.path / "records.jsonl"


def read(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return the questions that are read, and what is said."""
    run = read_run(file)
    return "".join(one.question.id for one in run.evaluations), run.notes


def rewrite(file: Path, *lines: str) -> None:
    file.write_text("".join(f"{one}\n" for one in lines), "utf-8")


def test_nothing_is_wrong(file):
    """Neither as it is, nor in another form of the same JSON."""
    assert read(file) == ("abcd", ())
    lines = [json.loads(one) for one in file.read_text("utf-8").splitlines()]
    rewrite(file, *(json.dumps(dict(reversed(one.items())), indent=None) for one in lines))
    assert read(file) == ("abcd", ())


@pytest.mark.parametrize("number", [3, 5, 6])
def test_a_digit_inside_of_valid_json(file, number):
    """The line is left out: what it says is not what was evaluated; those around it are read."""
    lines = file.read_text("utf-8").splitlines()
    lines[number - 1] = lines[number - 1].replace('"value":0.9', '"value":0.8')
    rewrite(file, *lines)
    left = "abcd".replace("abcd"[number - 3], "")
    assert read(file) == (left, (f"records.jsonl:{number} was changed after it was written: left out",))


def test_the_first_line(file):
    """Without it nothing could be read: it is shown as changed."""
    file.write_text(file.read_text("utf-8").replace('"faithfulness":0.5', '"faithfulness":0.4', 1), "utf-8")
    assert read(file) == ("abcd", ("records.jsonl:1 was changed after it was written",))


def test_lines_that_are_gone_moved_or_there_twice(file):
    lines = file.read_text("utf-8").splitlines()
    rewrite(file, *lines[:3], *lines[4:])
    assert read(file) == ("acd", (f"records.jsonl:4 {GAP}",))
    rewrite(file, *lines[:2], lines[3], lines[2], *lines[4:])
    assert read(file) == ("bacd", tuple(f"records.jsonl:{n} {GAP}" for n in (3, 4, 5)))
    rewrite(file, *lines[:4], lines[2], *lines[4:])
    twice = "an evaluation is there more than once, and the last counts: baseline a"
    assert read(file) == ("bacd", (*(f"records.jsonl:{n} {GAP}" for n in (5, 6)), twice))


def test_a_test_whose_line_is_gone_counts_as_lost(tmp_path):
    """It has no verdict: a bad score is not had away by removing it."""
    folder = RunFolder(tmp_path / "home")
    folder.start({"mode": "gate"})
    tests = [asked_test(name, "baseline", Question(name, "How?"), 0, ["faithfulness"]) for name in "ab"]
    for event in ({"type": "asked", "tests": tests}, *(line(name, test=name) for name in "ab")):
        folder.append(canonical(event))
    folder.finish({"passed": 2})
    file = folder.path / "records.jsonl"
    lines = file.read_text("utf-8").splitlines()
    rewrite(file, *lines[:2], *lines[3:])
    run = read_run(file)
    assert run.notes == (f"records.jsonl:3 {GAP}",)
    assert [(e.test, e.unscored) for e in run.evaluations] == [
        ("b", ()),
        ("a", ("faithfulness unscored: its record is damaged",)),
    ]


def test_lines_without_a_checksum(file):
    """One among others was put in; a file without any is of before there were checksums."""
    lines = file.read_text("utf-8").splitlines()
    plain = [unsealed(one.encode()).decode() for one in lines]
    rewrite(file, *lines[:3], plain[3], *lines[4:])
    assert read(file) == ("acd", ("records.jsonl:4 was put in after the run: it has no checksum: left out",))
    rewrite(file, *plain)
    assert read(file) == ("abcd", ())
    rewrite(file, plain[0], *lines[1:])
    assert read(file) == ("abcd", (f"records.jsonl:2 {GAP}",))


def test_files_one_behind_the_other(file):
    """The first run is read, and how both are joined is said."""
    file.write_text(file.read_text("utf-8") * 2, "utf-8")
    said = "begins another run: it and 6 lines behind it are left out; `rag-evals merge` joins runs"
    assert read(file) == ("abcd", (f"records.jsonl:8 {said}",))


def test_a_file_that_was_cut(file):
    data = file.read_bytes()
    file.write_bytes(data[:-50])
    unfinished = "it was not finished: it is read as far as it goes"
    assert read(file) == ("abcd", ("records.jsonl:7 is half-written: left out", unfinished))


def test_every_byte(file):
    """Wherever a byte of a line is another, the line is left out, or said to be changed."""
    data = file.read_bytes()
    start = data.index(b'"question_id":"b"') - 500
    for place in range(start, start + 1_000, 7):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert len(read_run(file).notes) >= 1, data[place - 20 : place + 20]


def test_a_merged_run_has_its_own(file, tmp_path):
    """Its chain is whole, and its lines are those of its parts."""
    whole = merge([read_run(file.parent, strict=True)], tmp_path / "out")
    assert read(whole.records.folder) == ("abcd", ())
    texts = [text for text, event in whole.records.events() if event["type"] == "evaluation"]
    assert texts == [canonical(line(name)) for name in "abcd"]


def test_what_is_left_out_is_not_merged(file, tmp_path):
    """A damaged part is refused; without that line, the others are joined and it is said."""
    file.write_text(file.read_text("utf-8").replace('"value":0.9', '"value":0.8', 1), "utf-8")
    whole = merge([read_run(file.parent)], tmp_path / "out")
    assert [e.question.id for e in whole.evaluations] == ["b", "c", "d"]
    assert whole.notes == (f"{file.parent.name}: records.jsonl:3 was changed after it was written: left out",)


def test_a_line_and_its_checksum():
    """The line stays the line; the checksum is of it and of all before it."""
    text = canonical({"type": "later", "name": "caf\udce9 \u2028"})
    data, seal = sealed(text, "")
    assert unsealed(data) == text.encode(errors="backslashreplace")
    assert json.loads(data) == {"type": "later", "name": "caf\udce9 \u2028", "sum": seal}
    other = sealed(text, seal)[1]
    assert (seal[:12], seal[12:]) != (other[:12], other[12:])
    assert seal[:12] == other[:12]


def test_evaluations_are_as_they_were(file):
    """What is read is what was evaluated."""
    run = read_run(file)
    assert run.evaluations[0] == evaluation("a")
    assert evaluation_from_json(line("a")) == evaluation("a")
