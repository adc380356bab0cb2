"""Judgements as TREC has them, in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.evals.base.errors import QuestionFileError, UsageError
from rag_evals.evals.questions.formats import format_named
from rag_evals.evals.questions.formats.conversion import export_set, format_of, import_set
from rag_evals.evals.questions.formats.passage_search import PassageSearch
from rag_evals.evals.questions.question import Question, Source
from rag_evals.rag.documents.document import Document

QRELS = "q1 0 a.md 2\nq1 0 b.md 1\nq1\t0\tc.md\t0\nq3 Q0 a.md 1\n"
QUERIES = "q1\tHow many?\nq2\tNot judged?\nq3\t Which? \n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(qrels=QRELS, queries=QUERIES, file="judged.qrels", documents=()):
    Path("queries.tsv").write_text(queries, "utf-8")
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(qrels, "utf-8")
    search = (
        PassageSearch([Document(name, "text", (), "0" * 64) for name in documents]) if documents else None
    )
    return import_set(Path(file), format_named("trec-qrels"), {}, search)


@pytest.mark.parametrize("file", ["judged.qrels", "judged.txt", "qrels/test.trec"])
def test_judgements_come_in(file):
    """Documents are sources, with what they are worth; what is judged to be of no use is kept, too."""
    imported = read(file=file)
    assert [(question.id, question.question, question.sources) for question in imported.questions] == [
        ("q1", "How many?", (Source("a.md", relevance=2.0), Source("b.md"), Source("c.md", relevance=0.0))),
        ("q3", "Which?", (Source("a.md"),)),
    ]
    assert list(imported.lines(has_documents=False)) == ["2 questions without a reference"]


def test_they_are_known_by_their_ending():
    """A text file or a table has to be said to be judgements."""
    read()
    assert format_of(Path("judged.qrels")).name == "trec-qrels"


def test_judgements_go_out_and_come_in_again():
    """Of several sources in a document the best says what it is worth."""
    questions = [
        Question(
            "q1",
            "How many?",
            sources=(
                Source("a.md", page=1),
                Source("a.md", start=1, end=9, relevance=2.0),
                Source("c.md", relevance=0.0),
            ),
        ),
        Question("q2", "Nothing?", answerable=False),
    ]
    notes = export_set(questions, format_named("trec-qrels"), Path("out.qrels"))
    assert notes == ("1 question without a source: not judged",)
    assert Path("out.qrels").read_text("utf-8") == "q1 0 a.md 2\nq1 0 c.md 0\n"
    (again,) = read(Path("out.qrels").read_text("utf-8")).questions
    assert again.sources == (Source("a.md", relevance=2.0), Source("c.md", relevance=0.0))


def test_what_trec_has_no_place_for_is_said():
    """White space in names, grades that are no whole numbers, alternatives."""
    sources = (Source("a b.md", relevance=0.5, any_of="x"), Source("c.md", any_of="x"))
    notes = export_set([Question("q", "?", sources=sources)], format_named("trec-qrels"), Path("out.txt"))
    assert Path("out.txt").read_text("utf-8") == "q 0 a%20b.md 0.5\nq 0 c.md 1\n"
    assert notes == (
        "1 document with white space in the name: written as %20 and the like",
        "1 grade with a fraction: trec_eval reads whole numbers",
        "alternatives (any_of) are judged each on its own",
    )
    with pytest.raises(UsageError) as caught:
        export_set([Question("q", "?")], format_named("trec-qrels"), Path("none.qrels"))
    assert str(caught.value) == "nothing to write as judgements: no question has a source"
    assert not Path("none.qrels").exists()


def refusal(**given) -> str:
    with pytest.raises(QuestionFileError) as caught:
        read(**given)
    return str(caught.value)


def test_judgements_of_other_documents():
    """None of them there is an error, some of them missing are counted."""
    assert refusal(documents=["x.md", "y.md"]) == (
        'none of the 3 judged documents is among the documents: names there are such as "x.md", here "a.md"'
    )
    imported = read(documents=["x.md", "a.md"])
    assert imported.notes == ('2 documents judged and not among the documents (first at "b.md")',)


def test_judgements_of_other_queries():
    """An id of each side is named."""
    headline = "1 problem in judgements as TREC has them:\n"
    assert refusal(queries="PLAIN-1\tHow?\n") == (
        f"{headline}  judged.qrels: no query of the judgements is in queries.tsv: "
        'ids there are such as "PLAIN-1", here "q1"'
    )
    assert read(QRELS + "q9 0 a.md 1\n").notes == (
        "1 question judged and not in queries.tsv: left out (first at judged.qrels:5)",
    )


def test_broken_judgements_and_queries():
    """Each line is named."""
    assert refusal(qrels="q1 0 a.md high\nq1 0 a.md\nq1 0 a.md 1\n", queries="q1\tA?\nq2 B?\n").split(
        "\n"
    ) == [
        "3 problems in judgements as TREC has them:",
        '  judged.qrels:1: "score" is not a number but "high"',
        "  judged.qrels:2: 3 cells, but the first line names 4",
        "  queries.tsv:2: not an id, a tab and a question",
    ]
    assert read("q1 0 a.md -1\nq1 0 b.md 1\n").notes == (
        "1 judgement below 0: taken for 0, of no use (first at judged.qrels:1)",
    )


def test_no_queries():
    """Judgements name queries by ids only."""
    Path("judged.qrels").write_text(QRELS, "utf-8")
    with pytest.raises(QuestionFileError) as caught:
        import_set(Path("judged.qrels"), format_named("trec-qrels"))
    assert str(caught.value) == (
        "judged.qrels: no queries.jsonl, queries.tsv, topics.tsv beside it: judgements name queries by their "
        "ids only (a line of queries.tsv is an id, a tab and the question)"
    )
