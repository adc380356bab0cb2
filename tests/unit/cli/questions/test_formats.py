"""`questions import` and `questions export`: what they say, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.cli.main import parser_for
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, Source, questions_digest
from rag_evals.evals.questions.question_set import load_set


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    words = ["questions", *arguments]
    options = parser_for(words).parse_args(words)
    status: int = options.run(options)
    return status


PASSAGE = "Each token is processed by two of eight experts."


@pytest.fixture
def goldens() -> str:
    """A file of DeepEval's, and a folder of documents beside it."""
    golden = {"input": "How many?", "expected_output": "Two", "context": [PASSAGE, "Nowhere."]}
    Path("goldens.json").write_text(json.dumps([golden]), "utf-8")
    Path("docs").mkdir()
    Path("docs/a.md").write_text(f"Words. {PASSAGE}\n", "utf-8")
    Path("docs/broken.pdf").write_text("no PDF", "utf-8")
    return "goldens.json"


def test_import(goldens, capsys):
    """Passages are found in the documents, and the set has its manifest."""
    assert run("import", goldens, "--docs", "docs", "--out", "set.jsonl") == 0
    loaded = load_set(Path("set.jsonl"))
    assert loaded.questions[0].sources == (Source("a.md", None, 7, 55, PASSAGE),)
    assert loaded.manifest.digest == questions_digest(loaded.questions)
    assert list(loaded.manifest.documents) == ["a.md"]
    said, left_out = capsys.readouterr()
    assert left_out.startswith("left out broken.pdf: is not a readable PDF")
    assert said.splitlines() == [
        "1 question of goldens.json (goldens of DeepEval) in set.jsonl",
        "  1 of 2 passages found in the documents",
        "  1 passage of no known document (not found in them): kept in the provenance",
    ]


def test_import_without_documents(goldens, capsys):
    """A set without documents says so in as many words, and has the name questions.jsonl."""
    assert run("import", goldens, "--format", "deepeval") == 0
    assert load_questions([Path("questions.jsonl")])[0].provenance["contexts"] == [PASSAGE, "Nowhere."]
    assert capsys.readouterr().out.splitlines() == [
        "1 question of goldens.json (goldens of DeepEval) in questions.jsonl",
        "  2 passages of no known document (--docs PATH looks for them): kept in the provenance",
    ]


def test_import_with_a_map(capsys):
    """Columns are told several at a time or one by one."""
    Path("in.csv").write_text("Frage;Antwort;Nr\nWie viele?;Zwei;7\n", "utf-8")
    assert run("import", "in.csv", "--map", "question=Frage,reference=Antwort", "--map", "id=Nr") == 0
    provenance = {"origin": "imported", "format": "csv"}
    assert load_questions([Path("questions.jsonl")]) == (
        Question("7", "Wie viele?", "Zwei", provenance=provenance),
    )
    assert capsys.readouterr().out == "1 question of in.csv (a CSV) in questions.jsonl\n"


def test_import_refused(here, goldens):
    """What is there is never written over; a refused file leaves nothing behind."""
    Path("there.jsonl").write_text("mine", "utf-8")
    Path("bad.json").write_text('[{"input": 1}]', "utf-8")
    before = sorted(here.iterdir())
    refusals = []
    for arguments in (
        (goldens, "--out", "there.jsonl"),
        (goldens, "--out", "set.csv"),
        (goldens, "--map", "question=ask"),
        ("bad.json", "--format", "deepeval"),
        (goldens, "--format", "excel"),
    ):
        with pytest.raises(UsageError) as caught:
            run("import", *arguments)
        refusals.append(str(caught.value))
    assert refusals == [
        "--out there.jsonl is there already: remove it, or give another name",
        "--out set.csv: a question set ends in .jsonl",
        'goldens.json: no such column; its columns are "input", "expected_output", "context":\n'
        "  question=ask",
        '1 problem in goldens of DeepEval:\n  bad.json:1: "input" is not text but a number (1)',
        'no format is called "excel"; known are llamaindex, ragas, deepeval, beir, trec-qrels, csv, '
        "huggingface, json",
    ]
    assert sorted(here.iterdir()) == before
    assert Path("there.jsonl").read_text("utf-8") == "mine"


def test_export(capsys):
    """What the reader should know of the file is said."""
    lines = [
        {"id": "a", "question": "A?", "sources": [{"document": "a.md", "quote": "one | two"}]},
        {"id": "b", "question": "B?", "sources": [{"document": "a.md", "page": 2}]},
    ]
    Path("q.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert run("export", "q.jsonl", "--format", "beir", "--out", "folder") == 0
    assert run("export", "q.jsonl", "--format", "csv", "--out", "q.csv") == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 questions of q.jsonl in folder (a BEIR folder: queries, corpus and qrels)",
        "  1 question with a source without a quote: no passage of it is written",
        "  1 question without a passage: among the queries, not in the qrels",
        "2 questions of q.jsonl in q.csv (a CSV)",
    ]
    assert run("import", "folder") == 0
    assert load_questions([Path("questions.jsonl")]) == load_questions([Path("q.jsonl")])
