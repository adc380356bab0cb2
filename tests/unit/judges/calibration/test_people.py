"""Several people's label files: put together, ties, conflicts, and a person who is there twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.calibration.labels.people import load_people, merged_entries, read_people
from rag_evals.evals.judges.calibration.labels.sets import load_sets


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def entry(n: int, labeller: str | None = None, **values) -> dict:
    plain = {"id": f"e{n}", "question": f"Why {n}?", "contexts": ["Because."], "answer": "So."}
    named = {} if labeller is None else {"labeller": labeller, "draw": "d1", "weights": {"faithful": 3}}
    return {**plain, **named, **(values or {"faithful": n % 2})}


def write(name: str, entries: list[dict]) -> Path:
    Path(name).write_text("".join(json.dumps(one) + "\n" for one in entries), "utf-8")
    return Path(name)


def person(name: str, labels: str, start: int = 0) -> Path:
    """Write a file of one person: `1`, `0`, `?` where they cannot tell, `-` where they did not judge."""
    values = {"1": {"faithful": 1}, "0": {"faithful": 0}, "?": {"unsure": ["faithful"]}}
    said = [(n, label) for n, label in enumerate(labels, start) if label != "-"]
    return write(f"{name}.jsonl", [entry(n, name, **values[label]) for n, label in said])


def test_the_majority():
    """Of three; a tie has no label, and what one cannot tell does not count."""
    files = [person("Ann", "1101?"), person("Ben", "100??"), person("Cleo", "10--?")]
    answers = read_people(files)
    assert [answer.majority("faithfulness") for answer in answers] == [1, 0, 0, 1, None]
    assert [answer.is_disputed("faithfulness") for answer in answers] == [False, True, False, False, False]
    assert [answer.weights for answer in answers] == [{"faithfulness": 3.0}] * 5


def test_a_tie_has_no_label():
    """Two who differ leave nothing to go by."""
    (answer,) = read_people([person("Ann", "1"), person("Ben", "0")])
    assert answer.majority("faithfulness") is None
    assert answer.is_disputed("faithfulness")
    assert merged_entries([answer]) == []


def test_a_merged_file_is_one_of_labels():
    """What most say, what each said, and what an answer stands for; it is read like any other."""
    files = [person("Ann", "1" * 12 + "0" * 12), person("Ben", "1" * 11 + "0" * 13)]
    merged = merged_entries(read_people(files))
    assert len(merged) == 23  # one is tied
    assert merged[0] == {
        "id": "e0",
        "question": "Why 0?",
        "contexts": [{"text": "Because."}],
        "answer": "So.",
        "faithful": 1,
        "ratings": {"faithful": [1, 1]},
        "source": "e0",
        "draw": "d1",
        "weights": {"faithful": 3.0},
    }
    read = load_labels(write("merged.jsonl", merged))
    assert [one.label_for("faithfulness") for one in read] == [1] * 11 + [0] * 12
    assert read == load_people([Path("merged.jsonl")])
    assert [(one.labels, one.ratings, one.by) for one in load_people(files)] == [
        (one.labels, one.ratings, one.by) for one in read
    ]


def test_labels_of_contexts():
    """Each context by itself; a merged file has an entry for each that has a majority."""
    values = {"contexts": ["One.", "Two.", "Three."]}
    write("Ann.jsonl", [{**entry(0, "Ann", useful=[1, 0, None]), **values}])
    write("Ben.jsonl", [{**entry(0, "Ben", useful=[1, 1, 0]), **values}])
    answers = read_people([Path("Ann.jsonl"), Path("Ben.jsonl")])
    assert [answer.labels_for("context_relevancy") for answer in answers] == [(1, 1), (0, 1), (0,)]
    assert [(one["id"], one["contexts"], one["useful"]) for one in merged_entries(answers)] == [
        ("e0", [{"text": "One."}], [1]),
        ("e0 (2)", [{"text": "Three."}], [0]),
    ]


def test_a_history_is_part_of_what_was_seen():
    """The same question and answer behind other words are another answer; a merged file has the history."""
    before = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}]
    files = [
        write("Ann.jsonl", [{**entry(0, "Ann"), "history": before}]),
        write("Ben.jsonl", [entry(0, "Ben")]),
    ]
    first, second = read_people(files)
    assert (len(first.verdicts["faithfulness"]), len(second.verdicts["faithfulness"])) == (1, 1)
    lines = merged_entries([first, second])
    assert [line.get("history") for line in lines] == [before, None]


def test_weights_of_several_draws_add_up():
    """An answer that two draws have stands for both; the same draw counts once."""
    write("Ann.jsonl", [entry(0, "Ann")])
    write("Ben.jsonl", [entry(0, "Ben")])
    write("Cleo.jsonl", [{**entry(0, "Cleo"), "draw": "d2", "weights": {"faithful": 5}}])
    (answer,) = read_people([Path("Ann.jsonl"), Path("Ben.jsonl"), Path("Cleo.jsonl")])
    assert answer.weights == {"faithfulness": 8.0}


def test_a_file_without_a_name_is_its_own_person():
    """For agreement; where labels are used it is a label file like any other."""
    answers = read_people([write("mine.jsonl", [entry(0)]), write("yours.jsonl", [entry(0)])])
    assert [one.labeller for one in answers[0].verdicts["faithfulness"]] == ["mine", "yours"]
    assert len(load_people([write("all.jsonl", [entry(n) for n in range(20)])])) == 20


def test_files_of_people_are_one_set():
    """Calibration counts an answer once, with what each said as ratings; other files are other sets."""
    files = [person("Ann", "10" * 12), person("Ben", "10" * 12)]
    other = write("other.jsonl", [entry(n + 100) for n in range(20)])
    examples = load_sets([str(files[0]), str(other), str(files[1])])
    assert len(examples) == 44
    assert {one.set for one in examples} == {"Ann.jsonl + Ben.jsonl", "other.jsonl"}
    assert examples[0].ratings_for("faithfulness") == (1, 1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a": [entry(0, "Ann"), entry(1, "Ann")], "b": [entry(0, "ann "), entry(1, "ann ")]},
            "one person counts once for an answer; leave out the older file, or write another name:\n"
            "  b.jsonl:1: ann labelled this already at a.jsonl:1, and 1 more answer of these files",
        ),
        (
            {"a": [entry(0, "Ann"), entry(0, "Ann")]},
            '1 problem in label files:\n  a.jsonl:2: duplicate id "e0 of Ann" (first at a.jsonl:1)',
        ),
        (
            {"a": [entry(0, "Ann", faithful=2)], "b": [{"id": "e1"}]},
            "5 problems in label files:\n"
            '  a.jsonl:1: "faithful" = 2 is no label: write 1, 0 or null\n'
            '  b.jsonl:1: missing "question"\n'
            '  b.jsonl:1: missing "contexts": give a list of texts, [] when there were none\n'
            '  b.jsonl:1: missing "answer"\n'
            '  b.jsonl:1: no label: give "faithful", "relevant", "correct", "declined", "useful" or '
            '"recalled"',
        ),
    ],
)
def test_what_is_wrong_is_named(files, message):
    paths = [write(f"{name}.jsonl", entries) for name, entries in files.items()]
    with pytest.raises(LabelFileError) as caught:
        read_people(paths)
    assert str(caught.value) == message


def test_a_damaged_file_is_named():
    """With the line that is damaged, beside what the other files have."""
    Path("a.jsonl").write_text('{"id": "e0", \n', "utf-8")
    with pytest.raises(LabelFileError) as caught:
        load_people([Path("a.jsonl"), Path("gone.jsonl")])
    assert str(caught.value) == (
        "2 problems in label files:\n"
        "  a.jsonl:1: invalid JSON at column 14: Expecting property name enclosed in double quotes\n"
        "  gone.jsonl: no such file"
    )


def test_too_few_together():
    """Twenty are counted over all files."""
    files = [person("Ann", "10" * 6), person("Ben", "10" * 6)]
    with pytest.raises(LabelFileError) as caught:
        load_people(files)
    assert str(caught.value) == (
        "Ann.jsonl, Ben.jsonl: 12 examples, at least 20 are needed to say how good a judge is"
    )
    assert len(load_people([person("Ann", "10" * 6), person("Ben", "10" * 6, start=12)])) == 24
