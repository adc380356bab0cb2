"""`rag-evals answers`: what its verbs write, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical

SAMPLE = {"user_input": "Why?", "response": "So.", "retrieved_contexts": ["Because."]}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *lines: Any) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(f"{text}\n" for text in texts))


def called(capsys, *arguments: str) -> tuple[int, list[str]]:
    """Return the status of a call and the lines of what it said."""
    status = main(["answers", *arguments])
    said = capsys.readouterr()
    return status, (said.out + said.err).splitlines()


def test_import(capsys):
    """The format is told by the file; what was masked is said."""
    write("in.jsonl", SAMPLE)
    assert called(capsys, "import", "in.jsonl", "--mask", "emails", "--mask", "re:B\\w+") == (
        0,
        ["1 answer of in.jsonl (samples of ragas) in answers.jsonl", "  1 place masked: 1 by re:B\\w+"],
    )
    assert json.loads(Path("answers.jsonl").read_text()) == {
        "question": "Why?",
        "answer": "So.",
        "contexts": ["***."],
    }


def test_import_of_a_broken_file(capsys):
    """What can be read is written; that something could not be is said, and in the status."""
    write("in.jsonl", SAMPLE, "{")
    assert called(capsys, "import", "in.jsonl", "--format", "ragas", "--output", "out.jsonl") == (
        1,
        [
            "1 answer of in.jsonl (samples of ragas) in out.jsonl",
            "  1 problem; what they are in is left out:",
            "    in.jsonl:2: invalid JSON at column 2: Expecting property name enclosed in double quotes",
        ],
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "out.csv"], "--output out.csv: a log of answers ends in .jsonl or .ndjson"),
        (["--output", "in.jsonl"], "--output in.jsonl is there already: remove it, or give another name"),
        (
            ["--map", "question=input.q"],
            "--map says where in a trace something stands, and samples of ragas are none",
        ),
        (["--mask", "all"], '--mask "all" is none of secrets, emails, phones, nor re:PATTERN'),
        (
            ["--format", "arize"],
            'no format is called "arize"; known are otel, mlflow, langsmith, phoenix, langfuse, deepeval, '
            "ragas",
        ),
    ],
)
def test_import_refuses(capsys, arguments, message):
    """A wrong option is one line."""
    write("in.jsonl", SAMPLE)
    assert called(capsys, "import", "in.jsonl", *arguments) == (4, [f"ERROR: {message}"])


def record(name: str, value: float | None) -> str:
    evaluation = Evaluation(
        question=Question(name, f"How many {name}?"),
        pipeline="baseline",
        answer=Answer("Nine."),
        scores=(Score("faithfulness", value, reason=None if value is not None else "no key"),),
        thresholds={"faithfulness": 0.5},
        test=f"t[{name}]",
    )
    return canonical(evaluation_to_json(evaluation))


@pytest.fixture
def recorded() -> None:
    """A run with a question that passed, one that failed and one without a verdict."""
    head = canonical({"type": "run", "schema": 1, "run": "r1", "started": "2026-03-01T12:00:00Z"})
    lines = [record("ok", 0.9), record("low", 0.25), record("none", None)]
    write(".rag-evals/runs/r1/records.jsonl", head, *lines, canonical({"type": "end", "passed": 1}))


@pytest.mark.usefixtures("recorded")
def test_to_questions(capsys):
    """What failed is added to the file, once; the file loads, and what was in it stays byte by byte."""
    before = '// ours\n{"id": "a", "question": "How many low?", "x-note": 1}'
    Path("failed.jsonl").write_text(before)
    assert called(capsys, "to-questions", "r1", "--output", "failed.jsonl") == (
        0,
        ["1 question of r1 added to failed.jsonl; 1 other stood there before"],
    )
    assert Path("failed.jsonl").read_text().startswith(f"{before}\n")
    assert [question.id for question in load_questions([Path("failed.jsonl")])] == ["a", "none"]
    assert called(capsys, "to-questions", "latest", "--output", "failed.jsonl", "--all") == (
        0,
        ["1 question of r1 added to failed.jsonl; 2 others stood there before"],
    )
    assert called(capsys, "to-questions", "r1", "--output", "failed.jsonl", "--only", "breaches") == (
        0,
        ["0 questions of r1 added to failed.jsonl; 1 other stood there before"],
    )


@pytest.mark.usefixtures("recorded")
def test_to_questions_in_a_new_file(capsys):
    """The file is made; one that would have nothing is not."""
    assert called(capsys, "to-questions", "r1", "--output", "new/failed.jsonl", "--only", "unscored") == (
        0,
        ["1 question of r1 added to new/failed.jsonl"],
    )
    write(
        ".rag-evals/runs/r2/records.jsonl",
        canonical({"type": "run", "schema": 1, "run": "r2"}),
        record("ok", 0.9),
        canonical({"type": "end", "passed": 1}),
    )
    assert called(capsys, "to-questions", "r2", "--output", "none.jsonl") == (
        0,
        ["nothing to add to none.jsonl: no question of r2 is such a one"],
    )
    assert not Path("none.jsonl").exists()


@pytest.mark.usefixtures("recorded")
def test_to_questions_refuses(capsys):
    """A file of another form, one that is broken, or a run that is not there: one message."""
    assert called(capsys, "to-questions", "r1", "--output", "failed.yaml") == (
        4,
        ["ERROR: --output failed.yaml: questions are added to a file that ends in .jsonl or .ndjson"],
    )
    write("failed.jsonl", "{")
    assert called(capsys, "to-questions", "r1", "--output", "failed.jsonl") == (
        4,
        [
            "ERROR: 1 problem in question files:",
            "  failed.jsonl:1: invalid JSON at column 2: Expecting property name enclosed in double quotes",
        ],
    )
    assert called(capsys, "to-questions", "r9", "--output", "x.jsonl") == (
        4,
        [
            "ERROR: no run 'r9': it is no folder with a records.jsonl, no such file, and no run in "
            ".rag-evals/runs",
            "  runs there: r1",
        ],
    )
