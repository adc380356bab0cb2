"""The command line: what each command prints, and one line with status 4 when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[3]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_missing_documents(capsys, tmp_path):
    """A path that is not there is named."""
    assert run(capsys, "ask", "--docs", tmp_path / "gone.pdf", "Why?") == (
        4,
        "",
        f"ERROR: no such file or folder: {tmp_path}/gone.pdf\n",
    )


def test_a_folder_with_nothing_readable(capsys, tmp_path):
    """Every file that could not be read is listed with its reason."""
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    status, out, err = run(capsys, "ask", "--docs", tmp_path, "Why?")
    headline, *offenders, formats = err.splitlines()
    assert (status, out) == (4, "")
    assert headline == f"ERROR: no readable document in {tmp_path}"
    assert offenders[0] == "  a.txt: is empty"
    assert offenders[1].startswith("  b.pdf: is not a readable PDF: ")
    assert formats == "read are .pdf, .md, .markdown, .txt, .html, .htm, .xhtml, .docx, .pptx, .epub"


def test_unknown_pipeline(capsys, tmp_path):
    """The known ones are listed."""
    (tmp_path / "a.txt").write_text("Two of eight experts.")
    assert run(capsys, "ask", "--docs", tmp_path, "--pipeline", "basline", "Why?") == (
        4,
        "",
        "ERROR: unknown pipeline 'basline': known are auto_merging, baseline\n",
    )


def test_models_list(capsys, monkeypatch, tmp_path):
    """Every model of the catalogue is a row, and the cache's folder is named."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    status, out, err = run(capsys, "models", "list")
    header, *rows, blank, cache = out.splitlines()
    assert (status, err, blank, cache) == (0, "", "", f"cache: {tmp_path}")
    assert header.split() == ["name", "kind", "size", "cached", "sources", "summary"]
    assert rows[0].split()[:5] == ["qwen2.5-coder-1.5b-instruct", "llm", "1.1", "GB", "no"]
    assert len(rows) == 16


def test_models_fetch_without_a_source(capsys, monkeypatch, tmp_path):
    """Without a reachable source a fetch is an error, or a note where that was asked for."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = "ms-marco-minilm-l-6-v2"
    status, out, err = run(capsys, "models", "fetch", name)
    assert (status, out) == (4, "")
    assert f"ERROR: model '{name}' could not be fetched: no source worked\n" in err
    status, out, _ = run(capsys, "models", "fetch", "--if-reachable", name)
    assert status == 0
    assert out == f"{name}: left out, model '{name}' could not be fetched: no source worked\n"


def test_models_verify(capsys, monkeypatch, tmp_path):
    """A damaged model is named with what is wrong, and the status is 1."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    assert run(capsys, "models", "verify") == (0, "no model is in the cache\n", "")
    folder = tmp_path / "smollm2-135m-instruct"
    folder.mkdir()
    (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    status, out, err = run(capsys, "models", "verify", "smollm2-135m-instruct")
    assert (status, out) == (1, "")
    assert err.startswith("smollm2-135m-instruct: ")
    assert "damaged" in err


def test_a_wrong_call_ends_with_4(capsys):
    """Not with argparse's 2, which is what INCONCLUSIVE ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["compare"])
    assert ended.value.code == 4
    assert "the following arguments are required: RUN, BASE" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_options(capsys, name):
    """What the table of commands names is there."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: rag-evals {name} ")


def test_only_the_command_that_is_called_is_imported():
    """`--help` is quick: it imports the table of commands, and none of them."""
    code = """
import contextlib, sys
from rag_evals.evals.cli.main import main
with contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(*sorted(name for name in sys.modules if name.startswith("rag_evals.evals.cli.")), file=sys.stderr)
"""
    for arguments, expected in (
        (["--help"], "rag_evals.evals.cli.main"),
        (
            ["replay", "--help"],
            "rag_evals.evals.cli.arguments rag_evals.evals.cli.main "
            "rag_evals.evals.cli.runs rag_evals.evals.cli.runs.replay",
        ),
    ):
        command = [sys.executable, "-c", code, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        assert ran.stderr == f"{expected}\n"
