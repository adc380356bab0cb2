"""`rag-evals ask` with real small models: the answer, its passages with pages, seconds and tokens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main

PRIMER = Path(__file__).parents[2] / "fixtures" / "corpus" / "primer.pdf"


@pytest.mark.model
def test_ask(capsys, tmp_path):
    """Two questions: one line says what is in use, then each answer with passages, seconds and tokens."""
    questions = ["How many experts process a token in Mixtral 8x7B?", "What is BM25?"]
    options = ["--docs", str(PRIMER), "--model", "smollm2-135m-instruct", "--home", str(tmp_path)]
    assert main(["ask", *options, *questions]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    described, _, *blocks = out.splitlines()
    assert re.fullmatch(
        r"auto_merging: auto_merging of hybrid candidates, chunks of 2048/512/128 tokens with vectors "
        r"of their sentences, top 16, reranker (none|ms-marco-minilm-l-6-v2) keeps 4"
        r"( \(ms-marco-minilm-l-6-v2 is not here\))?, embedder all-minilm-l6-v2, llm smollm2-135m-instruct",
        described,
    )
    first, second = blocks[: blocks.index("")], blocks[blocks.index("") + 1 :]
    for question, (asked, answered, *passages, cost) in zip(questions, (first, second), strict=True):
        assert asked == f"Q: {question}"
        assert re.fullmatch(r"A: .+", answered)
        assert 1 <= len(passages) <= 4
        assert all(
            re.match(r"   \d\. primer\.pdf p\.\d+(-\d+)? \[\d+:\d+\] -?\d+\.\d\d  \S", line)
            for line in passages
        )
        assert re.fullmatch(
            r"   retrieve \d+\.\d s, rerank \d+\.\d s, generate \d+\.\d s; "
            r"tokens: [\d,]+ evaluated, \d+ reused, \d+ generated"
            r"(; \d passages left out for the token budget)?",
            cost,
        )
