"""What an embedder reads: counts by its own tokenizer, and what is said of the rest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rag_evals.rag.answer import Span
from rag_evals.rag.retrieval.coverage import (
    MULTILINGUAL,
    Coverage,
    CoverageMeter,
    by_document,
    coverage_remarks,
)
from rag_evals.rag.retrieval.index_notes import IndexNotes, read_notes, write_notes


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A tokenizer that knows six words, and puts a token before and one behind each text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[UNK]", "[CLS]", "[SEP]", "the", "pump", "runs", "at", "forty", "bar"]
    ids = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    return made


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("the pump runs", None, Coverage(11)),
        ("the pump läuft dauernd", None, Coverage(19, unknown=12)),
        ("the pump runs at forty bar", 6, Coverage(21, beyond=8)),
        ("the pump runs at forty bar", 8, Coverage(21)),
        ("", 6, Coverage()),
    ],
)
def test_counts(tokenizer, text, length, expected):
    """Characters of unknown words, and those behind the tokens that are read with the two that are added."""
    assert CoverageMeter(tokenizer, length).count(text) == expected


def test_the_tokenizer_is_left_as_it_is(tokenizer):
    """That of transformers is counted with the one that it wraps, whose truncation stays its own."""
    tokenizer.enable_truncation(4)
    wrapped = SimpleNamespace(backend_tokenizer=tokenizer, unk_token="[UNK]")
    assert CoverageMeter(wrapped, 6).count("the pump runs at forty bar") == Coverage(21, beyond=8)
    assert tokenizer.truncation["max_length"] == 4
    tokenizer.no_truncation()


def told(**counts: Coverage) -> list[str]:
    return [str(remark) for remark in coverage_remarks(counts, "small", 256)]


def test_remarks():
    """The share of all, the documents of which most is lost, and what to do."""
    found = {f"d{n}": Coverage(1000, unknown=100 * n, beyond=10 * n) for n in range(5)}
    other = f'such as embedder = "{MULTILINGUAL}"'
    assert told(**found) == [
        "20% of the characters of the documents (d4 40%, d3 30%, d2 20% and 1 more) are of words that the "
        f"embedder small does not know, and are alike to it: use an embedder for their language, {other}",
        "2% of the characters of the documents (d4 4%, d3 3%, d2 2% and 1 more) are beyond the 256 tokens "
        "that the embedder small reads of a passage, and are not searched: use smaller chunk_sizes, or an "
        f"embedder that reads more, {other}",
    ]


def test_little_is_not_said():
    """A sign here and there is no loss; one document that is lost among many is."""
    assert told(a=Coverage(1000, unknown=9, beyond=9), b=Coverage()) == []
    assert told() == []
    (line,) = told(a=Coverage(100_000), b=Coverage(100, unknown=100))
    assert line.startswith("0.1% of the characters of the documents (b 100%) are of words")


def test_the_remedy_is_no_remedy_for_itself():
    (remark,) = coverage_remarks({"a": Coverage(10, unknown=10)}, MULTILINGUAL, None)
    assert str(remark).endswith("use an embedder for their language")


def test_by_document():
    counts = [Coverage(1), Coverage(2, 1), Coverage(4, 0, 3)]
    assert by_document(["a", "b", "a"], counts) == {"a": Coverage(5, 0, 3), "b": Coverage(2, 1)}


def test_notes(tmp_path):
    """What stands beside an index is read as it was written; what is damaged is none."""
    notes = IndexNotes(3, {"n1": (Span("caf\udce9.md", 1, 2, 3),)}, {"a.md": Coverage(5, 1, 2)}, 256)
    write_notes(tmp_path, notes)
    assert read_notes(tmp_path) == notes
    for damage in ("", "[]", '{"passages": 1}', '{"passages": "x", "copies": {}, "coverage": {}}'):
        (tmp_path / "notes.json").write_text(damage)
        assert read_notes(tmp_path) is None
