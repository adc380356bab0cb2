"""The bundled corpus and its questions: what the default eval suite runs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from rag_evals.fixtures.corpus import build as corpus

QUESTIONS = Path(corpus.__file__).parents[1] / "questions"
TAGS = {"fact", "number", "list", "two-passage", "paraphrase", "definition", "unanswerable"}


def read_questions(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (QUESTIONS / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def pages() -> list[str]:
    """The text of each page as pypdf gives it."""
    return [page.extract_text() for page in PdfReader(corpus.TARGET).pages]


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    """The questions of both files."""
    return read_questions("primer.jsonl") + read_questions("primer-more.jsonl")


def test_committed_pdf_equals_a_fresh_build():
    """Whoever edits the Markdown rebuilds the PDF; two builds give the same bytes."""
    fresh = corpus.build(corpus.SOURCE.read_text(encoding="utf-8"))
    # Not a comparison in the assert: pytest would spend a minute on the diff of two PDFs.
    is_equal = corpus.TARGET.read_bytes() == fresh
    assert is_equal, "primer.pdf is out of date; run: python fixtures/corpus/build.py"


def test_check_tells_a_stale_pdf(tmp_path, monkeypatch, capsys):
    """`--check` is silent about the committed PDF, and exits 1 with advice for any other one."""
    assert corpus.main(["--check"]) == 0
    stale = tmp_path / "primer.pdf"
    stale.write_bytes(b"%PDF-1.4")
    monkeypatch.setattr(corpus, "TARGET", stale)
    assert corpus.main(["--check"]) == 1
    assert "run: python fixtures/corpus/build.py" in capsys.readouterr().err
    assert stale.read_bytes() == b"%PDF-1.4"


def test_pdf_is_small_and_has_eight_to_twelve_pages(pages):
    """The corpus is big enough to make retrieval miss, and small enough for a laptop and for git."""
    assert 8 <= len(pages) <= 12
    assert corpus.TARGET.stat().st_size < 300_000


def test_text_of_the_pdf_is_printable(pages):
    """No control characters come out of the PDF, such as the ones some bullets turn into."""
    strange = {character for page in pages for character in page if not character.isprintable()}
    assert strange <= {"\n"}


def test_every_quote_is_on_its_page(pages, questions):
    """A source can be trusted: its quote is on that page, but for white space."""
    texts = [" ".join(page.split()) for page in pages]
    missing = [
        (question["id"], source)
        for question in questions
        for source in question.get("sources", [])
        if source["document"] != corpus.TARGET.name or source["quote"] not in texts[source["page"] - 1]
    ]
    assert missing == []


def test_ids_and_questions_are_unique(questions):
    """Both files can be selected together."""
    for key in ("id", "question"):
        values = [question[key] for question in questions]
        assert sorted(values) == sorted(set(values))


def test_counts():
    """The default selection has 14 questions, 3 of them unanswerable; in all there are 30 or more, with 6."""
    default, more = read_questions("primer.jsonl"), read_questions("primer-more.jsonl")
    assert len(default) == 14
    assert sum(not question.get("answerable", True) for question in default) == 3
    assert len(default + more) >= 30
    assert sum(not question.get("answerable", True) for question in default + more) >= 6


def test_answerable_questions_have_reference_and_sources_and_others_have_neither(questions):
    """Keys say what a question is: `answerable` is there only to say no."""
    for question in questions:
        is_answerable = question.get("answerable", True)
        assert ("answerable" in question) is not is_answerable, question["id"]
        assert ("reference" in question) is is_answerable, question["id"]
        assert bool(question.get("sources")) is is_answerable, question["id"]
        assert ("unanswerable" in question["tags"]) is not is_answerable, question["id"]
        assert set(question["tags"]) <= TAGS, question["id"]
