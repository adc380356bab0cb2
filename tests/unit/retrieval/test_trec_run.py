"""Run files as TREC has them: what pipelines found goes out, and what others found comes in."""

from __future__ import annotations

from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP, nDCG
from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.questions.formats import format_named
from rag_evals.evals.questions.formats.conversion import export_set
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.evals.retrieval.trec_run import read_trec_run, trec_run
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Answer, Context, Span

QUESTION = Question(
    "q1", "How many?", sources=(Source("b.md", relevance=2.0), Source("c.md"), Source("e.md"))
)


def evaluation(*documents: str, id="q1", pipeline="baseline", **more) -> Evaluation:
    answer = Answer("x", tuple(Context("...", name, score=0.5) for name in documents))
    return Evaluation(Question(id, "?"), pipeline, answer, (), {}, **more)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_pipelines_found():
    """Each document once, at its best rank; of repeats the first; nothing of a pipeline that failed."""
    found = [
        evaluation("a b.md", "b.md", "a b.md"),
        evaluation("c.md", repeat=1),
        evaluation("c.md", pipeline="my pipeline"),
        Evaluation(Question("q2", "?"), "baseline", None, (), {}, error="no disk"),
        evaluation("", id="q3"),
    ]
    assert trec_run(found) == (
        "q1 Q0 a%20b.md 1 2 baseline\nq1 Q0 b.md 2 1 baseline\nq1 Q0 c.md 1 1 my%20pipeline\n"
    )


def test_what_others_read_of_it():
    """The figures of trec_eval on what is written are ours."""
    documents = ("a.md", "b.md", "d.md", "c.md")
    Path("run.trec").write_text(trec_run([evaluation(*documents)]), "utf-8")
    export_set([QUESTION], format_named("trec-qrels"), Path("judged.qrels"))
    qrels, run = ir_measures.read_trec_qrels("judged.qrels"), ir_measures.read_trec_run("run.trec")
    theirs = ir_measures.calc_aggregate([nDCG @ 10, AP], qrels, run)
    spans = read_trec_run(Path("run.trec"))
    assert spans == {"q1": tuple(map(Span, documents))}
    ours = retrieval_scores(QUESTION, {"contexts": spans["q1"]}, ["retrieval.ndcg@10", "retrieval.map"])
    assert [score.value for score in ours] == pytest.approx([theirs[nDCG @ 10], theirs[AP]])


def test_runs_of_others():
    """The score decides, as in trec_eval; of one score the rank."""
    Path("run").write_bytes(
        b"\xef\xbb\xbfq1 Q0 a 1 0.1 x\r\nq1\tQ0\tb\t2\t9e-1\tx\n\nq1 Q0 c 3 .9 x\n2 0 a 0 -1 x"
    )
    assert read_trec_run(Path("run")) == {"q1": (Span("b"), Span("c"), Span("a")), "2": (Span("a"),)}


def test_broken_runs():
    """Every line that is wrong is named."""
    Path("run").write_text(
        "q1 Q0 a 1 x t\nq1 Q0 a first 1 t\nq1 a 1\nq1 Q0 b 1 nan t\nq1 Q0 c 1 2 t\nq1 Q0 c 2 1 t\n"
    )
    with pytest.raises(RunFileError) as caught:
        read_trec_run(Path("run"))
    assert str(caught.value).split("\n") == [
        "5 problems in a TREC run:",
        "  run:1: score x is no number",
        "  run:2: rank first is no whole number from 0",
        "  run:3: 3 cells, not query Q0 document rank score tag",
        "  run:4: score nan is no number",
        "  run:6: document c stands there twice for query q1",
    ]
    with pytest.raises(RunFileError) as caught:
        read_trec_run(Path("gone"))
    assert str(caught.value) == "gone cannot be read as a TREC run: No such file or directory"
