"""`rag-evals docs`: what was read of documents, and what was not, before anything is run."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.manifest import load_manifest, manifest_of, save_manifest
from rag_evals.rag.documents.document import Corpus, Document, Remark, Unreadable, remark_lines
from reportlab.pdfgen.canvas import Canvas


@pytest.fixture(autouse=True)
def docs(tmp_path, monkeypatch):
    """A folder with a text, a copy of it, a PDF with a drawing on two of three pages, and others."""
    monkeypatch.chdir(tmp_path)
    folder = Path("docs")
    folder.mkdir()
    for name in ("a.md", "b.md"):
        (folder / name).write_text("The pump runs at 40 bar.\n")
    stream = io.BytesIO()
    canvas = Canvas(stream, invariant=True)
    for text in ("A cover.", "", ""):
        canvas.drawString(72, 720, text)
        canvas.line(72, 72, 200, 200)
        canvas.showPage()
    canvas.save()
    (folder / "c.pdf").write_bytes(stream.getvalue())
    (folder / "d.txt").write_bytes(b"\xff\xff")
    (folder / "e.png").write_bytes(b"png")
    return folder


def test_what_was_read(docs, capsys):
    """A row a document, its remarks below it, then what concerns no document; nothing is written."""
    assert main(["docs", "docs"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "document  pages  characters",
        "a.md                     25",
        "b.md                     25",
        "  the same text as a.md",
        "c.pdf         3          12",
        "  pages 2-3: has no text layer (a drawing); run OCR first",
        "left out d.txt: not UTF-8 text (byte 0xFF at 0); convert it to UTF-8",
        "1 file of other formats passed over (.png 1): e.png",
    ]
    assert err == ""
    assert not Path(".rag-evals").exists()


def test_with_ocr(docs, capsys):
    """A command reads the pages without letters."""
    Path("ocr.py").write_text("import sys; print('Page', sys.argv[2])")
    assert main(["docs", "docs/c.pdf", "--ocr", f"{sys.executable} ocr.py {{file}} {{page}}"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["c.pdf         3          24"]


def test_nothing_to_read(capsys):
    """A wrong path is one line and pytest's usage status."""
    assert main(["docs", "gone"]) == 4
    assert capsys.readouterr().err == "ERROR: no such file or folder: gone\n"


def test_many_remarks():
    """Of many of a kind the first ones stand for the rest."""
    remarks = [Remark("damaged", "cannot be read", (n,), f"{n}.pdf") for n in range(1, 5)]
    unreadable = [Unreadable("x\x1b.md", "is empty")]
    assert remark_lines(unreadable, remarks, most=2) == [
        "left out x .md: is empty",
        "1.pdf: page 1: cannot be read",
        "2.pdf: page 2: cannot be read",
        "2 more like that: `rag-evals docs` shows all",
    ]


def test_the_manifest_of_a_question_set(tmp_path):
    """It keeps what was not read of the documents that the questions are about."""
    corpus = Corpus((Document("a.pdf", "x", (0,), "1"),), (), (Remark("damaged", "gone", (2,), "a.pdf"),))
    manifest = manifest_of([], corpus)
    assert manifest.remarks == ("a.pdf: page 2: gone",)
    save_manifest(tmp_path / "q.jsonl", manifest)
    assert load_manifest(tmp_path / "q.jsonl") == manifest
