"""Data sets as they are published, and files as people have them: what comes in, what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.cli.main import parser_for
from rag_evals.evals.questions.formats.conversion import (
    Imported,
    SkippableError,
    export_set,
    format_named,
    format_of,
    import_set,
)
from rag_evals.evals.questions.question import Question, Source


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: str, content: object) -> Path:
    """Write text or bytes as they are, a list to JSON Lines line by line, and anything else as JSON."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list) and path.suffix == ".jsonl":
        content = "".join(f"{json.dumps(entry)}\n" for entry in content)
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def written(kind: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows as one of the kinds of file that hold nested ones."""
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), "in.parquet")
        return Path("in.parquet")
    if kind == "arrow":
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.Table.from_pylist(rows)
        Path("disk").mkdir()
        with pyarrow.ipc.new_stream("disk/data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table)
        return Path("disk")
    if kind == "csv":
        cells = [{k: v if isinstance(v, str) else repr(v) for k, v in row.items()} for row in rows]
        lines = [list(rows[0]), *(list(row.values()) for row in cells)]
        quoted = [",".join('"{}"'.format(cell.replace('"', '""')) for cell in line) for line in lines]
        return write("in.csv", "\n".join(quoted))
    if kind == "to_json":  # JSON Lines in a file of another name, as `datasets` and pandas write them
        return write("in.json", "\n".join(map(json.dumps, [*rows, *rows[:0]])))
    return write(f"in.{kind}", rows)


def read(path: Path, *, skip_bad: bool = False, **columns: str) -> Imported:
    return import_set(path, format_of(path), columns, skip_bad=skip_bad)


def only(path: Path, **columns: str) -> Question:
    (question,) = read(path, **columns).questions
    return question


def told(path: Path, **columns: str) -> list[str]:
    """Return what is said of a file, but of its passages and references, which is tested elsewhere."""
    return list(read(path, **columns).notes)


NESTED = ("json", "jsonl", "to_json", "parquet", "arrow", "csv")

HOTPOT = {
    "id": "h1",
    "question": "Which magazine was first?",
    "answer": "Arthur's",
    "level": "hard",
    "supporting_facts": {"title": ["A", "B", "Gone"], "sent_id": [0, 1, 0]},
    "context": {
        "title": ["A", "Radio", "B"],
        "sentences": [["A one.", " A two."], ["No matter."], ["B one.", "B two."]],
    },
}


@pytest.mark.parametrize("kind", NESTED)
def test_hotpotqa(kind):
    """The paragraphs that hold the supporting facts are sources, by their titles; what is not is counted."""
    path = written(kind, [HOTPOT])
    question = only(path)
    assert (question.id, question.reference) == ("h1", "Arthur's")
    assert question.sources == (Source("A", quote="A one. A two."), Source("B", quote="B one. B two."))
    place = {"json": "in.json:1", "jsonl": "in.jsonl:1", "to_json": "in.json:1", "csv": "in.csv:2"}.get(
        kind, f"{'disk/data-00000-of-00001.arrow' if kind == 'arrow' else 'in.parquet'}: row 0"
    )
    assert told(path) == [
        'read: reference from "answer", contexts from "context"',
        'not read: "level"',
        f"1 passage that the file marks as not supporting the answer left out (first at {place})",
        f'1 passage named in "supporting_facts" that the file does not have (first at {place})',
    ]


def test_hotpotqa_as_its_makers_have_it():
    """Pairs of a title and its sentences."""
    entry = {
        "_id": "h2",
        "question": "Were they?",
        "answer": "yes",
        "supporting_facts": [["B", 0]],
        "context": [["A", ["One.", " Two."]], ["B", ["Three."]]],
    }
    question = only(write("in.json", [entry]))
    assert (question.id, question.sources) == ("h2", (Source("B", quote="Three."),))


MARCO = [
    {
        "query": "what is rba",
        "query_id": 19699,
        "answers": ["Results-Based Accountability.", "RBA."],
        "passages": {"is_selected": [0, 1], "passage_text": ["A.", "B is RBA."], "url": ["u", "v"]},
    },
    {
        "query": "who is x",
        "query_id": 19700,
        "answers": ["No Answer Present."],
        "passages": {"is_selected": [0], "passage_text": ["A."], "url": ["u"]},
    },
]


@pytest.mark.parametrize("kind", ["json", "jsonl", "to_json", "parquet", "arrow", "csv"])
def test_ms_marco(kind):
    """Selected passages are sources; no answer present is no answer."""
    path = written(kind, MARCO)
    first, second = read(path).questions
    assert (first.id, first.reference) == ("19699", "Results-Based Accountability.")
    assert first.sources == (Source("v", quote="B is RBA."),)
    assert (second.reference, second.answerable, second.sources) == (None, False, ())
    assert [line.partition(" (first")[0] for line in told(path)] == [
        'read: question from "query", reference from "answers", contexts from "passages", id from "query_id"',
        "2 passages that the file marks as not supporting the answer left out",
        "1 question with several right answers: the first is the reference",
    ]


def test_musique_and_langchain():
    """Objects, with a mark or without; a name is wherever the document's may stand."""
    marked = [
        {"idx": 0, "title": "P", "paragraph_text": "p text", "is_supporting": True},
        {"idx": 1, "title": "Q", "paragraph_text": "q text", "is_supporting": False},
    ]
    plain = [{"page_content": "c text", "metadata": {"source": "a.md"}}, "loose", None, " "]
    rows = [{"question": "A?", "paragraphs": marked}, {"question": "B?", "paragraphs": plain}]
    first, second = read(write("in.jsonl", rows)).questions
    assert first.sources == (Source("P", quote="p text"),)
    assert second.sources == (Source("a.md", quote="c text"),)
    assert second.provenance == {"origin": "imported", "format": "json", "contexts": ["loose"]}


def test_squad():
    """Questions by paragraph; one without an answer has none."""
    answered = {"id": "1", "question": "How many?", "answers": [{"text": "Two", "answer_start": 0}]}
    impossible = {"id": "2", "question": "Who?", "answers": [], "is_impossible": True}
    qas = [{**answered, "is_impossible": False}, impossible]
    article = {"title": "T", "paragraphs": [{"context": "Two.", "qas": qas}]}
    loose = {"origin": "imported", "format": "json", "contexts": ["Two."]}
    assert read(write("in.json", {"version": "2.0", "data": [article]})).questions == (
        Question("1", "How many?", "Two", provenance=loose),
        Question("2", "Who?", answerable=False, provenance=loose),
    )


RAGAS = {
    "question": "How many?",
    "contexts": ["Two of eight.", "It is sparse."],
    "evolution_type": "simple",
    "metadata": [{"file_name": "a.md"}, {"source": "b.md"}],
}


@pytest.mark.parametrize("kind", ["json", "jsonl", "to_json", "csv"])
@pytest.mark.parametrize("truth", [{"ground_truth": "Two."}, {"ground_truths": ["Two."]}])
def test_ragas_0_1(kind, truth):
    """The files of its contexts are their documents; lists may be printed in cells."""
    question = only(written(kind, [RAGAS | truth]))
    assert question.reference == "Two."
    assert question.sources == (Source("a.md", quote="Two of eight."), Source("b.md", quote="It is sparse."))
    assert question.provenance == {
        "origin": "imported",
        "format": "ragas",
        "fields": {"evolution_type": "simple"},
    }


def test_ragas_0_1_with_answers():
    """Beside a system's answer the contexts are what it found: no sources, unless they are asked for."""
    path = write("in.jsonl", [RAGAS | {"answer": "Eight.", "ground_truth": "Two."}])
    assert (only(path).reference, only(path).sources) == ("Two.", ())
    assert told(path) == [
        "2 passages that a system found for its answer left out (--map contexts=contexts takes them) "
        "(first at in.jsonl:1)"
    ]
    assert only(path, contexts="contexts").provenance["contexts"] == RAGAS["contexts"]
    table = written("parquet", [RAGAS | {"answer": "Eight.", "ground_truth": "Two."}])
    assert (only(table).reference, only(table).sources) == ("Two.", ())
    assert told(table) == [
        'read: reference from "ground_truth"',
        'not read: "contexts", "evolution_type", "metadata", "answer"; what a system found for its answer '
        "is taken by --map contexts=contexts",
    ]


def test_nothing_is_not_a_text():
    """NaN, null and blanks are no answer and no passage, in JSON and as Python prints them."""
    content = '{"user_input": "A?", "reference_contexts": ["One.", null, NaN], "reference": NaN}\n'
    question = only(write("in.jsonl", content))
    assert (question.reference, question.provenance["contexts"]) == (None, ["One."])
    question = only(write("in.csv", "question,contexts\nA?,\"['One.', nan, None]\"\n"))
    assert question.provenance["contexts"] == ["One."]
    question = only(write("in.csv", "question,contexts\nA?,\"[array(['One.', 'Two.'], dtype=object)]\"\n"))
    assert question.provenance["contexts"] == ["One.", "Two."]


def test_words_of_nothing_are_answers():
    """NA is the country code of Namibia."""
    rows = "question,answer\nA?,NA\nB?,None\nC?,nan\nD?,007\n"
    questions = read(write("in.csv", rows)).questions
    assert [question.reference for question in questions] == ["NA", "None", "nan", "007"]


@pytest.mark.parametrize(
    ("answer", "reference"),
    [(42, "42"), (42.0, "42"), (1.5, "1.5"), (True, "yes"), (False, "no"), ([3, 4], "3"), (None, None)],
)
def test_numbers_as_answers(answer, reference):
    """In tables of anybody and in those of a tool; pandas makes floats of whole numbers with gaps."""
    assert only(write("in.jsonl", [{"question": "A?", "answer": answer}])).reference == reference
    if not isinstance(answer, list):
        assert only(write("in.json", [{"input": "A?", "expected_output": answer}])).reference == reference


def test_ids_as_pandas_has_them():
    """A column of ids with a gap is of floats."""
    table = written("parquet", [{"id": 1.0, "question": "A?"}, {"id": None, "question": "B?"}])
    assert [question.id[:2] for question in read(table).questions] == ["1", "b-"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("in.jsonl", [{"question": "A?", "answer": "a"}, {"question": "B?", "answer": "b"}]),
        ("in.json", [{"Question": "A?", "Answer": "a"}, {"Question": "B?", "Answer": "b"}]),
        ("in.json", '{"query": "A?", "response": "a"}\n{"query": "B?", "response": "b"}\n'),
        ("in.json", {"question": {"0": "A?", "1": "B?"}, "answer": {"0": "a", "1": "b"}}),
        ("in.json", {"0": {"question": "A?", "answer": "a"}, "1": {"question": "B?", "answer": "b"}}),
        ("in.json", {"question": ["A?", "B?"], "answer": ["a", "b"]}),
        ("in.json", {"columns": ["question", "answer"], "index": [0, 1], "data": [["A?", "a"], ["B?", "b"]]}),
        (
            "in.json",
            {"version": 1, "items": [{"q": 1, "prompt": "A?", "ideal": "a"}, {"prompt": "B?", "ideal": "b"}]},
        ),
        ("in.json", {"rows": [{"row": {"question": q, "answer": q.lower()[0]}} for q in ("A?", "B?")]}),
        ("in.json", {"A?": "a", "B?": "b"}),
        ("in.jsonl", [{"inputs": {"question": f"{a}?"}, "outputs": {"answer": a.lower()}} for a in "AB"]),
        ("in.yaml", "- question: A?\n  answer: a\n- question: B?\n  answer: b\n"),
        (
            "in.yml",
            "made: 2024-01-01\nquestions:\n  - question: A?\n    answer: a\n  - {question: B?, answer: b}\n",
        ),
        ("in.yaml", "A?: a\nB?: b\n"),
        ("in.csv", "Question,Ground Truth\nA?,a\n,\nB?,b\n"),
        ("in.csv", "# made by hand\nquestion;answer;\nA?;a\nB?;b;;\n"),
        ("in.tsv", "question\tanswer\nA?\ta\nB?\tb\n"),
        ("in.csv", "question,answer\rA?,a\rB?,b\r"),
        (
            "in.json",
            {"train": [{"question": "A?", "answer": "a"}], "test": [{"question": "B?", "answer": "b"}]},
        ),
    ],
)
def test_plain_files(file, content):
    """Questions and answers, whatever they are called and however the file is laid out."""
    questions = read(write(file, content)).questions
    assert [(question.question, question.reference) for question in questions] == [("A?", "a"), ("B?", "b")]


def test_quotes_between_tabs():
    """Many tools write quotes into a TSV as they stand."""
    rows = 'question\tanswer\nA 5" disk?\tx\n"Open at the start?\ty\nNext?\tz\n'
    questions = read(write("in.tsv", rows)).questions
    assert [question.question for question in questions] == ['A 5" disk?', '"Open at the start?', "Next?"]


def test_western_european_csv():
    """What Excel writes in Western Europe is read and said, with a word to see whether it is right."""
    path = write("in.csv", "question,answer\nWie gro\u00df?,F\u00fcnf \u20ac\n".encode("cp1252"))
    assert (only(path).question, only(path).reference) == ("Wie gro\u00df?", "F\u00fcnf \u20ac")
    assert told(path)[1:] == ['not UTF-8: read as Windows-1252, as in "gro\u00df?,F\u00fcnf"']


def test_names_are_missing():
    """A first line that is a question is no line of names."""
    with pytest.raises(UsageError) as caught:
        read(write("in.csv", "How many?,Two\nHow few?,One\n"))
    assert str(caught.value) == (
        'in.csv: no column holds the question; its columns are "How many?", "Two"; say --map '
        "question=COLUMN, or put a line of names such as question,answer before the first"
    )


def test_lists_that_cannot_be_read():
    """NumPy leaves passages out of a long list, and commas out of all; SQL doubles quotes."""
    cells = ["['a' 'b' ... 'c']", "[{'text': 'a'}\n {'text': 'b'}]", "['It''s', 'b']", "[1] A 'note' 'b'"]
    rows = "".join(f'Q{number}?,"{cell}"\n' for number, cell in enumerate(cells))
    with pytest.raises(SkippableError) as caught:
        read(write("in.csv", f"question,contexts\n{rows}"))
    assert str(caught.value).split("\n")[1:] == [
        '  in.csv:2: "contexts" is a list that NumPy cut short ("..."): passages are missing; write it as '
        "JSON",
        '  in.csv:3: "contexts" is a list as NumPy prints it, without commas; write it as JSON',
        '  in.csv:5: "contexts" is a list with doubled quotes in its texts; write it as JSON',
    ]
    assert caught.value.others == 1


CORPUS = [{"_id": "d1", "title": "", "text": "One."}, {"_id": 2, "title": "", "text": "Two."}]
QUERIES = [{"_id": "q1", "text": "A?"}, {"_id": 2, "text": "B?"}, {"_id": "q3", "text": "C?"}]


def beir(qrels: object, name: str = "test.tsv") -> Path:
    write("set/queries.jsonl", QUERIES)
    write("set/corpus.jsonl", CORPUS)
    write(f"set/qrels/{name}", qrels)
    return Path("set")


@pytest.mark.parametrize(
    ("name", "qrels", "relevance"),
    [
        ("test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n2\t2\t1\n", None),
        ("test.tsv", "query_id\tdoc_id\trelevance\nq1\td1\t1.0\n2\t2\t0.5\nq3\td1\t-1\n", 0.5),
        ("test.tsv", "q1\td1\t1\n2\t2\t1\n", None),
        ("test.tsv", "q1\t0\td1\t1\n2\t0\t2\t3\nq3\t0\td1\t0\n", 3.0),
        ("test.trec", "q1 0 d1 1\n2 Q0 2 1\n", None),
        ("qrels.txt", "q1  0  d1  1\n\n2 0 2 1\n", None),
        ("dev.jsonl", [{"query-id": q, "corpus-id": d, "score": 1} for q, d in (("q1", "d1"), (2, 2))], None),
    ],
)
def test_judgements(name, qrels, relevance):
    """With names or without, as BEIR or TREC has them; ids may be numbers, a score a grade or a fraction."""
    questions = read(beir(qrels, name)).questions
    assert [(question.id, question.sources) for question in questions] == [
        ("q1", (Source("d1", quote="One."),)),
        ("2", (Source("2", quote="Two.", relevance=relevance),)),
    ]


def test_judgements_that_say_more_than_once():
    """Grades below 0 are counted and taken for 0; of two for one passage the higher one is taken."""
    path = beir("q1\t0\td1\t1\nq1\t0\td1\t3\nq1\t0\t2\t-2\n2\t0\t2\t2\n2\t0\t2\t2\nq3\t0\td1\t-1\n")
    imported = read(path)
    assert [question.sources for question in imported.questions] == [
        (Source("d1", quote="One.", relevance=3.0),),
        (Source("2", quote="Two.", relevance=2.0),),
    ]
    assert list(imported.notes) == [
        "1 passage judged twice with different scores: the higher one is taken "
        "(first at set/qrels/test.tsv:2)",
        "2 judgements below 0: taken for 0, of no use (first at set/qrels/test.tsv:3)",
    ]


def test_judgements_beside_the_queries():
    """A folder without `qrels` has them in a file that is called so."""
    beir("")
    Path("set/qrels/test.tsv").unlink()
    Path("set/qrels").rmdir()
    write("set/qrels_test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\n")
    write("set/qrels_dev.tsv", "query-id\tcorpus-id\tscore\nq3\td1\t2\n")
    assert only(Path("set")).sources == (Source("d1", quote="One.", relevance=2.0),)


def test_judgements_of_what_is_missing():
    """ArguAna judges passages that its corpus lacks: they are counted, and so are queries left with none."""
    path = beir("q1\td1\t1\nq1\tgone\t1\n2\tgone\t1\nq3\tlost\t1\nq9\td1\t1\n")
    imported = read(path)
    assert [question.id for question in imported.questions] == ["q1"]
    assert imported.questions[0].sources == (Source("d1", quote="One."),)
    assert list(imported.notes) == [
        "2 questions left out: no passage that answers it is there (first at set/queries.jsonl:2)",
        "2 passages judged and not in corpus.jsonl: left out (first at set/qrels/test.tsv:2)",
        "1 question judged and not in queries.jsonl: left out (first at set/qrels/test.tsv:5)",
    ]


def test_retrieval_pairs_of_llamaindex():
    """An EmbeddingQAFinetuneDataset; a passage that it does not have is counted."""
    whole = {
        "queries": {"q1": "How many?"},
        "corpus": {"n1": "Two of eight."},
        "relevant_docs": {"q1": ["n1", "n2"]},
        "mode": "text",
    }
    imported = read(write("in.json", whole))
    assert imported.questions[0].sources == (Source("n1", quote="Two of eight."),)
    assert imported.notes[-1:] == (
        '1 passage judged relevant that the corpus does not have (first at in.json: queries["q1"])',
    )


@pytest.mark.parametrize(
    ("file", "content", "columns"),
    [
        (
            "in.jsonl",
            [{"user_input": "A?", "reference": "x", "extra": {"gold": ["g"]}}],
            {"reference": "extra.gold"},
        ),
        (
            "in.json",
            [{"input": "A?", "context": ["C."], "meta": [{"gold": "g"}]}],
            {"reference": "meta.0.gold"},
        ),
        ("in.json", {"examples": [{"query": "A?", "gold": "g"}]}, {"reference": "gold"}),
        ("in.json", [{"ask": {"text": "A?"}, "gold": "g"}], {"question": "ask.text", "reference": "gold"}),
        ("in.yaml", "- ask: A?\n  gold: g\n", {"question": "ask", "reference": "gold"}),
        ("in.csv", 'ask,gold\nA?,"{""best"": ""g""}"\n', {"question": "ask", "reference": "gold.best"}),
    ],
)
def test_a_map_for_every_format(file, content, columns):
    """What is told goes before what a format says; what is not told is still found by its name."""
    question = only(write(file, content), **columns)
    assert (question.question, question.reference) == ("A?", "g")


def test_a_map_for_beir_and_parquet():
    path = beir("q1\td1\t1\n")
    write("set/queries.jsonl", [{"_id": "q1", "ask": "A?", "metadata": {"gold": "g"}}])
    question = only(path, question="ask", reference="metadata.gold")
    assert (question.question, question.reference) == ("A?", "g")
    assert question.sources == (Source("d1", quote="One."),)
    table = written("parquet", [{"ask": [{"deep": {"text": "A?"}}], "gold": "g"}])
    question = only(table, question="ask.deep.text", reference="gold")
    assert (question.question, question.reference) == ("A?", "g")


BAD = '{"question": "A?", "answer": "a"}\n{"question":\n{"question": "", "answer": "x"}\n'


def test_what_is_bad_is_skipped_when_asked():
    """The rest comes in, and what was skipped is told with its cause; when nothing is left it is an error."""
    path = write("in.jsonl", BAD)
    with pytest.raises(SkippableError) as caught:
        read(path)
    assert caught.value.others == 1
    imported = read(path, skip_bad=True)
    assert [question.question for question in imported.questions] == ["A?"]
    assert list(imported.lines(has_documents=False)) == [
        'read: reference from "answer"',
        "skipped, with 2 problems:",
        "  in.jsonl:2: invalid JSON at column 13: Expecting value",
        '  in.jsonl:3: missing "question"',
    ]
    with pytest.raises(QuestionFileError) as refused:
        read(write("in.jsonl", "{\n{\n"), skip_bad=True)
    assert str(refused.value).startswith("2 problems in JSON or YAML of questions and answers:\n")


def test_many_that_are_skipped():
    """The first ten are named, the others counted."""
    path = write("in.csv", "id,question\n" + "a,A?\n" * 13)
    lines = list(read(path, skip_bad=True).lines(has_documents=False))
    assert lines[-12:] == [
        "skipped, with 12 problems:",
        *(f'  in.csv:{line}: duplicate id "a" (first at in.csv:2)' for line in range(3, 13)),
        "  and 2 more",
    ]


def test_the_command(capsys):
    """Without `--skip-bad` the error says what it would do."""
    write("in.jsonl", BAD)
    words = ["questions", "import", "in.jsonl"]
    options = parser_for(words).parse_args(words)
    with pytest.raises(QuestionFileError) as caught:
        options.run(options)
    assert str(caught.value).split("\n")[-1] == "--skip-bad imports the 1 other question"
    words.append("--skip-bad")
    options = parser_for(words).parse_args(words)
    assert options.run(options) == 0
    assert capsys.readouterr().out.split("\n")[2] == "  skipped, with 2 problems:"


def test_a_table_with_ids_is_no_question_file():
    """Only what can be used as it is is said to be."""
    assert only(write("in.jsonl", [{"id": 1, "question": "A?", "answer": "a"}])).id == "1"


def test_what_is_no_set_of_another_tool():
    """A file of plain questions is used as it is; a spreadsheet has to be saved as CSV."""
    refusals = []
    for file in ("mine.txt", "in.xlsx"):
        with pytest.raises((QuestionFileError, UsageError)) as caught:
            format_of(write(file, "A?\n"))
        refusals.append(str(caught.value))
    assert refusals == [
        "mine.txt is a question file already: it can be used as it is",
        "in.xlsx: a spreadsheet; save it as CSV (UTF-8)",
    ]


def test_json_is_only_read():
    with pytest.raises(UsageError) as caught:
        export_set([Question("a", "A?")], format_named("json"), Path("out.json"))
    assert str(caught.value) == "json is only read: a question file is JSON Lines already"
