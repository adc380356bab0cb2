"""`rag-evals ask` of a service: no documents are wanted, and its answer is printed as any other."""

from __future__ import annotations

from rag_evals.evals.cli.main import main

from tests.servers.openai import LoopbackOpenAI

REPLY = {"answer": "Two\x1b[31m.", "contexts": [{"text": "Two experts.", "document": "moe.pdf", "page": 3}]}


def test_a_service(tmp_path, monkeypatch, capsys):
    """It is asked by its name in the file of pipelines."""
    monkeypatch.chdir(tmp_path)
    with LoopbackOpenAI(lambda body: REPLY) as server:
        (tmp_path / "p.toml").write_text(f'[pipelines.mine]\nservice = "http:{server.url}/ask"\n')
        assert main(["ask", "--config", "p.toml", "--pipeline", "mine", "How many?"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert server.bodies == [{"question": "How many?"}]
    assert lines[:5] == [
        f"mine: POST {server.url}/ask, answer at answer, contexts at contexts, 4 at once",
        "",
        "Q: How many?",
        "A: Two�[31m.",
        "   1. moe.pdf p.3 0.00  Two experts.…",
    ]


def test_a_pipeline_that_answers_from_documents(tmp_path, monkeypatch, capsys):
    """Without documents that is said."""
    monkeypatch.chdir(tmp_path)
    assert main(["ask", "How many?"]) != 0
    said = capsys.readouterr().err
    assert "the pipeline 'auto_merging' answers from documents: give --docs PATH" in said
