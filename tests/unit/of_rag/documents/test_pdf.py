"""Pages of a PDF: each is read by itself, and what cannot be read is said with its cause."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    NameObject,
    StreamObject,
    TextStringObject,
)
from rag_evals.rag.documents.document import Remark
from rag_evals.rag.documents.line_breaks import flowing_pages
from rag_evals.rag.documents.pdf import pdf_pages
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.errors import DocumentError
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

TEXT = "The pump runs at 40 bar."


def drawn(*pages) -> bytes:
    """Make a PDF; each page is a text, or a function that draws on the canvas."""
    stream = io.BytesIO()
    canvas = Canvas(stream, invariant=True, pageCompression=0)
    for page in pages:
        if callable(page):
            page(canvas)
        else:
            text = canvas.beginText(72, 720)
            text.textLines(page, trim=False)
            canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def scan(canvas: Canvas) -> None:
    from PIL import Image

    canvas.drawImage(ImageReader(Image.new("L", (8, 8), 128)), 72, 72, 400, 600)


def with_content(data: bytes, number: int, content: bytes, filters: str | None = None) -> bytes:
    """Put another content stream in the place of that of page `number` (from 0)."""
    writer = PdfWriter(PdfReader(io.BytesIO(data)))
    stream = StreamObject()
    stream.set_data(content)
    if filters:
        stream[NameObject("/Filter")] = NameObject(filters)
    writer.pages[number][NameObject("/Contents")] = writer._add_object(stream)
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def said(data: bytes) -> list[str]:
    return [str(remark) for remark in pdf_pages(data)[1]]


# --- pages without text ---


def test_scanned_pages_of_a_book_with_text(tmp_path):
    """A cover with text does not hide that the rest is images."""
    (tmp_path / "a.pdf").write_bytes(drawn(TEXT, scan, "Third.", scan, scan))
    corpus = read_documents(tmp_path)
    detail = "has no text layer (an image); run OCR first"
    assert corpus.remarks == (Remark("no text", detail, (2, 4, 5), "a.pdf"),)
    assert str(corpus.remarks[0]) == f"a.pdf: pages 2, 4-5: {detail}"


def test_a_drawing_is_no_blank_page():
    """Letters drawn as outlines cannot be read; a page with nothing on it is no loss."""

    def outline(canvas: Canvas) -> None:
        canvas.line(72, 72, 200, 200)

    assert said(drawn(TEXT, outline, "")) == ["page 2: has no text layer (a drawing); run OCR first"]


def test_blank_pages_alone(tmp_path):
    """A file of blank pages is no scan."""
    (tmp_path / "a.pdf").write_bytes(drawn("", ""))
    with pytest.raises(DocumentError, match=r"a\.pdf: has no text \(2 pages, nothing on them\)"):
        read_documents(tmp_path)


@pytest.mark.parametrize(
    ("content", "filters", "cause"),
    [
        (b"\xb1\xff~>", "/ASCII85Decode", "Non-Ascii85 digit found: ±"),
        (b"BT ET", "/NoSuchDecode", "Unsupported filter /NoSuchDecode"),
        (
            b"notzlibnotzlibnotzli",
            "/FlateDecode",
            "Error -3 while decompressing data: incorrect header check",
        ),
        (
            b"BT [(Big) 0.0 Tc (Clients)] TJ ET",
            None,
            "Invalid Elementary Object starting with b'T' @14: b'BT [(Big) 0.0 Tc (Clients)] TJ ET'",
        ),
    ],
)
def test_a_damaged_page_leaves_the_others(content, filters, cause):
    """One page that cannot be read of three is named with the cause; the others are read."""
    pages, remarks = pdf_pages(with_content(drawn(TEXT, "Gone.", "Third."), 1, content, filters))
    assert pages == [TEXT, "", "Third."]
    assert remarks == [Remark("damaged", f"cannot be read: {cause}", (2,))]


def test_every_page_is_damaged(tmp_path):
    """Where no page is left, the file is refused with the cause, and not as encrypted or as a scan."""
    data = drawn(TEXT, TEXT)
    for number in range(2):
        data = with_content(data, number, b"BT ET", "/NoSuchDecode")
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(
        DocumentError, match=r"a\.pdf: pages 1-2: cannot be read: Unsupported filter /NoSuchDecode"
    ):
        read_documents(tmp_path)


# --- letters ---


def test_glyph_names_are_no_text():
    """Where fonts do not tell their letters, a page has no text; others are read."""
    garbage = "/g18/g152/g135/g22/g9\n/g18/g7/g135/g22/g104"
    pages, remarks = pdf_pages(drawn(TEXT, garbage))
    assert pages == [TEXT, ""]
    detail = "has no text: 100.0% of its signs are no letters (its fonts do not tell which); run OCR first"
    assert remarks == [Remark("unreadable letters", detail, (2,))]


def test_paths_are_no_glyph_names():
    """Folders and addresses stay what they are."""
    page = "Give /usr/local/lib/python3/dist or /v1/chat, and /a/b2/c.\nOn 1/2/2024 it was 3/4."
    assert pdf_pages(drawn(page)) == ([page.replace("\n", " ")], [])


def test_soft_hyphens():
    """A soft hyphen joins, at a line end too."""
    assert pdf_pages(drawn("The effi\xadcient pump has a coef\xad\nficient."))[0] == [
        "The efficient pump has a coefficient."
    ]


def test_lines_drawn_twice():
    """A line drawn again a hair beside itself is one; the same line further down is two."""

    def bold(canvas: Canvas) -> None:
        for shift in (0, 0.3):
            canvas.drawString(72 + shift, 720, TEXT)
        for height in (700, 680):
            canvas.drawString(72, height, "It was checked in May.")

    assert pdf_pages(drawn(bold))[0] == [f"{TEXT} It was checked in May. It was checked in May."]


# --- forms and notes ---


def test_what_was_typed_is_read():
    """Fields come with their labels, chosen ones too; notes that stand on the page do; empty ones do not."""

    def form(canvas: Canvas) -> None:
        canvas.drawString(72, 720, "Rated pressure:")
        fields = canvas.acroForm
        fields.textfield(name="pressure", tooltip="Rated pressure (bar)", value="40", x=200, y=720)
        fields.textfield(name="empty", value="", x=200, y=680)
        fields.checkbox(name="tested", tooltip="Tested", checked=True, x=200, y=640)
        fields.checkbox(name="sealed", tooltip="Sealed", checked=False, x=200, y=600)

    writer = PdfWriter(PdfReader(io.BytesIO(drawn(form))))
    writer.add_annotation(0, FreeText(text="Checked in May by Ada.", rect=(50, 550, 200, 650)))
    (text,), remarks = pdf_pages(written(writer))
    assert text == ("Rated pressure:\n\nRated pressure (bar): 40\n\nTested: Yes\n\nChecked in May by Ada.")
    assert remarks == []


def test_a_dynamic_form_is_a_placeholder(tmp_path):
    """The page of an XFA form says only that another program is needed."""
    writer = PdfWriter(PdfReader(io.BytesIO(drawn("Please wait..."))))
    xfa = StreamObject()
    xfa.set_data(b"<xdp/>")
    form = writer._add_object(
        DictionaryObject(
            {NameObject("/XFA"): ArrayObject([TextStringObject("template"), writer._add_object(xfa)])}
        )
    )
    writer.root_object[NameObject("/AcroForm")] = form
    writer.root_object[NameObject("/NeedsRendering")] = BooleanObject(True)
    (tmp_path / "a.pdf").write_bytes(written(writer))
    with pytest.raises(DocumentError, match="is an XFA form, whose page is a placeholder; print it to a PDF"):
        read_documents(tmp_path)


def test_aes_without_a_user_password():
    """A file of AES-256 that every viewer opens is opened."""
    writer = PdfWriter(PdfReader(io.BytesIO(drawn(TEXT))))
    writer.encrypt("", "owner", algorithm="AES-256")
    assert pdf_pages(written(writer)) == ([TEXT], [])


# --- scripts ---


@pytest.mark.parametrize(
    ("font", "lines", "text"),
    [
        (
            "STSong-Light",
            ["水泵的额定压力为四十巴、启动前必须先打开进", "水阀门并检查润滑油位、严禁无水运行。"],
            "水泵的额定压力为四十巴、启动前必须先打开进水阀门并检查润滑油位、严禁无水运行。",
        ),
        (
            "HeiseiMin-W3",
            ["ポンプの定格圧力は四十バールであり、始動前に入", "口弁を開けなければならない。"],
            "ポンプの定格圧力は四十バールであり、始動前に入口弁を開けなければならない。",
        ),
        (
            "HYSMyeongJo-Medium",
            [
                "펌프는 사십 바의 압력으로 작동하며 매번 시",
                "작하기 전에 입구 밸브를 열어야 손상을 방지",
                "합니다.",
            ],
            "펌프는 사십 바의 압력으로 작동하며 매번 시작하기 전에 입구 밸브를 열어야 손상을 방지합니다.",
        ),
        (
            "HYSMyeongJo-Medium",
            [
                "펌프는 사십 바의 압력으로 작동하며",
                "매번 시작하기 전에 입구 밸브를",
                "열어야 합니다.",
            ],
            "펌프는 사십 바의 압력으로 작동하며 매번 시작하기 전에 입구 밸브를 열어야 합니다.",
        ),
    ],
)
def test_east_asian_lines(font, lines, text):
    """No blank gets into a word at a line end; Korean has some between words."""
    pdfmetrics.registerFont(UnicodeCIDFont(font))

    def page(canvas: Canvas) -> None:
        canvas.setFont(font, 12)
        for number, line in enumerate(lines):
            canvas.drawString(72, 720 - 16 * number, line)

    assert pdf_pages(drawn(page))[0] == [text]


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
def test_right_to_left_lines(tmp_path):
    """Arabic and Hebrew printed by a browser come in reading order, numbers as they are."""
    arabic = "تعمل المضخة بضغط أربعين بار ويجب فتح صمام المدخل قبل بدء التشغيل. الوزن 12 كيلوغرام."
    hebrew = "המשאבה פועלת בלחץ של 40 בר ויש לפתוח את שסתום הכניסה לפני כל הפעלה. המשקל 12 קילוגרם."
    page = tmp_path / "a.html"
    style = "width: 300px; font-family: DejaVu Sans"
    page.write_text(
        f'<meta charset="utf-8"><body dir="rtl" style="{style}"><p>{arabic}</p><p>{hebrew}</p>',
        encoding="utf-8",
    )
    target = tmp_path / "a.pdf"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    subprocess.run([*command, f"--print-to-pdf={target}", page.as_uri()], capture_output=True, timeout=60)
    text = " ".join(pdf_pages(target.read_bytes())[0][0].split())
    assert text == f"{arabic} {hebrew}"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("hat viele Vor-\nund Nachteile", "hat viele Vor- und Nachteile"),
        ("Ein- und Aus-\nfuhr", "Ein- und Ausfuhr"),
        ("The pre-\nand post-war years", "The pre- and post-war years"),
        ("the thous-\nand, a thousand", "the thousand, a thousand"),
        ("multi-\nhead-\ned", "multiheaded"),
    ],
)
def test_hyphens_at_line_ends(page, text):
    """A hyphen that stands for a part left out stays; one that breaks a word goes."""
    assert pdf_pages(drawn(page))[0] == [text]


def test_another_hyphen():
    """U+2010 breaks words as the hyphen of ASCII does."""
    assert flowing_pages(["the retrie\u2010\nval"]) == ["the retrieval"]


def test_rows_and_code():
    """Lines whose cells are apart, and those that are indented, stay lines."""
    table = "Part       Material       Supplier\nImpeller   bronze         Northern Works"
    code = "def run(pump):\n    if pump.pressure > 40:\n        pump.stop()\nThen call it on\nevery start."
    assert flowing_pages([table, code]) == [
        "Part  Material  Supplier\nImpeller  bronze  Northern Works",
        "def run(pump):\n    if pump.pressure > 40:\n        pump.stop()\nThen call it on every start.",
    ]


def test_bullets_of_symbol_fonts():
    """They are bullets, and no letters that nobody can read."""
    assert flowing_pages(["Parts:\n\uf0b7 a pump\n\uf0a7 a valve"]) == ["Parts:\n• a pump\n• a valve"]


def test_time_grows_with_the_text():
    """A page without a blank takes no quadratic time."""

    def seconds(count: int) -> float:
        start = time.process_time()
        flowing_pages(["a" * count, "a-" * count, "a-\n" * count, "\n" * count, " \n" * count])
        return time.process_time() - start

    assert seconds(200_000) < 30 * max(seconds(20_000), 0.02)


# --- OCR ---


def ocr_script(folder: Path, body: str) -> str:
    script = folder / "ocr.py"
    script.write_text(f"import sys\nfile, page = sys.argv[1:]\n{body}\n")
    return f"{sys.executable} {script} {{file}} {{page}}"


def test_pages_of_images_by_a_command(tmp_path):
    """The command is asked for pages without text alone, and gives their text."""
    (tmp_path / "a b.pdf").write_bytes(drawn(TEXT, scan, "", scan))
    command = ocr_script(tmp_path, "print(f'Page {page} of {file[-7:]} says: 12 kilograms.')")
    corpus = read_documents(tmp_path / "a b.pdf", ocr=command)
    (document,) = corpus.documents
    second, fourth = (f"Page {page} of a b.pdf says: 12 kilograms." for page in (2, 4))
    assert document.text == f"{TEXT}\n\n{second}\n\n\n\n{fourth}"
    assert corpus.remarks == ()


def test_a_command_that_fails(tmp_path):
    """What the command says of a page is the cause; the pages with text stay."""
    (tmp_path / "a.pdf").write_bytes(drawn(TEXT, scan))
    command = ocr_script(tmp_path, "sys.exit('no such language: xyz')")
    assert [str(remark) for remark in read_documents(tmp_path / "a.pdf", ocr=command).remarks] == [
        "a.pdf: page 2: has no text layer; the OCR command failed (status 1): no such language: xyz"
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program {file} {page}", "no such OCR command: no-such-program"),
        ("", "no such OCR command: (empty)"),
        ("'", "the OCR command cannot be parsed (No closing quotation): '"),
        (
            "true {file}",
            "the OCR command has no {file} or no {page}: it is run once a page, and writes the text to "
            "stdout",
        ),
    ],
)
def test_wrong_commands(tmp_path, command, message):
    """A command that cannot work is refused before anything is read."""
    (tmp_path / "a.pdf").write_bytes(drawn(TEXT))
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path, ocr=command)
    assert str(caught.value) == message
