"""`rag-evals report`: every format, to standard output and to a file."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.cli.main import parser_for
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical

from tests.servers.junit_rules import offences

ANSWER = "Be\x1b[31mcause.\u2028"
EVALUATION = Evaluation(
    Question("why", "Why?"), "baseline", Answer(ANSWER), (Score("relevancy", 0.25),), {"relevancy": 0.5}
)
TABLE = [
    "baseline why: relevancy 0.25 < 0.50",
    "",
    "pipeline  questions  passed  failed  unscored  relevancy  s/question  tokens/question",
    "baseline          1       0       1         0       0.25         0.0                0",
]


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def stored(home):
    """Write a run; return its folder."""

    def written(*evaluations: Evaluation, finished=True) -> Path:
        folder = RunFolder(home)
        folder.start({})
        for evaluation in evaluations:
            folder.append(canonical(evaluation_to_json(evaluation)))
        folder.finish({})
        records = folder.path / "records.jsonl"
        lines = records.read_bytes().splitlines(keepends=True)
        records.write_bytes(b"".join(lines if finished else lines[:-1]))
        return folder.path

    return written


@pytest.fixture
def call(home):
    """Run the command."""

    def called(*arguments: str) -> int:
        words = ["report", *arguments, "--home", str(home)]
        options = parser_for(words).parse_args(words)
        return options.run(options)

    return called


def test_terminal(stored, call, capsys):
    """By default it is the summary of the session, breaches and all."""
    stored(EVALUATION)
    assert call("latest") == 0
    assert capsys.readouterr() == ("\n".join(TABLE) + "\n", "")


def test_notes(stored, call, capsys):
    """What is wrong with a run is said on standard error."""
    stored(finished=False)
    assert call("latest") == 0
    assert capsys.readouterr() == (
        "",
        "it was not finished: it is read as far as it goes\nthere is no evaluation in it\n",
    )


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("markdown", "## Run `"),
        ("csv", '"question_id","pipeline","repeat",'),
        ("junit", '<?xml version="1.0" encoding="utf-8"?>\n<testsuites '),
        ("html", "<!"),
    ],
)
def test_formats(stored, call, capsys, tmp_path, form, begins):
    """A format is the same text on standard output and in a file."""
    folder = stored(EVALUATION)
    out = tmp_path / "report"
    assert call(str(folder), "--format", form) == 0
    assert call(folder.name, "--format", form, "--out", str(out)) == 0
    told = capsys.readouterr()
    assert told.out == out.read_text("utf-8")
    assert told.err == ""
    assert told.out.startswith(begins)


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "junit"])
def test_empty_run(stored, call, capsys, form):
    """An empty run is no error in any format."""
    stored()
    assert call("latest", "--format", form) == 0
    assert capsys.readouterr().err == "there is no evaluation in it\n"


def test_trec_run(stored, call, capsys):
    """What was found, by document; of several pipelines it is said that they are in one file."""
    found = replace(EVALUATION, answer=Answer("x", (Context("y", "a.md"), Context("z", "b.md"))))
    stored(found, replace(found, pipeline="merging"))
    assert call("latest", "--format", "trec-run") == 0
    assert capsys.readouterr() == (
        "why Q0 a.md 1 2 baseline\nwhy Q0 b.md 2 1 baseline\n"
        "why Q0 a.md 1 2 merging\nwhy Q0 b.md 2 1 merging\n",
        "2 pipelines are in it, told apart by the last column: baseline, merging\n",
    )


def test_junit_is_valid(stored, call, capsys):
    stored(EVALUATION)
    call("latest", "--format", "junit")
    assert offences(capsys.readouterr().out) == []


def test_parquet(stored, call, tmp_path, capsys):
    """Parquet goes to a file only."""
    import pandas

    stored(EVALUATION)
    out = tmp_path / "run.parquet"
    assert call("latest", "--format", "parquet", "--out", str(out)) == 0
    assert pandas.read_parquet(out)["answer"].tolist() == [ANSWER]
    with pytest.raises(UsageError) as told:
        call("latest", "--format", "parquet")
    assert str(told.value) == "--format parquet is not for a terminal: name a file with --out"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_file_cannot_be_written(stored, call, tmp_path, form):
    stored(EVALUATION)
    out = tmp_path / "no" / "report"
    with pytest.raises(UsageError) as told:
        call("latest", "--format", form, "--out", str(out))
    assert str(told.value) == (
        f"{out} cannot be written: No such file or directory: give another file with --out"
    )


def test_no_run(call):
    with pytest.raises(RunFileError, match="no run 'gone'"):
        call("gone")


def test_terminal_is_not_driven(stored, call, monkeypatch):
    """What answers say is shown on a terminal without control characters, and kept for anything else."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    stored(EVALUATION)
    shown = {}
    for kind in (Terminal, io.TextIOWrapper):
        kept = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", kind(kept, encoding="ascii"))
        call("latest", "--format", "csv")
        sys.stdout.flush()
        shown[kind] = kept.getvalue()
    assert b"Be\\ufffd[31mcause.\\ufffd" in shown[Terminal]
    assert b"Be\x1b[31mcause.\\u2028" in shown[io.TextIOWrapper]
