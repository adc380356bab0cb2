"""Generation with a real small model: JSON held to a schema, and the command as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.generation.writing.prompts import PROMPTS
from rag_evals.evals.questions.question_set import load_set
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.protocol import Prompt

from tests.integration.conftest import SMALL

PRIMER = Path(__file__).parents[2] / "fixtures/corpus/primer.pdf"
PROMPT = Prompt(("Two experts process a token.\n\n", "Write a question about it, and the answer, as JSON."))
SCHEMA = PROMPTS["fact"].schema()


def test_text_is_json_of_the_schema(llm):
    """A model that never gives JSON of its own accord gives it, keys in order, nothing behind it."""
    written = llm.complete(PROMPT, max_tokens=400, schema=SCHEMA)
    if written.finished:
        assert list(json.loads(written.text)) == ["subject", "quote", "question", "answer"]
    assert re.match(r'\{ ?"subject" ?: ?"', written.text)
    choice = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
    chosen = llm.complete(PROMPT, max_tokens=40, schema=choice)
    assert chosen.finished
    assert json.loads(chosen.text)["kind"] in ("a", "b")
    assert chosen.tokens.generated < 12


def test_schema_changes_nothing_else(llm, fresh_llm):
    """With a warm and a cold cache the same is written; without a schema all is as it was."""
    plain = llm.complete(PROMPT, max_tokens=24)
    held = llm.complete(PROMPT, max_tokens=24, schema=SCHEMA)
    assert llm.complete(PROMPT, max_tokens=24).text == plain.text
    cold = fresh_llm()
    assert cold.complete(PROMPT, max_tokens=24, schema=SCHEMA).text == held.text
    assert held.tokens.reused > 0
    assert not held.finished


def test_most_probable_of_what_is_allowed(llm):
    """Of the allowed tokens the most probable is taken, as a choice among the same options says."""
    given = Prompt(("Is rain wet? ", "Answer yes or no, as JSON."))
    schema = {"enum": ["yes", "no"]}
    text = llm.complete(given, max_tokens=8, schema=schema).text
    assert text in ('"yes"', '"no"')


def test_unknown_schema(llm):
    """A schema that llama.cpp has no grammar for is an error, not a model that writes what it likes."""
    with pytest.raises(ModelError) as caught:
        llm.complete(PROMPT, max_tokens=8, schema={"type": "riddle"})
    assert str(caught.value) == 'llama.cpp has no grammar for this JSON schema: {"type": "riddle"}'


def test_command_with_a_real_model(tmp_path, capsys, monkeypatch, llm, embedder):
    """From a PDF to a set with a model of 135 million parameters: what is kept is valid."""
    from rag_evals.rag.pipelines.resources import Resources

    monkeypatch.setattr(Resources, "llm", lambda self, config: llm)
    monkeypatch.setattr(Resources, "embedder", lambda self, name: embedder)
    monkeypatch.setattr("rag_evals.evals.generation.generate.default_rules", lambda *given: ())
    out = tmp_path / "questions.jsonl"
    options = ["--n", "2", "--out", str(out), "--kinds", "unanswerable,number"]
    status = main(["generate", str(PRIMER), *options])
    said = capsys.readouterr()
    if status == 4:  # it may be too small to give anything valid, and then says what it wrote
        assert f"{SMALL.model} gave no valid item 12 times in a row; the last replies were" in said.err
        return
    assert status == 0
    (document,) = read_documents(PRIMER).documents
    for question in load_set(out).questions:
        for source in question.sources:
            assert document.text[source.start : source.end] == source.quote
            assert source.page == document.page_at(source.start or 0)
