"""A set in another format and back: what the format holds, and what travels along, is the same again."""

from __future__ import annotations

import ast
import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.questions.formats import FORMATS, format_named
from rag_evals.evals.questions.formats.conversion import export_set, format_of, import_set
from rag_evals.evals.questions.question import Question, Source

FULL = Question(
    id="experts",
    question='How many "experts",\n\tper token?',
    reference="Two, of eight; größer als 1 | \U0001f600",
    sources=(
        Source("a/primer.pdf", page=4, start=10, end=30, quote="two process\r\neach | token"),
        Source("b.md", quote="<1-hop> 'of' \"which\" two, é", relevance=2.0),
        Source("c.md", page=2, any_of="one of these"),
    ),
    tags=("number", "two words; and, more"),
    thresholds=(("faithfulness", 0.8), ("relevancy", 1.0)),
    provenance={"origin": "generated", "kind": "number", "llm": "qwen", "seed": 3, "edited": False},
)
SET = (
    FULL,
    Question("plain", "=1+1 is what?", "-2", tags=("'=quoted",)),
    Question("apostrophe", "'=1+1 is what?", "''@x"),
    Question("unanswerable", "What did it cost?", answerable=False, provenance={"origin": "curated"}),
    Question(
        "passage",
        "What is said?",
        "It.",
        sources=(Source("a/primer.pdf", quote="It is said."),),
        provenance={},
    ),
)
# Judgements of TREC are of documents and queries by their ids: they hold nothing else.
FILES = [(f.name, f"out{suffix}") for f in FORMATS if f.name != "trec-qrels" for suffix in f.suffixes]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exported(questions, name: str, file: str) -> tuple[str, ...]:
    return export_set(questions, format_named(name), Path(file))


def imported(name: str, file: str) -> tuple[Question, ...]:
    return import_set(Path(file), format_named(name)).questions


@pytest.mark.parametrize(("name", "file"), FILES)
def test_nothing_is_lost(name, file):
    """Ids, sources, tags, thresholds, provenance: every key of a question file comes back as it was."""
    exported(SET, name, file)
    assert imported(name, file) == SET
    assert format_of(Path(file)).name == name


@pytest.mark.parametrize(("name", "file"), FILES)
def test_nothing_else_is_left_behind(here, name, file):
    """What was written stands there alone: no scratch file is left."""
    exported(SET, name, file)
    assert [path.name for path in here.iterdir()] == [file]


@pytest.mark.parametrize("name", ["llamaindex", "ragas", "deepeval"])
def test_a_text_edited_elsewhere_is_marked(name):
    """A reference that was changed in the other tool is taken, and the provenance says that it was edited."""
    exported([FULL], name, "out.json")
    text = Path("out.json").read_text("utf-8")
    Path("out.json").write_text(text.replace("Two, of eight", "Two of the eight"), "utf-8")
    (question,) = imported(name, "out.json")
    assert question == replace(
        FULL,
        reference="Two of the eight; größer als 1 | \U0001f600",
        provenance={**FULL.provenance, "edited": True},
    )


def test_a_passage_changed_elsewhere_is_taken():
    """Passages that are others now replace the sources; of no known document they are in the provenance."""
    exported([FULL], "ragas", "out.json")
    (row,) = json.loads(Path("out.json").read_text("utf-8"))
    row["reference_contexts"] = ["another passage"]
    Path("out.json").write_text(json.dumps([row]), "utf-8")
    (question,) = imported("ragas", "out.json")
    assert question.sources == ()
    assert question.provenance == {**FULL.provenance, "edited": True, "contexts": ["another passage"]}


def test_foreign_fields_come_back():
    """What a file of ragas said beside is written again when its set is exported to ragas."""
    row = {
        "user_input": "How many?",
        "reference_contexts": ["Two of eight."],
        "reference": "Two",
        "persona_name": "Ann",
        "query_style": "FORMAL",
        "synthesizer_name": "single_hop",
    }
    Path("in.jsonl").write_text(f"{json.dumps(row)}\n", "utf-8")
    exported(imported("ragas", "in.jsonl"), "ragas", "out.jsonl")
    (again,) = map(json.loads, Path("out.jsonl").read_text("utf-8").splitlines())
    assert {key: again[key] for key in row} == row
    assert imported("ragas", "out.jsonl") == imported("ragas", "in.jsonl")


def test_llamaindex_is_ascii_with_its_keys():
    """The library opens the file in the encoding of the machine, and wants these keys."""
    exported([FULL], "llamaindex", "out.json")
    (example,) = json.loads(Path("out.json").read_bytes().decode("ascii"))["examples"]
    by = {"model_name": "qwen", "type": "ai"}
    assert {key: value for key, value in example.items() if key != "rag_evals"} == {
        "query": FULL.question,
        "query_by": by,
        "reference_contexts": ["two process\r\neach | token", "<1-hop> 'of' \"which\" two, é"],
        "reference_answer": FULL.reference,
        "reference_answer_by": by,
    }


def test_ragas_cells_are_lists_to_python_too():
    """Users of ragas read a cell of passages with ast.literal_eval."""
    exported([FULL], "ragas", "out.csv")
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert ast.literal_eval(row["reference_contexts"]) == [s.quote for s in FULL.sources[:2]]
    assert row["synthesizer_name"] == "number"


def test_deepeval_parts_cells():
    """DeepEval's delimiter in a passage is told, as the library would part the passage there."""
    assert exported([FULL], "deepeval", "out.csv") == (
        "1 question with a source without a quote: no passage of it is written",
        '1 passage with "|" in it: there DeepEval parts the passages of a cell; .json keeps them whole',
    )
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["input"], row["name"], row["source_file"]) == (FULL.question, "experts", "a/primer.pdf")
    assert row["context"] == "|".join(source.quote for source in FULL.sources[:2])


def test_beir_folder():
    """Queries, a corpus of the passages, and qrels with a header; a query without a passage is not judged."""
    notes = exported(SET[3:], "beir", "out")
    assert notes == ("1 question without a passage: among the queries, not in the qrels",)
    (passage,) = map(json.loads, Path("out/corpus.jsonl").read_text("utf-8").splitlines())
    assert {key: passage[key] for key in ("title", "text", "metadata")} == {
        "title": "a/primer.pdf",
        "text": "It is said.",
        "metadata": {"document": "a/primer.pdf"},
    }
    assert Path("out/qrels/test.tsv").read_text("utf-8") == (
        f"query-id\tcorpus-id\tscore\npassage\t{passage['_id']}\t1\n"
    )
    queries = [json.loads(line) for line in Path("out/queries.jsonl").read_text("utf-8").splitlines()]
    assert [(query["_id"], query["text"]) for query in queries] == [
        ("unanswerable", "What did it cost?"),
        ("passage", "What is said?"),
    ]


def test_grades_of_beir():
    """What sources are worth is in the qrels, also when it was changed there; what is of no use is along."""
    question = Question(
        "graded",
        "Where?",
        sources=(
            Source("a.md", quote="Here.", relevance=3.0),
            Source("b.md", quote="There.", relevance=0.5),
            Source("c.md", quote="Nowhere.", relevance=0.0),
            Source("d.md", quote="Also here."),
        ),
        provenance={"origin": "imported"},
    )
    exported([question], "beir", "out")
    qrels = Path("out/qrels/test.tsv")
    header, *rows = qrels.read_text("utf-8").splitlines()
    assert [row.split("\t")[::2] for row in rows] == [["graded", "3"], ["graded", "0.5"], ["graded", "1"]]
    assert imported("beir", "out") == (question,)
    changed = "\n".join([header, *(row.replace("\t0.5", "\t2") for row in rows)])
    qrels.write_text(f"{changed}\n", "utf-8")
    (again,) = imported("beir", "out")
    first, second, worthless, last = question.sources
    assert again.sources == (first, replace(second, relevance=2.0), last, worthless)
    assert again.provenance == {"origin": "imported", "edited": True}


def test_csv_does_not_run():
    """No cell begins as a formula does."""
    exported(SET, "csv", "out.csv")
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["question"] for row in rows[1:3]] == ["'=1+1 is what?", "''=1+1 is what?"]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_what_cannot_be_written():
    """A wrong ending, something in the way, a folder that is not there, nothing to judge by."""
    refusals = []
    Path("there.json").write_text("x", "utf-8")
    Path("full").mkdir()
    Path("full/x").write_text("x", "utf-8")
    for name, file in (
        ("llamaindex", "out.csv"),
        ("beir", "out.jsonl"),
        ("ragas", "there.json"),
        ("beir", "full"),
        ("ragas", "no/folder/out.csv"),
        ("beir", "no/folder"),
    ):
        with pytest.raises(UsageError) as caught:
            exported(SET, name, file)
        refusals.append(str(caught.value))
    assert refusals == [
        "--out out.csv: llamaindex is written as .json",
        "--out out.jsonl: beir is written as a folder",
        "--out there.json is there already: remove it, or give another name",
        "--out full is there already: remove it, or give another name",
        "no/folder/out.csv: cannot be written: No such file or directory",
        "no/folder: cannot be written: No such file or directory",
    ]
    with pytest.raises(UsageError) as caught:
        exported(SET[1:4], "beir", "out")
    assert str(caught.value) == (
        "nothing to write as BEIR: no question has a source with a quote, "
        "and a retriever is judged by the passages that it finds"
    )
    assert not Path("out").exists()


def test_a_killed_export_leaves_nothing(here, monkeypatch):
    """What was there before, nothing, is there when writing stops in the middle."""
    monkeypatch.setattr(json, "dumps", lambda *_args, **_named: (_ for _ in ()).throw(KeyboardInterrupt))
    for name, file in (("ragas", "out.jsonl"), ("beir", "out"), ("csv", "out.csv"), ("huggingface", "hf")):
        with pytest.raises(KeyboardInterrupt):
            exported([FULL], name, file)
    assert list(here.iterdir()) == []


def test_an_unknown_name():
    with pytest.raises(UsageError) as caught:
        format_named("excel")
    assert str(caught.value) == (
        'no format is called "excel"; known are llamaindex, ragas, deepeval, beir, trec-qrels, csv, '
        "huggingface, json"
    )
