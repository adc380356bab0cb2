"""Questions that the documents have changed under are not asked, and nobody fails for them."""

from __future__ import annotations

import hashlib

import pytest

GOOD = "faithfulness=0.9 relevancy=0.8"
TEXT = "The dunes of Ostra move 11 metres a year towards the lake. Nobody lives there."
OLD = "The dunes of Ostra move 9 metres a year"
COMMAND = "  rag-evals questions check questions.jsonl --docs docs --write"


def about(quote: str, *, sha256: str | None = None, question: str = GOOD, **keys: object) -> dict:
    """Return a question whose source is `quote` in a document as it was."""
    known = sha256 or hashlib.sha256(b"the document of then").hexdigest()
    return {
        "question": question,
        "sources": [{"document": "a.md", "start": 0, "end": len(quote), "quote": quote}],
        "provenance": {"origin": "generated", "document_sha256": {"a.md": known}},
        **keys,
    }


@pytest.fixture
def project(project):
    """One question that stands, and one that does not."""
    project.write("docs/a.md", TEXT)
    project.ask(good=about("The dunes of Ostra move 11 metres"), old=about(OLD))
    return project


def run(project, *arguments: str):
    return project.run("--evals-docs", "docs", "-rs", *arguments)


def test_a_stale_question_is_not_asked(project, how):
    """It is skipped with its reason, and counted; the run is that of the others."""
    result = run(project, *how)
    assert result.ret == 0
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines([f'SKIPPED * stale: a.md has changed, and "{OLD}" is no longer in it'])
    place = result.outlines.index("stale: 1 question was not asked, the documents having changed: old")
    assert result.outlines[place + 1] == COMMAND
    assert [one["question_id"] for one in project.evaluations] == ["good"]
    assert project.lines[0]["stale"] == ["old"]
    assert project.lines[-2]["type"] == "ruling"
    assert project.lines[-1] == {"type": "end", "passed": 1}


def test_it_counts_nowhere(project):
    """Neither the header nor a plan counts it, and no bound on what is unscored sees it."""
    result = run(project, "--evals-max-unscored", "0")
    assert (result.ret, len(project.evaluations)) == (0, 1)
    assert any(line.startswith("evals: 1 evaluation, ") for line in result.outlines)
    plan = run(project, "--evals-plan", "--evals-no-cache")
    assert "plan: baseline: 1 of 1 answers and 1 judgements to make" in plan.outlines


def test_nothing_but_stale_questions(project, how):
    """No run is recorded; what mends it is said."""
    project.ask(one=about(OLD), two=about(OLD))
    result = run(project, *how)
    result.assert_outcomes(skipped=2)
    assert result.ret == 0
    place = result.outlines.index("stale: 2 questions were not asked, the documents having changed: one, two")
    assert result.outlines[place + 1] == COMMAND
    assert project.runs == []


def test_files_are_named_that_have_some(project):
    """The remedy has a line a file."""
    project.ask("more.jsonl", fine=GOOD)
    project.ask("third.jsonl", gone=about(OLD))
    result = run(project, *(f"--evals-questions={name}.jsonl" for name in ("questions", "more", "third")))
    result.assert_outcomes(passed=2, skipped=2)
    place = result.outlines.index(
        "stale: 2 questions were not asked, the documents having changed: gone, old"
    )
    commands = [line for line in result.outlines[place:] if line.startswith("  rag-evals")]
    assert commands == [COMMAND, COMMAND.replace("questions.jsonl", "third.jsonl")]


def test_only_those_that_were_to_be_asked_are_counted(project):
    """What -k leaves out is not spoken of."""
    result = run(project, "-k", "good")
    result.assert_outcomes(passed=1, deselected=1)
    assert not any(line.startswith("stale:") for line in result.outlines)


def test_a_tag_is_enough(project):
    """A question without hashes that was found stale before is left out; the documents are not read."""
    project.ask(good=GOOD, tagged={"question": GOOD, "tags": ["stale"]})
    (project.path / "docs/a.md").unlink()
    result = run(project)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(['SKIPPED * stale: it is tagged "stale"'])


def test_documents_are_not_read_for_nothing(project):
    """Questions without hashes need none; documents that are not there are for others to complain of."""
    project.ask(good=GOOD)
    (project.path / "docs/a.md").unlink()
    run(project).assert_outcomes(passed=1)
    project.ask(old=about(OLD))
    run(project).assert_outcomes(passed=1)


def test_documents_that_are_not_known(project):
    """Pipelines of one's own, with nothing said of documents: all are asked."""
    project.run().assert_outcomes(passed=2)
    assert project.lines[0]["stale"] == []


def test_ahead_of_time_none_is_asked(project):
    """Questions that are begun before their turn are never stale ones."""
    project.ask(**{f"q{n}": about(OLD if n % 2 else TEXT, question=f"{GOOD} n={n}") for n in range(8)})
    project.append(
        "conftest.py",
        """
from pathlib import Path

def answer(question):
    with Path("asked.txt").open("a") as file:
        file.write(question.rpartition("=")[2])
    return question.rpartition(" ")[0]
""",
    )
    run(project, "--evals-concurrency", "4").assert_outcomes(passed=4, skipped=4)
    assert sorted((project.path / "asked.txt").read_text()) == ["0", "2", "4", "6"]


def test_collecting_reads_no_documents(project):
    """What is only collected is not looked into."""
    (project.path / "docs/a.md").unlink()
    result = run(project, "--collect-only", "-q")
    assert "test_it.py::test_answer[baseline-old]" in result.outlines
    assert result.ret == 0
