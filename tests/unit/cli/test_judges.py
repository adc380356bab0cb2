"""The command `judges`: a row each, and what is not known is said to be so."""

from __future__ import annotations

import pytest
from rag_evals.evals.cli.judges import listing
from rag_evals.evals.cli.main import main
from rag_evals.rag.models.judges import load_judges

from tests.servers.hub import LoopbackHub, Published


@pytest.fixture
def lines(tmp_path, monkeypatch, capsys):
    """Return the lines of the command on a machine with one judge and 2 GB of free memory."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(listing, "free_memory", lambda: 2_000_000_000)
    folder = tmp_path / "krlabsorg--tinylettuce-ettin-68m-en"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert main(["judges", "--home", str(tmp_path / "home")]) == 0
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], name: str) -> list[str]:
    (found,) = [line for line in lines if name in line]
    return [cell.strip() for cell in found.split("  ") if cell.strip()]


def test_the_header(lines):
    """What the columns are."""
    assert row(lines[:1], "judge") == [
        *("judge", "license", "here", "AggreFact", "RAGTruth", "F1", "card"),
        *("to fetch", "memory", "fits", "time"),
    ]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        (
            "cross-encoder:factcg-deberta-v3-large",
            ["MIT", "no", "75.6", "82.3", "-", "-", "1.7 GB", "~2.5 GB", "no", "not measured"],
        ),
        (
            "cross-encoder:minicheck-roberta-large",
            ["MIT", "no", "73.5", "77.2", "-", "-", "~1.4 GB", "~2.2 GB", "no", "not measured"],
        ),
        (
            "cross-encoder:tinylettuce-ettin-68m-en",
            ["MIT", "yes", "-", "-", "75.0", "-", "0", "~1.1 GB", "yes", "not measured"],
        ),
        (
            "minicheck, --evals-judge-model FILE of bespoke-minicheck-7b",
            ["CC-BY-NC-4.0", "own file", "77.4", "84.0", "-", "-", "-", "-", "-", "not measured"],
        ),
        (
            "choice, --evals-judge-model qwen3-4b-instruct-2507",
            ["Apache-2.0", "no", "-", "-", "-", "-", "2.5 GB", "~2.9 GB", "no", "not measured"],
        ),
    ],
)
def test_rows(lines, name, cells):
    """Figures as published, what is to be fetched, and whether it fits the free memory."""
    assert row(lines, name) == [name, *cells]


def test_a_card_says_figure_and_time(lines):
    """A judge with a card has its figure on these labels, and the seconds of a verdict."""
    found = row(lines, "choice, --evals-judge-model qwen2.5-coder-1.5b-instruct")
    assert found[6].endswith(" (7 sets of labels)")  # of its two cards the one that a run takes
    assert found[-1].endswith(" s a verdict")


def test_the_notes(lines):
    """Below it stand what the figures are, and where they are from."""
    notes = lines[lines.index("") + 1 :]
    assert notes[0].startswith("AggreFact, RAGTruth: balanced accuracy in per cent, as published; F1: ")
    assert notes[1:3] == [
        "source: LLM-AggreFact board, llm-aggrefact.github.io at eba04fb, 2025-09-08",
        "source: LettuceDetect documentation at 102f7f2, by its makers, who trained on RAGTruth, 2026-08-13",
    ]
    assert notes[-1].startswith("free memory: 2.0 GB; models: ")


def test_a_judge_is_fetched_with_all_it_reads_with(tmp_path, monkeypatch, capsys):
    """`models fetch` knows judges by name; of the repository of its tokenizer no weights are fetched."""
    import huggingface_hub

    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    published = {
        "vectara/hallucination_evaluation_model": ("config.json", "model.safetensors", "modeling_hhem_v2.py"),
        "google/flan-t5-base": ("tokenizer.json", "tokenizer_config.json", "model.safetensors"),
    }
    files = {f"{repo}/{name}": Published(b"{}") for repo, names in published.items() for name in names}
    with LoopbackHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert main(["models", "fetch", "hhem-2.1-open"]) == 0
        huggingface_hub.close_session()
    assert capsys.readouterr().out.startswith("hhem-2.1-open: ")
    assert load_judges()["hhem-2.1-open"].is_here()
    names = {path.parent.name + "/" + path.name for path in tmp_path.glob("[!.]*/[!.]*")}
    assert names == {
        "vectara--hallucination_evaluation_model/config.json",
        "vectara--hallucination_evaluation_model/model.safetensors",
        "google--flan-t5-base--tokenizer/tokenizer.json",
        "google--flan-t5-base--tokenizer/tokenizer_config.json",
    }
