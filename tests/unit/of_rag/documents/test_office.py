"""DOCX, PPTX and EPUB: made by the libraries' own means or by hand, and read."""

from __future__ import annotations

import io
import sys
import zipfile

import pytest
from pptx import Presentation
from pptx.util import Inches
from rag_evals.rag.documents.document import Refusal
from rag_evals.rag.documents.office import docx_text, epub_text, pptx_pages
from rag_evals.rag.documents.read import read_documents

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
CONTAINER = "urn:oasis:names:tc:opendocument:xmlns:container"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def archive(**parts: str) -> bytes:
    """Zip parts; two underscores in a name stand for the slash."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def docx(body: str) -> bytes:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return archive(
        **{
            "[Content_Types].xml": f'<Types xmlns="{TYPES}"><Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{kind}.document.main+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r2" '
            f'Type="{OFFICE}/footnotes" Target="footnotes.xml"/></Relationships>',
            "word/footnotes.xml": f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:id="2"><w:p><w:r><w:t>At sea '
            "level.</w:t></w:r></w:p></w:footnote></w:footnotes>",
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        }
    )


def paragraph(text: str, more: str = "") -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r>{more}</w:p>"


def test_docx():
    """Paragraphs, tables and footnotes; raised signs change no number."""
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("Rated pressure", "40 bar"))
    power = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>6</w:t></w:r>'
    note = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    body = (
        paragraph("It runs at 10", power) + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>" + paragraph("Done.", note)
    )
    text, remarks = docx_text(docx(body))
    assert text == "It runs at 10^6\n\nRated pressure 40 bar\n\nDone.[1]\n\nAt sea level. ↑"
    assert remarks == []


def test_pptx(tmp_path):
    """A slide is a page: its shapes, tables and notes; a slide of a picture alone is named."""
    from PIL import Image

    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "png")
    presentation = Presentation()
    first, second, third = (
        presentation.slides.add_slide(presentation.slide_layouts[number]) for number in (1, 6, 6)
    )
    first.shapes.title.text = "Pump"
    first.placeholders[1].text = "Runs at 40 bar."
    first.notes_slide.notes_text_frame.text = "Say it twice."
    second.shapes.add_picture(picture, Inches(1), Inches(1))
    table = third.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Weight", "12 kg"
    presentation.save(str(tmp_path / "a.pptx"))
    corpus = read_documents(tmp_path)
    (document,) = corpus.documents
    assert document.text == "Pump\n\nRuns at 40 bar.\n\nSay it twice.\n\n\n\nWeight 12 kg"
    assert document.page_at(document.text.index("Weight")) == 3
    assert [str(remark) for remark in corpus.remarks] == ["a.pptx: page 2: has no text (a picture)"]


def epub(**more: str) -> bytes:
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><p>{}</p></body></html>'
    return archive(
        **{
            "META-INF/container.xml": f'<container xmlns="{CONTAINER}">'
            '<rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            '<item id="two" href="b%20c.xhtml"/><item id="one" href="a.xhtml"/>'
            '<item id="gone" href="d.xhtml"/>'
            '</manifest><spine><itemref idref="one"/><itemref idref="two"/><itemref idref="gone"/></spine>'
            "</package>",
            "OPS/a.xhtml": page.format("Chapter one."),
            "OPS/b c.xhtml": page.format("Chapter two."),
            **more,
        }
    )


def test_epub():
    """Chapters come in reading order; one that is missing is named."""
    text, (remark,) = epub_text(epub())
    assert text == "Chapter one.\n\nChapter two."
    assert remark.detail == "d.xhtml: \"There is no item named 'OPS/d.xhtml' in the archive\""


def test_protected_books():
    """A book with DRM is refused as such; one with scrambled fonts is read."""
    listing = '<encryption><CipherReference URI="{}"/></encryption>'
    with pytest.raises(Refusal, match=r"^is protected \(DRM\); give a copy without protection$"):
        epub_text(epub(**{"META-INF/encryption.xml": listing.format("OPS/a.xhtml")}))
    assert epub_text(epub(**{"META-INF/encryption.xml": listing.format("OPS/font.otf")}))[0]


@pytest.mark.parametrize("read", [docx_text, pptx_pages, epub_text])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 cut off", "is damaged: File is not a zip file"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "is an older or encrypted Office file; save it anew without a password",
        ),
        (archive(other="x"), "is not a readable"),
    ],
)
def test_damaged(read, data, message):
    """A file that cannot be read says why in one line."""
    with pytest.raises(Refusal) as caught:
        read(data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_too_large_unpacked():
    """An archive that would come to gigabytes is not unpacked."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file, file.open("a", "w") as part:
        for _ in range(600):
            part.write(bytes(2**20))
    with pytest.raises(
        Refusal, match=r"^comes to 629 MB unpacked, more than 512 MB \(RAG_EVALS_DOCUMENT_MEGABYTES\)$"
    ):
        epub_text(stream.getvalue())


def test_without_the_libraries(monkeypatch):
    """Without the extra, the remedy is said."""
    monkeypatch.setitem(sys.modules, "mammoth", None)
    with pytest.raises(Refusal, match=r"^needs more libraries: pip install 'rag-evals\[documents\]'$"):
        docx_text(docx(paragraph("x")))
