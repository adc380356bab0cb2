"""Candidates about the bundled corpus, written by hand, good ones and bad ones, to measure the rules by.

Each line of `candidates/primer.jsonl` names the rules that should drop it under `faults`. The order counts: a
near-duplicate stands behind what it is like.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.generation.candidate import Candidate, Passage
from rag_evals.evals.generation.text.passages import survey
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.quotes import find_words
from rag_evals.rag.documents.document import Document
from rag_evals.rag.documents.read import read_documents

ROOT = Path(__file__).parents[2]
PRIMER = ROOT / "fixtures/corpus/primer.pdf"
WRITTEN = Path(__file__).parents[1] / "candidates/primer.jsonl"


@dataclass(frozen=True)
class Written:
    """A candidate, and the names of the rules that should drop it."""

    candidate: Candidate
    faults: frozenset[str]


def passages() -> tuple[Passage, ...]:
    """The passages of the bundled corpus."""
    return survey(read_documents(PRIMER)).passages


def written() -> list[Written]:
    """The written candidates, in order."""
    (document,) = read_documents(PRIMER).documents
    surveyed = survey(read_documents(PRIMER)).passages
    lines = WRITTEN.read_text("utf-8").splitlines()
    return [_written(number, json.loads(line), document, surveyed) for number, line in enumerate(lines)]


def _written(number: int, line: dict[str, Any], document: Document, surveyed: Sequence[Passage]) -> Written:
    sources = tuple(_source(quote, document) for quote in line["quotes"])
    about = sources[0] if sources else _source(line["about"], document)
    other = _source(line["other"], document) if "other" in line else None
    if line["kind"] == "comparison":
        other = sources[-1]
    question = Question(
        f"q{number}",
        line["question"],
        line["reference"],
        sources,
        answerable=line["kind"] not in ("unanswerable", "false_premise"),
    )
    return Written(
        Candidate(
            question,
            line["kind"],
            _passage(about, surveyed),
            _passage(other, surveyed) if other else None,
            number,
        ),
        frozenset(line["faults"]),
    )


def _source(quote: str, document: Document) -> Source:
    found = find_words(quote, document.text)
    assert found is not None, f"not in the document: {quote}"
    words = document.text[found.start : found.end]
    return Source(document.name, document.page_at(found.start), found.start, found.end, words)


def _passage(source: Source, surveyed: Sequence[Passage]) -> Passage:
    start = source.start or 0
    return next((p for p in surveyed if p.start <= start < p.end), surveyed[0])
