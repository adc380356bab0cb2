"""Files of other tools made a log of answers: what is said of what could not be read, and of masking."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.answers.formats import format_named
from rag_evals.evals.answers.formats.conversion import ImportedAnswers, format_of, import_answers
from rag_evals.evals.answers.lines import read_log
from rag_evals.evals.answers.logged_answer import LoggedAnswer
from rag_evals.evals.answers.masking import parse_mask
from rag_evals.evals.base.errors import QuestionFileError, UsageError

SAMPLE = {"user_input": "Why?", "response": "So.", "retrieved_contexts": ["Because."]}
KNOWN = [
    "known, by --format:",
    "  otel: spans of OpenTelemetry (OTLP)",
    "  mlflow: traces of MLflow",
    "  langsmith: runs of LangSmith",
    "  phoenix: spans of Phoenix",
    "  langfuse: an export of Langfuse",
    "  deepeval: test cases of DeepEval",
    "  ragas: samples of ragas",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *lines: Any) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def imported(path: Path, form: str = "ragas", *mask: str) -> ImportedAnswers:
    return import_answers(path, format_named(form), Path("out.jsonl"), parse_mask(mask, "--mask"))


def refusal(path: Path, form: str | None = None) -> list[str]:
    with pytest.raises((QuestionFileError, UsageError)) as caught:
        imported(path, form) if form else format_of(path)
    assert not Path("out.jsonl").exists()
    return str(caught.value).split("\n")


def test_what_is_broken_is_named_and_nothing_else_is_lost():
    """Each broken line has its place and what is wrong; those around it are read."""
    path = write(
        "in.jsonl",
        SAMPLE,
        "{",
        '["a"]',
        {"user_input": "Why?"},
        '{"user_input": "Why?", "response": "So.", "score": 1e999}',
        '{"user_input": "Half \\ud800?", "response": "So."}',
        {**SAMPLE, "user_input": "How?"},
    )
    found = imported(path)
    assert list(found.lines()) == [
        "5 problems; what they are in is left out:",
        "  in.jsonl:2: invalid JSON at column 2: Expecting property name enclosed in double quotes",
        '  in.jsonl:3: not an object but a list (["a"])',
        '  in.jsonl:4: not samples of ragas: it has "user_input"',
        "  in.jsonl:5: 1e999 is too large for a number",
        '  in.jsonl:6: "question" holds half of a surrogate pair, which is no character',
    ]
    read = [line.value for line in read_log(Path("out.jsonl"))]
    assert [one.question.question for one in read if isinstance(one, LoggedAnswer)] == ["Why?", "How?"]


def test_what_is_skipped_is_counted_by_its_reason():
    """Traces that are no answers are counted, with the first place; so are answers without passages."""
    spans = [
        {"id": id, "trace_id": id, "run_type": "chain", "inputs": asked, "outputs": said}
        for id, asked, said in (
            ("a", {"q": "Why?"}, {"a": "So."}),
            ("b", {}, {"a": "So."}),
            ("c", {"q": "Why?"}, None),
            ("d", {}, None),
        )
    ]
    assert list(imported(write("in.jsonl", *spans), "langsmith").lines()) == [
        "2 skipped: no question found (first at in.jsonl:2)",
        "1 skipped: no answer found (first at in.jsonl:3)",
        "1 answer without passages, which the files do not tell: what is held against passages stays "
        "unscored",
    ]


def test_many_problems_are_counted():
    """Ten problems are named, the others counted."""
    lines = list(imported(write("in.jsonl", SAMPLE, *["{"] * 1500)).lines())
    assert lines[0] == "1500 problems; what they are in is left out:"
    assert (len(lines), lines[-1]) == (12, "  and 1,490 more")


def test_nothing_to_read():
    """Files without any answer are an error, and nothing is written."""
    assert refusal(write("a.jsonl", {"x": 1}, "{"), "langfuse") == [
        "nothing was read as an export of Langfuse: 2 problems:",
        '  a.jsonl:1: not an export of Langfuse: it has "x"',
        "  a.jsonl:2: invalid JSON at column 2: Expecting property name enclosed in double quotes",
    ]
    assert refusal(write("b.jsonl", {"id": "a", "run_type": "chain", "inputs": {}}), "langsmith") == [
        "no answer in what was read as runs of LangSmith:",
        "  1 skipped: no question found (first at b.jsonl:1)",
    ]
    assert refusal(write("c.jsonl"), "ragas") == ["no answer in what was read as samples of ragas"]
    assert refusal(Path("none.jsonl"), "ragas") == [
        "nothing was read as samples of ragas: 1 problem:",
        "  none.jsonl: no such file",
    ]


def test_a_schema_that_nobody_knows():
    """One error says what was found and what is known."""
    assert refusal(write("a.jsonl", {"prompt": "Why?", "completion": "So."})) == [
        "a.jsonl: which tool wrote it cannot be told; found:",
        '  a.jsonl: it has "prompt", "completion"',
        *KNOWN,
    ]
    write("folder/a.json", "{")
    write("folder/b.jsonl")
    assert refusal(Path("folder")) == [
        "folder: which tool wrote it cannot be told; found:",
        "  folder/a.json:2: invalid JSON at column 1: Expecting property name enclosed in double quotes",
        "  folder/b.jsonl: it is empty",
        *KNOWN,
    ]


def test_files_that_are_no_export():
    """A log of answers is used as it is; a folder without data, or with files of two tools, is refused."""
    assert refusal(write("log.jsonl", {"question": "Why?", "answer": "So."})) == [
        "log.jsonl is a log of answers already: pytest --evals-answers reads it as it is"
    ]
    assert refusal(Path("none")) == ["none: no such file or folder"]
    write("empty/readme.txt", "x")
    assert refusal(Path("empty")) == [
        "empty: no file in this folder that ends in .json, .jsonl, .ndjson, .csv, .tsv, .parquet, .arrow, "
        ".yaml, .yml"
    ]
    write("two/a.jsonl", SAMPLE)
    write("two/b.jsonl", {"input": "Why?", "actual_output": "So."})
    assert refusal(Path("two")) == [
        "two: files of several tools; import each by itself, or say --format:",
        "  two/a.jsonl: samples of ragas",
        "  two/b.jsonl: test cases of DeepEval",
    ]
    with pytest.raises(UsageError) as caught:
        format_named("arize")
    assert str(caught.value) == (
        'no format is called "arize"; known are otel, mlflow, langsmith, phoenix, langfuse, deepeval, ragas'
    )


def test_an_output_that_cannot_be_written():
    """The folder of the output has to be there."""
    with pytest.raises(UsageError) as caught:
        import_answers(write("in.jsonl", SAMPLE), format_named("ragas"), Path("no/out.jsonl"))
    assert str(caught.value) == "--output no/out.jsonl: cannot be written: No such file or directory"


def test_a_pipe():
    """A pipe, which could be read but once, is refused and not waited for."""
    os.mkfifo("pipe.jsonl")
    assert refusal(Path("pipe.jsonl"), "ragas") == [
        "nothing was read as samples of ragas: 1 problem:",
        "  pipe.jsonl: it is no plain file: write it to one first",
    ]


def test_too_much_json(monkeypatch):
    """One value of JSON is read whole, so it has a bound; JSON Lines have none."""
    monkeypatch.setattr("rag_evals.evals.answers.formats.records.MOST_BYTES", 50)
    for text in ('{"data": [\n' + json.dumps(SAMPLE) + "]}", "[" + json.dumps(SAMPLE) + "]"):
        assert refusal(write("in.json", text), "ragas") == [
            "nothing was read as samples of ragas: 1 problem:",
            "  in.json: it has more than 0 MB, and JSON is read whole: JSON Lines have no bound",
        ]
    assert imported(write("in.json", SAMPLE, SAMPLE)).count == 2


def test_a_table_of_langfuse():
    """What the pages of Langfuse export as CSV has its objects as JSON in the cells."""
    rows = 'id,timestamp,name,userId,sessionId,input,output,tags\n"t",2026-03-01T12:00:00Z,chat,u,s,'
    path = write("in.csv", rows + '"{""question"": ""Why?""}","{""answer"": ""So.""}","[""a"", ""b""]"')
    assert format_of(path).name == "langfuse"
    imported(path, "langfuse")
    assert json.loads(Path("out.jsonl").read_text()) == {
        "id": "t",
        "question": "Why?",
        "answer": "So.",
        "tags": ["a", "b"],
        "time": "2026-03-01T12:00:00.000Z",
        "trace": "t",
        "metadata": {"name": "chat", "session": "s"},
    }


def test_pages_in_lines():
    """Each line may be a page of an API."""
    spans = [
        {"id": id, "run_type": "chain", "inputs": {"q": "Why?"}, "outputs": {"a": "So."}}
        for id in ("a", "b", "c")
    ]
    path = write("in.jsonl", {"runs": spans[:2]}, {"runs": spans[2:]}, {"runs": []})
    assert imported(path, "langsmith").count == 3


def test_parquet_of_phoenix():
    """The table of Phoenix's client has times as times and documents as lists of objects."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    document = {
        "document.content": "Because.",
        "document.score": 0.5,
        "document.metadata": {"source": "a.md"},
    }
    base = {"start_time": noon, "end_time": noon, "context.trace_id": "t", "parent_id": None}
    top = {"context.span_id": "a", "attributes.input.value": "Why?", "attributes.output.value": "So."}
    below = {"context.span_id": "b", "parent_id": "a", "attributes.retrieval.documents": [document]}
    rows = [{**base, **top, "span_kind": "CHAIN"}, {**base, **below, "span_kind": "RETRIEVER"}]
    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    parquet.write_table(table, "in.parquet")
    assert format_of(Path("in.parquet")).name == "phoenix"
    assert imported(Path("in.parquet"), "phoenix").count == 1
    assert json.loads(Path("out.jsonl").read_text()) == {
        "id": "t",
        "question": "Why?",
        "answer": "So.",
        "contexts": [{"text": "Because.", "document": "a.md", "score": 0.5}],
        "time": "2026-03-01T12:00:00.000Z",
        "seconds": 0.0,
        "trace": "t",
    }


def test_parquet():
    """Parquet is read as the lines that it holds; what is no Parquet is said."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([SAMPLE, {**SAMPLE, "user_input": "How?"}]), "in.parquet")
    assert format_of(Path("in.parquet")).name == "ragas"
    assert imported(Path("in.parquet")).count == 2
    Path("out.jsonl").unlink()
    write("bad.parquet", "x")
    assert refusal(Path("bad.parquet"), "phoenix") == [
        "nothing was read as spans of Phoenix: 1 problem:",
        "  bad.parquet: not a Parquet file",
    ]


def test_masked_before_it_is_kept():
    """Nothing of what is masked is in the file, not in its ids either; how much it was is said."""
    sample = {
        **SAMPLE,
        "user_input": "Is ada@example.com known, with password=hunter2secret?",
        "response": "Yes: call +49 30 1234567 or write to ada@example.com.",
    }
    found = imported(write("in.jsonl", sample), "ragas", "secrets,emails,phones", "re:hat|known")
    assert list(found.lines()) == [
        "5 places masked: 1 secret, 2 e-mail addresses, 1 telephone number, 1 by re:hat|known"
    ]
    assert json.loads(Path("out.jsonl").read_text()) == {
        "question": "Is *** ***, with password=***",
        "answer": "Yes: call *** or write to ***.",
        "contexts": ["Because."],
    }
    (line,) = read_log(Path("out.jsonl"))
    assert isinstance(line.value, LoggedAnswer)
    assert line.value.question.id.startswith("is-with-password-")
