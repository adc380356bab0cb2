"""Files of other tools, as these write them: what is made of them, and which formats are recognised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.questions.formats import format_named
from rag_evals.evals.questions.formats.conversion import Imported, format_of, import_set
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.question import Question, Source
from rag_evals.rag.documents.document import Document

PASSAGE = "Each token is processed by two of eight experts."
SHELF = PassageSearch([Document("a.md", f"Words. {PASSAGE}", (), "c" * 64)])
PLACED = Source("a.md", None, 7, 7 + len(PASSAGE), PASSAGE)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: str, content: object) -> Path:
    """Write text or bytes as they are, a list to JSON Lines line by line, and anything else as JSON."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    if not isinstance(content, bytes):
        is_lines = path.suffix == ".jsonl"
        content = ("\n".join(map(json.dumps, content)) if is_lines else json.dumps(content)).encode()
    path.write_bytes(content)
    return path


def read(path: Path, passage_search: PassageSearch | None = None, **columns: str) -> Imported:
    return import_set(path, format_of(path), columns, passage_search)


def only(path: Path, passage_search: PassageSearch | None = None, **columns: str) -> Question:
    (question,) = read(path, passage_search, **columns).questions
    return question


SAMPLE = {
    "user_input": "How many experts?",
    "reference_contexts": [f"<1-hop>\n\n{PASSAGE}", "<2-hop>\n\nNowhere to be found."],
    "reference": "It's two.",
    "synthesizer_name": "multi_hop_specific_query_synthesizer",
}


def test_ragas():
    """Marks of hops are no words of a document; what is in no document is kept in the provenance."""
    imported = read(write("in.jsonl", [SAMPLE]), SHELF)
    assert imported.questions == (
        Question(
            "how-many-experts-3f095172ce49",
            "How many experts?",
            "It's two.",
            sources=(PLACED,),
            provenance={
                "origin": "imported",
                "format": "ragas",
                "fields": {"synthesizer_name": "multi_hop_specific_query_synthesizer"},
                "contexts": ["Nowhere to be found."],
                "document_sha256": {"a.md": "c" * 64},
            },
        ),
    )
    assert list(imported.lines(has_documents=True)) == [
        "1 of 2 passages found in the documents",
        "1 passage of no known document (not found in them): kept in the provenance",
    ]


@pytest.mark.parametrize("as_cell", [str, json.dumps])
def test_ragas_csv(as_cell):
    """The library writes a list as Python does; through pandas there is a column without a name."""
    cell = as_cell(SAMPLE["reference_contexts"]).replace('"', '""')
    row = f'0,How many experts?,"{cell}",It\'s two.,{SAMPLE["synthesizer_name"]}'
    path = write("in.csv", f",{','.join(SAMPLE)}\r\n{row}\r\n")
    assert only(path, SHELF) == only(write("in.jsonl", [SAMPLE]), SHELF)


def test_llamaindex():
    """Who wrote query and answer is kept; an empty answer, which the library writes for none, is none."""
    human = {"model_name": "", "type": "human"}
    example = {"query": "Who?", "query_by": human, "reference_contexts": None, "reference_answer": ""}
    path = write("in.json", {"examples": [{**example, "reference_answer_by": None}]})
    assert only(path) == Question(
        "who-15c43a616566",
        "Who?",
        provenance={"origin": "imported", "format": "llamaindex", "fields": {"query_by": human}},
    )


GOLDEN = {
    "input": "How many?",
    "actual_output": None,
    "expected_output": "Two",
    "context": [PASSAGE, "Nowhere."],
    "source_file": "/home/ann/a.md",
    "additional_metadata": {"evolutions": ["Reasoning"]},
}


@pytest.mark.parametrize("file", ["in.json", "in.jsonl", "in.csv"])
def test_deepeval(file):
    """The file that it was made of is the document; in a cell, and in its JSON Lines, passages are joined."""
    joined = {**GOLDEN, "context": "|".join(GOLDEN["context"])}
    if file == "in.csv":
        metadata = json.dumps(GOLDEN["additional_metadata"]).replace('"', '""')
        cells = ["How many?", "", "Two", joined["context"], "/home/ann/a.md", f'"{metadata}"']
        content: object = f"{','.join(GOLDEN)}\n{','.join(cells)}\n"
    else:
        content = [GOLDEN if file == "in.json" else joined]
    assert only(write(file, content), SHELF) == Question(
        "how-many-a73d68136b85",
        "How many?",
        "Two",
        sources=(PLACED, Source("a.md", quote="Nowhere.")),
        provenance={
            "origin": "imported",
            "format": "deepeval",
            "fields": {
                "source_file": "/home/ann/a.md",
                "additional_metadata": {"evolutions": ["Reasoning"]},
            },
            "document_sha256": {"a.md": "c" * 64},
        },
    )


def beir(qrels: str, name: str = "test.tsv") -> Path:
    write("set/queries.jsonl", [{"_id": "q1", "text": "How many?"}, {"_id": "q 2", "text": "Which?"}])
    corpus = [{"_id": f"d{n}", "title": "T", "text": f"Passage {n}."} for n in range(3)]
    write("set/corpus.jsonl", corpus)
    write(f"set/qrels/{name}", f"query-id\tcorpus-id\tscore\n{qrels}")
    return Path("set")


@pytest.mark.parametrize("name", ["test.tsv", "dev.tsv"])
def test_beir(name):
    """What is judged above 0 is a source; a query without such is none of the split."""
    imported = read(beir("q1\td2\t1\nq1\td0\t2\nq1\td1\t0\nq 2\td1\t0\n", name))
    assert imported.questions == (
        Question(
            "q1",
            "How many?",
            sources=(Source("d2", quote="Passage 2."), Source("d0", quote="Passage 0.", relevance=2.0)),
            provenance={"origin": "imported", "format": "beir"},
        ),
    )
    assert list(imported.lines(has_documents=False)) == [
        "2 passages not looked for: kept as a quote of the document that is named",
        "1 question without a reference",
    ]


def test_an_id_that_no_test_can_have():
    """Such an id is kept in the provenance; the question gets one by its content."""
    question = only(beir("q 2\td1\t1\n"))
    assert question.id == "which-8352530fc250"
    assert question.provenance == {"origin": "imported", "format": "beir", "fields": {"id": "q 2"}}


SHEET = "Frage;Antwort;Quelle;Seite;Stichwort\r\nWie viele?;Zwei;a.pdf;3;Zahl, kurz\r\n"
SHEET_MAP = {"question": "Frage", "reference": "Antwort", "document": "Quelle", "tags": "Stichwort"}


@pytest.mark.parametrize(
    "content",
    [
        SHEET.encode(),
        SHEET.encode("utf-8-sig"),
        SHEET.replace(";", "\t").encode("utf-16"),
        SHEET.replace(", kurz", "; kurz").replace("Zahl; kurz", '"Zahl; kurz"').encode(),
        f"sep=;\r\n{SHEET}".encode(),
        SHEET.replace("Zahl, kurz", '"Zahl, kurz"').replace(";", ",").replace("\r\n", "\n").encode(),
    ],
    ids=["semicolons", "BOM", "UTF-16", "quoted", "sep", "commas"],
)
def test_spreadsheets(content):
    """Whatever the delimiter, the encoding and the line ends of the spreadsheet that wrote it."""
    question = only(write("in.csv", content), **SHEET_MAP)
    assert (question.question, question.reference, question.tags) == ("Wie viele?", "Zwei", ("Zahl", "kurz"))


def test_columns_of_known_names():
    """Columns that are called as usual need no map, in whatever case; other columns are passed over."""
    path = write(
        "in.csv",
        "Nr,ID,Question,Ground_Truth,Context,Document,Page,Answerable\n"
        f'1,7,How many?,Two,"{PASSAGE}",a.md,3,yes\n'
        "2,8,What cost?,,,,,FALSE\n\n",
    )
    assert read(path).questions == (
        Question(
            "7",
            "How many?",
            "Two",
            sources=(Source("a.md", page=3, quote=PASSAGE),),
            provenance={"origin": "imported", "format": "csv"},
        ),
        Question("8", "What cost?", answerable=False, provenance={"origin": "imported", "format": "csv"}),
    )


def test_long_cells_and_lines_in_cells():
    """A passage may be longer than csv takes untold, and may have lines; a place is the first of them."""
    long = "word " * 40_000
    path = write("in.csv", f'question,context\nA?,"{long}"\n"B\nC?",x,too many\n')
    with pytest.raises(QuestionFileError) as caught:
        read(path)
    assert str(caught.value) == ("1 problem in a CSV:\n  in.csv:3: 3 cells, but the first line names 2")
    path = write("in.csv", f'question,context\nA?,"{long}"\n"B\nC?",x\n')
    assert [question.question for question in read(path).questions] == ["A?", "B\nC?"]


def test_parquet_shards():
    """A folder of shards is read in their order; answers may be a part of a column, and none is a saying."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    Path("set/data").mkdir(parents=True)
    answers = [{"text": ["Two.", "2"], "answer_start": [1, 2]}, {"text": [], "answer_start": []}]
    for number, answer in enumerate(answers):
        row = {"id": number, "question": f"Question {number}?", "context": "C.", "answers": answer}
        table = pyarrow.Table.from_pylist([row])
        parquet.write_table(table, f"set/data/train-0000{number}-of-00002.parquet")
    loose = {"origin": "imported", "format": "huggingface", "contexts": ["C."]}
    assert read(Path("set")).questions == (
        Question("0", "Question 0?", "Two.", provenance=loose),
        Question("1", "Question 1?", answerable=False, provenance=loose),
    )


def test_the_same_question_twice():
    """A question that stands there again word for word is left out and counted; another answer is another."""
    rows = [SAMPLE, {**SAMPLE, "synthesizer_name": "other"}, {**SAMPLE, "reference": "Three."}]
    imported = read(write("in.jsonl", rows))
    assert [question.reference for question in imported.questions] == ["It's two.", "Three."]
    assert list(imported.lines(has_documents=False)) == [
        "1 question left out: the same stands there before, word for word",
        "4 passages of no known document (--docs PATH looks for them): kept in the provenance",
    ]


def test_ids_do_not_hang_on_the_order():
    first, second = SAMPLE, {**SAMPLE, "user_input": "Which?"}
    forward = read(write("a.jsonl", [first, second])).questions
    backward = read(write("b.json", [second, first])).questions
    assert forward == tuple(reversed(backward))


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("in.json", {"examples": []}, "llamaindex"),
        ("in.json", [SAMPLE], "ragas"),
        ("in.json", [{"scenario": "A call."}], "deepeval"),
        ("in.jsonl", [GOLDEN], "deepeval"),
        ("in.csv", "user_input,reference\n", "ragas"),
        ("in.csv", "input,expected_output\n", "deepeval"),
        ("in.csv", "input,label\n", "csv"),
        ("in.tsv", "question\tanswer\n", "csv"),
        ("in.parquet", b"", "huggingface"),
    ],
)
def test_recognised(file, content, name):
    assert format_of(write(file, content)).name == name


def test_not_recognised():
    """No such file, a question file, and what is like nothing known."""
    write("mine.jsonl", [{"id": "a", "question": "A?"}])
    write("other.bin", b"")
    Path("empty").mkdir()
    refusals = []
    for file in ("gone.json", "mine.jsonl", "other.bin", "empty"):
        with pytest.raises((QuestionFileError, UsageError)) as caught:
            format_of(Path(file))
        refusals.append(str(caught.value))
    which = "which format it has cannot be told; say --format with one of"
    names = "llamaindex, ragas, deepeval, beir, trec-qrels, csv, huggingface, json"
    assert refusals == [
        "gone.json: no such file or folder",
        "mine.jsonl is a question file already: it can be used as it is",
        f"other.bin: {which} {names}",
        f"empty: {which} {names}",
    ]


def test_a_file_of_another_format():
    """A format that is told wrongly says what is missing."""
    with pytest.raises(QuestionFileError) as caught:
        import_set(write("in.json", [SAMPLE]), format_named("deepeval"))
    assert str(caught.value) == '1 problem in goldens of DeepEval:\n  in.json:1: missing "input"'
