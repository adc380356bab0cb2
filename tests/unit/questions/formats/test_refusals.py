"""Files that cannot be read: one error with every offender and its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.questions.formats import format_named
from rag_evals.evals.questions.formats.conversion import format_of, import_set
from rag_evals.evals.questions.formats.table_columns import parse_map


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(name: str, file: str, content: str | bytes | None = None, **columns: str) -> list[str]:
    """Return the lines of the refusal."""
    path = Path(file)
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises((QuestionFileError, UsageError)) as caught:
        import_set(path, format_named(name), columns)
    return str(caught.value).split("\n")


def test_ragas():
    """Every line that is wrong, and all that is wrong with it."""
    lines = [
        '{"user_input": [{"content": "Hi", "type": "human"}], "synthesizer_name": "x"}',
        '{"user_input": 3, "reference_contexts": "one", "reference": []}',
        "{",
        '["a"]',
        '{"user_input": "A?", "reference_contexts": ["x", 1]}',
        '{"user_input": "A?", "rag_evals": {"id": "a b", "x": 1}}',
        '{"user_input": "A?", "rag_evals": 3}',
        '{"user_input": " "}',
    ]
    assert refusal("ragas", "in.jsonl", "\n".join(lines)) == [
        "11 problems in a test set of ragas:",
        '  in.jsonl:1: "user_input" is a conversation of several turns; only single questions can be read',
        '  in.jsonl:2: "user_input" is not text but a number (3)',
        '  in.jsonl:2: "reference" is not text but a list ([])',
        '  in.jsonl:2: "reference_contexts" is not a list of texts but text ("one")',
        "  in.jsonl:3: invalid JSON at column 2: Expecting property name enclosed in double quotes",
        '  in.jsonl:4: not an object but a list (["a"])',
        "  in.jsonl:5: reference_contexts[1] is not text but a number (1)",
        '  in.jsonl:6: unknown key "x"; known are id, question, reference, sources, tags, answerable, '
        "thresholds, provenance, history, conversation, turn",
        '  in.jsonl:6: "id" = "a b" cannot be a test id: no blanks, "[", "]", "::" or control characters',
        '  in.jsonl:7: "rag_evals" is not an object but a number (3)',
        '  in.jsonl:8: "user_input" is empty',
    ]


def test_cells_that_are_no_lists():
    """A list as NumPy prints it would become one passage: it is refused."""
    rows = ["A?,\"['one'\n 'two']\"", "B?,one", 'C?,"{""a"": 1}"', "D?,\"['one', 'two']\""]
    content = "user_input,reference_contexts\n" + "\n".join(rows)
    assert refusal("ragas", "in.csv", content) == [
        "3 problems in a test set of ragas:",
        '  in.csv:2: "reference_contexts" is a list as NumPy prints it, without commas; write it as JSON',
        '  in.csv:4: "reference_contexts" is not a list, neither in JSON nor in Python',
        '  in.csv:5: "reference_contexts" is not a list',
    ]


def test_llamaindex():
    """Places in one object are positions in its list."""
    example = {"query": "A?", "query_by": "me", "reference_contexts": 1}
    content = json.dumps({"examples": [example, 3, {"reference_answer": "Two"}]})
    assert refusal("llamaindex", "in.json", content) == [
        "4 problems in a LabelledRagDataset of LlamaIndex:",
        '  in.json: examples[0]: "reference_contexts" is not a list of texts but a number (1)',
        '  in.json: examples[0]: "query_by" is not an object but text ("me")',
        "  in.json: examples[1]: not an object but a number (3)",
        '  in.json: examples[2]: missing "query"',
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "in.json: no such file"),
        ("[]", 'in.json: no list "examples", which a LabelledRagDataset has'),
        ('{"examples": [}', "in.json:1: invalid JSON at column 15: Expecting value"),
        (b'{"\xff"}', "in.json: not UTF-8 text (at byte 2)"),
        ("[" * 100_000, "in.json: invalid JSON: maximum recursion depth exceeded"),
    ],
)
def test_llamaindex_as_a_whole(content, message):
    (line,) = refusal("llamaindex", "in.json", content)
    assert line.startswith(message)


def test_nothing_in_it():
    """A file without a question is no question set."""
    for name, file, content in (
        ("llamaindex", "in.json", '{"examples": []}'),
        ("ragas", "in.jsonl", "\n"),
        ("deepeval", "in.json", "[]"),
        ("csv", "in.csv", "question,answer\n"),
    ):
        assert refusal(name, file, content)[1:] == [f"  {file}: no questions in it"]


def test_deepeval():
    """Conversations are not single questions; metadata has to be an object."""
    goldens = [{"scenario": "A call."}, {"input": "A?", "additional_metadata": [1]}, {"input": None}]
    assert refusal("deepeval", "in.json", json.dumps(goldens, indent=0)) == [
        "3 problems in goldens of DeepEval:",
        '  in.json:2: "scenario" makes it a conversation of several turns; only single questions can be read',
        '  in.json:5: "additional_metadata" is not an object but a list ([1])',
        '  in.json:11: missing "input"',
    ]
    assert refusal("deepeval", "in.csv", "input,additional_metadata\nA?,{'a': 1}\n")[1:] == [
        '  in.csv:2: "additional_metadata" is not JSON'
    ]


def test_nested_too_deeply():
    """What Python reads but cannot go through is refused, not met with a traceback."""
    metadata = '{"a": ' * 700 + "1" + "}" * 700
    lines = ['{"input": "A?"}', f'{{"input": "B?", "additional_metadata": {metadata}}}']
    assert refusal("deepeval", "in.jsonl", "\n".join(lines))[1:] == [
        "  in.jsonl:2: nested more than 100 deep"
    ]


def beir(qrels: str, **files: str) -> list[str]:
    Path("set/qrels").mkdir(parents=True, exist_ok=True)
    Path("set/qrels/test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}", "utf-8")
    for name, content in files.items():
        Path(f"set/{name}.jsonl").write_text(content, "utf-8")
    return refusal("beir", "set")


def test_beir():
    """Judgements that are none, lines without an id."""
    queries = '{"_id": "q1", "text": "A?"}\n{"text": "B?"}\n{"_id": "q1", "text": "C?"}'
    corpus = '{"_id": "d1", "text": "One."}\n{"_id": 2, "text": "Two."}'
    qrels = "q1\td1\t1\nq9\td9\t1\nq1\t\t1\nq1\td1\thigh\nq1\td1\n"
    assert beir(qrels, queries=queries, corpus=corpus) == [
        "5 problems in a BEIR folder: queries, corpus and qrels:",
        '  set/qrels/test.tsv:4: no "query-id" and "corpus-id" in it',
        '  set/qrels/test.tsv:5: "score" is not a number but "high"',
        "  set/qrels/test.tsv:6: 2 cells, but the first line names 3",
        '  set/queries.jsonl:2: missing "_id"',
        '  set/queries.jsonl:3: duplicate id "q1" (first at set/queries.jsonl:1)',
    ]


def test_beir_of_another_set():
    """Judgements of which no query is there are of another set: one id of each is named."""
    queries, corpus = '{"_id": "PLAIN-1", "text": "A?"}', '{"_id": "d1", "text": "A"}'
    assert beir("q1\td1\t1\n", queries=queries, corpus=corpus) == [
        "1 problem in a BEIR folder: queries, corpus and qrels:",
        '  set: no query of the judgements is in queries.jsonl: ids there are such as "PLAIN-1", here "q1"',
    ]


def test_beir_as_a_whole():
    """Files that are missing, and judgements of several splits without a test."""
    Path("set").mkdir()
    assert refusal("beir", "set") == ["set: no queries.jsonl and no corpus.jsonl, which a BEIR folder has"]
    for name in ("queries", "corpus"):
        Path(f"set/{name}.jsonl").write_text("", "utf-8")
    assert refusal("beir", "set") == [
        "set/qrels: no test.tsv, but no file: keep one file of judgements there"
    ]
    Path("set/qrels").mkdir()
    for name in ("dev", "train"):
        Path(f"set/qrels/{name}.tsv").write_text("", "utf-8")
    assert refusal("beir", "set") == [
        "set/qrels: no test.tsv, but only dev.tsv, train.tsv: keep one file of judgements there"
    ]


def test_columns():
    """Columns that are not there are all named, with those that are."""
    assert refusal("csv", "in.csv", "Q,A\nx,y\n", question="Frage", reference="Antwort", tags="A") == [
        'in.csv: no such column; its columns are "Q", "A":',
        "  question=Frage",
        "  reference=Antwort",
    ]
    assert refusal("csv", "in.csv", "Q,A\nx,y\n") == [
        'in.csv: no column holds the question; its columns are "Q", "A"; say --map question=COLUMN'
    ]
    assert refusal("csv", "in.csv", "") == [
        "in.csv: no column holds the question; its columns are none; say --map question=COLUMN"
    ]
    assert refusal("csv", "in.csv", "question,a,a\nx,y,z\n") == [
        'in.csv:1: more than one column is called "a"'
    ]
    assert refusal("ragas", "in.jsonl", '{"user_input": {"a": "A?"}}', question="user_input.b") == [
        'in.jsonl: no such column; its columns are "user_input", "user_input.a":',
        "  question=user_input.b",
    ]


def test_cells():
    """Cells that are not what their column holds, rows of another length, an id that stands twice."""
    rows = ["a,,,,", 'b,B?,1,maybe,"[1]"', "c,C?,0,,", "d,D?", "e,E?,x,,\"['a' 'b']\"", "f,F?,,,", "f,G?,,,"]
    content = "id,question,page,answerable,contexts\n" + "\n".join(rows)
    assert refusal("csv", "in.csv", content) == [
        "8 problems in a CSV:",
        '  in.csv:2: missing "question"',
        '  in.csv:3: "contexts"[0] is not text but a number (1)',
        '  in.csv:3: "answerable" is not true or false but text ("maybe")',
        '  in.csv:4: "page" is not a page but text ("0")',
        "  in.csv:5: 2 cells, but the first line names 5",
        '  in.csv:6: "contexts" is a list as NumPy prints it, without commas; write it as JSON',
        '  in.csv:6: "page" is not a page but text ("x")',
        '  in.csv:8: duplicate id "f" (first at in.csv:7)',
    ]


def test_what_is_no_csv():
    """A quote that is not closed ends the reading, and is named where it opens."""
    assert refusal("csv", "in.csv", 'question,answer\nA?,"open\nB?,x\n')[1:] == [
        "  in.csv:2: not CSV: a quote that opens here is never closed: all behind it is lost"
    ]


def test_text_in_another_alphabet():
    """One byte a letter, and not Western European: the line is named, and what to do."""
    answers = "\u0434\u0430,\u043d\u0435\u0442".encode("cp1251")
    remedy = "nothing from here on is read; save the file as UTF-8"
    assert refusal("csv", "in.csv", b"question,answer\nA?,x\n" + answers)[1:] == [
        f"  in.csv:3: not UTF-8 text (byte 0xE4): {remedy}"
    ]
    assert refusal("csv", "in.csv", answers) == [f"in.csv:1: not UTF-8 text (byte 0xE4): {remedy}"]


def test_text_cannot_drive_the_terminal():
    """Control characters of a file are shown as what they are."""
    assert refusal("csv", "in.csv", "question,page\nA?,\x1b[31m\n")[1:] == [
        '  in.csv:2: "page" is not a page but text ("\\u001b[31m")'
    ]


def test_parquet():
    """No Parquet at all, and a folder without any."""
    pytest.importorskip("pyarrow")
    assert refusal("huggingface", "in.parquet") == ["in.parquet: no such file"]
    assert refusal("huggingface", "in.parquet", "PAR1") == ["in.parquet: not a Parquet file"]
    Path("empty").mkdir()
    assert refusal("huggingface", "empty") == ["empty: no .parquet file in this folder"]


def test_damaged_parquet():
    """A file that is damaged in its middle is told as one."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"question": [f"Question {number}?" for number in range(1000)]})
    parquet.write_table(table, "in.parquet")
    data = bytearray(Path("in.parquet").read_bytes())
    data[4:2000] = bytes(1996)
    assert refusal("huggingface", "in.parquet", bytes(data)) == ["in.parquet: a damaged Parquet file"]


def test_parquet_rows():
    """Rows count from 0, as datasets shows them."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"question": [1.5, None], "answer": ["x", "y"]})
    parquet.write_table(table, "in.parquet")
    assert refusal("huggingface", "in.parquet") == [
        "2 problems in Parquet as Hugging Face's datasets has it:",
        '  in.parquet: row 0: "question" is not text but a number (1.5)',
        '  in.parquet: row 1: missing "question"',
    ]


@pytest.mark.parametrize(
    ("texts", "columns"),
    [
        (["question=Q,reference=A"], {"question": "Q", "reference": "A"}),
        (["question=Q, or so,reference = A"], {"question": "Q, or so", "reference": "A"}),
        (["question=Q", "contexts=a=b"], {"question": "Q", "contexts": "a=b"}),
        ([], {}),
    ],
)
def test_map(texts, columns):
    """A column's name may hold a comma or a sign of equality."""
    assert parse_map(texts) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q", '--map "Q" is not FIELD=COLUMN'),
        ("query=Q", '--map "query=Q" is not FIELD=COLUMN'),
        ("question=", '--map "question=" is not FIELD=COLUMN'),
        ("question=A,question=B", '--map gives question twice: "A" and "B"'),
    ],
)
def test_map_refused(text, message):
    fields = ", with FIELD one of question, reference, contexts, document, page, tags, answerable, id"
    with pytest.raises(UsageError) as caught:
        parse_map([text])
    assert str(caught.value) == message + (fields if "not FIELD" in message else "")


@pytest.mark.parametrize(
    "content",
    [
        '{"data": {}}',
        '{"queries": [{"q": "Q?"}], "corpus": {"n": "C."}, "relevant_docs": {"q": ["n"]}}',
        '{"queries": {"q": 5}, "corpus": {"n": "C."}, "relevant_docs": {"q": 5}}',
        '{"columns": ["question"], "data": [1, null]}',
        '{"data": [{"paragraphs": [{"context": "C.", "qas": 5}]}]}',
    ],
)
def test_json_of_other_types_than_its_keys_say(content):
    """Whatever stands where a list or an object is meant to be, it is read or refused in one line."""
    Path("in.json").write_text(content, "utf-8")
    try:
        imported = import_set(Path("in.json"), format_of(Path("in.json")))
    except (QuestionFileError, UsageError) as error:
        assert "in.json" in str(error)  # noqa: PT017  # either is right
    else:
        assert imported.questions
