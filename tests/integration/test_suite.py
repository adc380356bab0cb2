"""`pytest evals` as a user runs it: the bundled suite, fixtures and corpus, with small real models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.rag.models.resolve import cache_dir

ROOT = Path(__file__).parents[2]
SMALL = ("--evals-model", "smollm2-135m-instruct")


def run(home: Path, *arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--evals-home", home, *arguments]
    return subprocess.run(map(str, command), cwd=folder, capture_output=True, text=True, timeout=300)


def evaluations(home: Path) -> list[dict]:
    lines = (home / "runs" / "latest" / "records.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["type"] == "evaluation"]


@pytest.mark.model
def test_a_question_to_both_pipelines(tmp_path):
    """Both pipelines answer and are judged; each passage knows its page; a second run builds no index."""
    chosen = ("evals", "--evals-mode", "report", "--evals-max-unscored", "1", "-k", "dbrx or maxsim", *SMALL)
    first = run(tmp_path, *chosen)
    assert first.returncode == 0, first.stdout
    assert "evals: 4 evaluations, 2 retrievals, mode report" in first.stdout
    assert "baseline: vector, chunks of 160 tokens, top 8" in first.stdout
    recorded = [line for line in evaluations(tmp_path) if line["answer"]]
    assert [(line["pipeline"], line["question_id"]) for line in recorded] == [
        ("baseline", "colbert-maxsim"),
        ("baseline", "dbrx-experts"),
        ("auto_merging", "colbert-maxsim"),
        ("auto_merging", "dbrx-experts"),
    ]
    assert [sorted(line["scores"]) for line in recorded[:2]] == [
        ["correctness", "faithfulness", "refusal", "relevancy"],
        ["refusal"],
    ]
    contexts = [context for line in recorded for context in line["contexts"]]
    assert all(context["document"] == "primer.pdf" and 1 <= context["page"] <= 11 for context in contexts)
    # The verdict on the passages reuses what the answer read.
    assert recorded[0]["tokens"]["reused"] > recorded[0]["tokens"]["evaluated"] / 2
    indexes = {path: path.stat().st_mtime_ns for path in tmp_path.glob("indexes/*/*")}
    again = run(tmp_path, *chosen, "--evals-offline")
    assert again.returncode == 0, again.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("indexes/*/*")} == indexes
    repeated = [line for line in evaluations(tmp_path) if line["answer"]]
    assert [line["scores"] for line in repeated] == [line["scores"] for line in recorded]


@pytest.mark.model
def test_retrieval_alone_needs_no_language_model(tmp_path, monkeypatch):
    """It is neither loaded nor fetched, and the pipeline is named as it is with one."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "all-minilm-l6-v2").symlink_to(cache_dir() / "all-minilm-l6-v2")
    monkeypatch.setenv("RAG_EVALS_MODELS", str(models))
    given = run(tmp_path, "evals", "--evals-only", "retrieval", "--evals-mode", "gate", "--evals-offline")
    assert given.returncode == 0, given.stdout
    assert "gate: PASS" in given.stdout
    assert all(line["tokens"]["evaluated"] == 0 and not line["answer"] for line in evaluations(tmp_path))
    assert [path.name for path in models.iterdir() if not path.name.startswith(".")] == ["all-minilm-l6-v2"]


@pytest.mark.model
def test_documents_and_questions_of_ones_own(tmp_path):
    """Any folder, any questions; a file that cannot be read is left out with one clear line."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "tides.md").write_text("# Tides\n\nThe tide at Saint-Malo rises by up to thirteen metres.\n")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    (tmp_path / "mine.jsonl").write_text('{"id": "tide", "question": "How far does the tide rise?"}\n')
    options = ("--evals-docs", docs, "--evals-questions", tmp_path / "mine.jsonl", "--evals-mode", "report")
    given = run(
        tmp_path, "evals", *options, "--evals-pipelines", "baseline", "--evals-max-unscored", "1", *SMALL
    )
    assert given.returncode == 0, given.stdout
    assert "DocumentWarning: left out broken.pdf: is not a readable PDF: " in given.stdout
    (line,) = evaluations(tmp_path)
    assert [context["document"] for context in line["contexts"]] == ["tides.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--evals-model", "gone/model.gguf"),
            "model file not found: gone/model.gguf",
        ),
        (("--evals-docs", "gone.pdf"), f"no such file or folder: {ROOT}/gone.pdf"),
        (("--evals-config", "gone.toml"), f"{ROOT}/gone.toml: No such file or directory"),
        (("--evals-pipelines", "basline"), "unknown pipeline 'basline'"),
        (("--evals-thresholds", "faithfullness=0.5"), "unknown metric 'faithfullness' in a threshold, did"),
        (("--evals-thresholds", "relevancy=2"), "threshold relevancy = 2 is outside 0..1"),
    ],
    ids=["model", "documents", "config", "pipeline", "metric", "threshold"],
)
def test_wrong_configuration(tmp_path, arguments, message):
    """One line says what is wrong, with pytest's usage status; no traceback, no run folder."""
    given = run(tmp_path, "evals", *arguments)
    (line,) = [
        line for line in (given.stdout + given.stderr).splitlines() if line.startswith("ERROR: ") and message
    ]
    assert line.startswith(f"ERROR: {message}")
    assert given.returncode == 4
    assert "Traceback" not in given.stdout + given.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.model
def test_a_context_window_that_is_too_small(tmp_path):
    """A prompt that does not fit is that question's error, with by how much; nothing is cut."""
    text = (ROOT / "rag" / "pipelines.toml").read_text().replace("n_ctx = 4096", "n_ctx = 512")
    (tmp_path / "small.toml").write_text(text)
    options = ("--evals-config", tmp_path / "small.toml", "--evals-pipelines", "baseline", "-k", "maxsim")
    given = run(tmp_path, "evals", *options, *SMALL)
    assert given.returncode == 1
    assert "raised ContextWindowError: the prompt has " in given.stdout
    assert "context window of smollm2-135m-instruct holds 512: " in given.stdout


def test_from_a_subfolder(tmp_path):
    """The suite runs from its own folder too."""
    given = run(tmp_path, "--collect-only", "-q", "test_answers.py", folder=ROOT / "evals")
    assert given.returncode == 0, given.stdout
    assert "test_answer_is_faithful_and_relevant[baseline-experts-per-token]" in given.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_eval_says_what_is_missing(tmp_path):
    """Without a fitting Python the set-up says so, and what to do."""
    given = subprocess.run(
        ["make", "-B", "setup", "PYTHON=false", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert given.returncode != 0
    assert "rag-evals needs Python 3.11 or newer; name one with PYTHON=/path/to/python3.11" in given.stdout
