"""Runs as tables: a DataFrame, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import sys

import pytest
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.dataframe import to_csv, to_pandas, write_parquet
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.identity import canonical

FULL = Evaluation(
    Question("size", "How big?", reference="Two.", tags=("fact", "numbers")),
    "baseline",
    Answer("Two, or three.", (Context("It is two.", "a.pdf", page=3), Context("Or not.", "b.md"))),
    (
        Score("relevancy", 0.75),
        Score(
            "faithfulness",
            0.25,
            claims=(ClaimScore("Two", 0.9), ClaimScore("or three", 0.25), ClaimScore("no verdict", None)),
        ),
    ),
    {"faithfulness": 0.5, "relevancy": 0.5},
    seconds={"generate": 1.5, "judge": 0.25},
    tokens={"generate": Tokens(7, 8, 9), "judge": Tokens(1, 0, 0)},
    usd=0.5,
)
UNSCORED = Evaluation(
    Question("why", "Why?"),
    "baseline",
    Answer("Because."),
    (Score("faithfulness", None, reason="the judge is silent"), Score("relevancy", 0.25)),
    {"faithfulness": 0.5, "relevancy": 0.5},
    repeat=1,
)
BROKEN = Evaluation(Question("who", "Who?"), "other", None, (), {}, error="OSError: no disk")
ROW = {
    "question_id": "size",
    "pipeline": "baseline",
    "repeat": 0,
    "question": "How big?",
    "answer": "Two, or three.",
    "reference": "Two.",
    "tags": ["fact", "numbers"],
    "outcome": "failed",
    "faithfulness": 0.25,
    "faithfulness_reason": None,
    "faithfulness_threshold": 0.5,
    "relevancy": 0.75,
    "relevancy_reason": None,
    "relevancy_threshold": 0.5,
    "worst_claim": "or three",
    "seconds": 1.75,
    "seconds_generate": 1.5,
    "seconds_judge": 0.25,
    "tokens_evaluated": 8,
    "tokens_reused": 8,
    "tokens_generated": 9,
    "contexts": ["It is two.", "Or not."],
    "documents": ["a.pdf", "b.md"],
    "pages": [3, None],
    "error": None,
    "usd": 0.5,
}


def run_of(*evaluations: Evaluation, notes=()) -> Run:
    return Run("r1", RunHeader(), (), evaluations, tuple(notes))


def plain(row) -> dict:
    """Return a row with None for what pandas has for nothing."""
    return {
        name: None if isinstance(cell, float) and math.isnan(cell) else cell for name, cell in row.items()
    }


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_frame():
    """One row an evaluation, with everything that a record says in columns."""
    frame = to_pandas(run_of(FULL, UNSCORED, BROKEN, notes=["it was not finished"]))
    first, second, third = (plain(row) for row in frame.to_dict("records"))
    assert first == ROW
    assert list(first) == list(ROW)
    assert (second["faithfulness"], second["faithfulness_reason"], second["repeat"]) == (
        None,
        "the judge is silent",
        1,
    )
    assert (third["answer"], third["outcome"], third["error"], third["contexts"]) == (
        None,
        "error",
        "OSError: no disk",
        [],
    )
    assert frame.attrs == {"run": "r1", "notes": ["it was not finished"]}


def test_means():
    """What could not be had is missing, never zero, and does not enter a mean."""
    frame = to_pandas(run_of(FULL, UNSCORED, BROKEN))
    means = frame.groupby("pipeline")[["faithfulness", "relevancy"]].mean()
    assert means.loc["baseline"].to_dict() == {"faithfulness": 0.25, "relevancy": 0.5}
    assert means.loc["other"].isna().all()


@pytest.mark.parametrize("evaluations", [(), (BROKEN,), (UNSCORED,)])
def test_types_do_not_depend_on_what_is_there(evaluations):
    """A column without a single number is one of numbers still."""
    kinds = {name: str(kind) for name, kind in to_pandas(run_of(*evaluations)).dtypes.items()}
    whole = {name: str(kind) for name, kind in to_pandas(run_of(FULL)).dtypes.items()}
    assert kinds.items() <= whole.items()
    assert {kinds["usd"], kinds["seconds"], kinds["repeat"], kinds["error"]} == {"float64", "int64", "str"}


def test_metric_of_another_name():
    """A metric called like a column of something else gets a column of its own; unknown ones come last."""
    odd = Evaluation(Question("q", "Q?"), "p", Answer("A."), (Score("tone", 1.0), Score("answer", 0.5)), {})
    frame = to_pandas(run_of(odd, FULL))
    assert frame["metric_answer"].tolist()[0] == 0.5
    assert frame["answer"].tolist() == ["A.", "Two, or three."]
    metrics = [name.removesuffix("_reason") for name in frame.columns if name.endswith("_reason")]
    assert metrics == ["faithfulness", "relevancy", "tone", "metric_answer"]


def test_run_by_name(tmp_path):
    """A run is named by `latest`, its folder or its records; one that is not there is said as ever."""
    folder = RunFolder(tmp_path)
    folder.start({})
    folder.append(canonical(evaluation_to_json(FULL)))
    folder.finish({"failed": 1})
    for name in ("latest", folder.path, folder.path / "records.jsonl"):
        frame = to_pandas(name, home=tmp_path)
        assert plain(frame.to_dict("records")[0]) == ROW
        assert frame.attrs == {"run": folder.run_id, "notes": []}
    with pytest.raises(RunFileError, match="no run 'gone'"):
        to_pandas("gone", home=tmp_path)


def test_csv():
    """CSV has the same columns, lists as JSON, and nothing where there is nothing."""
    (row, unscored) = rows_of(to_csv(run_of(FULL, UNSCORED)))
    assert list(row) == list(ROW)
    assert {name: json.loads(row[name]) for name in ("tags", "contexts", "documents", "pages")} == {
        name: ROW[name] for name in ("tags", "contexts", "documents", "pages")
    }
    assert (row["faithfulness"], row["tokens_evaluated"], row["error"]) == ("0.25", "8", "")
    assert (unscored["faithfulness"], unscored["faithfulness_reason"]) == ("", "the judge is silent")


def test_csv_needs_no_pandas(monkeypatch):
    """Only a DataFrame and Parquet need the extra, and say how to get it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert len(rows_of(to_csv(run_of(FULL)))) == 1
    with pytest.raises(UsageError) as told:
        to_pandas(run_of(FULL))
    assert str(told.value) == (
        "a DataFrame needs pandas, which is not installed: pip install 'rag-evals[tables]'"
    )


def test_parquet_needs_pyarrow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as told:
        write_parquet(run_of(FULL), tmp_path / "run.parquet")
    assert str(told.value) == (
        "Parquet needs pyarrow, which is not installed: pip install 'rag-evals[tables]'"
    )


@pytest.mark.parametrize(
    "answer", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", " \n +1", "'=1", "\uff1d1"]
)
def test_csv_gives_no_formula(answer):
    """A text that a spreadsheet would calculate has an apostrophe before it; a number never has."""
    evil = Evaluation(Question("-1", answer), "p", Answer(answer), (Score("relevancy", -0.5),), {})
    text = to_csv(run_of(evil))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["answer"], row["question"], row["question_id"]) == (f"'{answer}", f"'{answer}", "'-1")
    assert row["relevancy"] == "-0.5"


def test_hostile_text(tmp_path):
    """Quotes, line ends, control characters and half a surrogate pair come back; the half as an escape."""
    text = 'a "b"\n,c\x1b[31m\ud800 \u2028'
    evil = Evaluation(Question("q", "Q?"), "p", Answer(text, (Context(text, "d"),)), (), {})
    whole = text.replace("\ud800", "\\ud800")
    frame = to_pandas(run_of(evil))
    assert (frame["answer"][0], frame["contexts"][0]) == (whole, [whole])
    (row,) = csv.DictReader(io.StringIO(to_csv(run_of(evil)), newline=""))
    assert (row["answer"], json.loads(row["contexts"])) == (whole, [whole])
    write_parquet(run_of(evil), tmp_path / "run.parquet")


@pytest.mark.parametrize("evaluations", [(FULL, UNSCORED, BROKEN), (BROKEN,), ()])
def test_parquet(tmp_path, evaluations):
    """What is read back is what was there, in the same types in every run."""
    import pandas
    from pyarrow import parquet

    run = run_of(*evaluations)
    file = tmp_path / "run.parquet"
    write_parquet(run, file)
    frame = pandas.read_parquet(file)
    assert [list(contexts) for contexts in frame["contexts"]] == list(to_pandas(run)["contexts"])
    lists = ["tags", "contexts", "documents", "pages"]
    assert frame.drop(columns=lists).equals(to_pandas(run).drop(columns=lists))
    types = {field.name: str(field.type) for field in parquet.read_schema(file)}
    assert (types["usd"], types["answer"], types["repeat"]) == ("double", "string", "int64")
    assert types["pages"].startswith("list<")
    assert types["pages"].endswith("int64>")
