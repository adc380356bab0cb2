"""Documents: what is read out of files, and the words in which a file is refused."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from rag_evals.rag.documents.document import Corpus, Document, Remark, Unreadable
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.errors import DocumentError
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

FORMATS = "read are .pdf, .md, .markdown, .txt, .html, .htm, .xhtml, .docx, .pptx, .epub"


def pdf(*pages: str) -> bytes:
    """Make a PDF whose pages have the given lines."""
    stream = io.BytesIO()
    canvas = Canvas(stream, invariant=True)
    for page in pages:
        text = canvas.beginText(72, 720)
        text.textLines(page, trim=False)
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def encrypted(data: bytes, user_password: str) -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(data)))
    writer.encrypt(user_password, "owner", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def scanned(pages: int) -> bytes:
    """Make a PDF with an image, and nothing else, on each page."""
    from PIL import Image

    stream = io.BytesIO()
    canvas = Canvas(stream, invariant=True)
    for _ in range(pages):
        canvas.drawImage(ImageReader(Image.new("L", (8, 8), 128)), 72, 72, 400, 600)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def write(folder: Path, **files: bytes | str) -> Path:
    """Write files; two underscores in a name stand for the dot."""
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def text_of(folder: Path, name: str, content: bytes | str) -> str:
    (document,) = read_documents(write(folder, **{name: content}) / name.replace("__", ".")).documents
    return document.text


def reason(folder: Path, name: str, content: bytes | str) -> str:
    """Return why a file is refused, the rest of the message checked and left out."""
    path = write(folder, **{name: content}) / name.replace("__", ".")
    with pytest.raises(DocumentError) as caught:
        read_documents(path)
    headline, offender, formats = str(caught.value).split("\n")
    assert (headline, formats) == (f"no readable document in {path}", FORMATS)
    return offender.removeprefix(f"  {path.name}: ")


# --- folders ---


def test_a_folder_is_read_with_its_subfolders(tmp_path):
    """Documents come sorted by name; hidden files and folders and other formats are passed over."""
    for folder in ("a", ".git", "a/b.txt"):
        (tmp_path / folder).mkdir()
    write(tmp_path, z__md="# Z", __hidden__txt="h", notes__xlsx="d", B__TXT="b")
    write(tmp_path / "a", y__html="<p>y", x__pdf=pdf("x"))
    write(tmp_path / "a/b.txt", w__markdown="w")
    write(tmp_path / ".git", g__txt="g")
    corpus = read_documents(tmp_path)
    assert [document.name for document in corpus.documents] == [
        "B.TXT",
        "a/b.txt/w.markdown",
        "a/x.pdf",
        "a/y.html",
        "z.md",
    ]
    assert corpus.unreadable == ()
    assert [str(remark) for remark in corpus.remarks] == [
        "1 file of other formats passed over (.xlsx 1): notes.xlsx"
    ]


def test_a_single_file_goes_by_its_name(tmp_path):
    """A file given by itself, hidden or not, is named without its folder and hashed by its bytes."""
    write(tmp_path, __a__md=b"\xef\xbb\xbfHello\r\n\r\nworld\n")
    sha256 = hashlib.sha256(b"\xef\xbb\xbfHello\r\n\r\nworld\n").hexdigest()
    assert read_documents(tmp_path / ".a.md") == Corpus((Document(".a.md", "Hello\n\nworld\n", (), sha256),))


def test_unreadable_files_are_reported_beside_the_others(tmp_path):
    """One bad file does not keep the others from being read, and says why it gave nothing."""
    write(
        tmp_path,
        good__txt="text",
        empty__md="",
        latin__txt="café, größer als die Tür".encode("cp1252"),
        broken__pdf=b"%PDF-1.7\nhello",
    )
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    corpus = read_documents(tmp_path)
    assert [document.name for document in corpus.documents] == ["good.txt"]
    assert corpus.unreadable == (
        Unreadable("broken.pdf", "is not a readable PDF: Stream has ended unexpectedly"),
        Unreadable("dangling.txt", "cannot be read: No such file or directory"),
        Unreadable("empty.md", "is empty"),
        Unreadable(
            "latin.txt",
            "not UTF-8 text (byte 0xE9 at 3); it may be CP1252: convert it with `iconv -f CP1252 -t UTF-8`",
        ),
        Unreadable("loop.txt", "cannot be read: Too many levels of symbolic links"),
        Unreadable("pipe.txt", "is not a regular file"),
    )


def test_linked_folders_are_followed_once(tmp_path):
    """A link to a folder elsewhere is followed where that is asked for; a link back into the tree is not."""
    (tmp_path / "docs/sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "docs", a__txt="a")
    write(tmp_path / "elsewhere", b__txt="b")
    (tmp_path / "docs/sub/up").symlink_to(tmp_path / "docs")
    (tmp_path / "docs/self").symlink_to(tmp_path / "docs/self")
    (tmp_path / "docs/link").symlink_to(tmp_path / "elsewhere")
    corpus = read_documents(tmp_path / "docs", follow_links=True)
    assert [document.name for document in corpus.documents] == ["a.txt", "link/b.txt"]


@pytest.mark.parametrize("root", ["docs", "linked"])
def test_links_that_lead_out_are_not_followed(tmp_path, root):
    """What lies elsewhere on the machine is no document because a link says so; the root may be a link."""
    write(tmp_path, passwd="root:x:0:0")
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    write(docs, a__txt="a")
    write(docs / "sub", c__txt="c")
    write(tmp_path / "elsewhere", b__txt="b")
    (tmp_path / "linked").symlink_to(docs)
    (docs / "passwd.txt").symlink_to(tmp_path / "passwd")
    (docs / "more").symlink_to("../elsewhere")
    (docs / "sub/by-another.txt").symlink_to(docs / "passwd.txt")
    (docs / "gone.txt").symlink_to(tmp_path / "nothing.txt")
    (docs / "picture.png").symlink_to(tmp_path / "passwd")
    (docs / "inside").symlink_to("sub")
    corpus = read_documents(tmp_path / root)
    assert [document.name for document in corpus.documents] == ["a.txt", "inside/c.txt"]
    assert corpus.remarks == (
        Remark(
            "not read",
            "5 links lead out of the folder, not followed: more, gone.txt, passwd.txt, …;"
            " --evals-follow-links (--follow-links) reads what is there",
        ),
    )
    followed = read_documents(tmp_path / root, follow_links=True)
    names = [document.name for document in followed.documents]
    assert names == ["a.txt", "inside/by-another.txt", "inside/c.txt", "more/b.txt", "passwd.txt"]


def test_only_links_that_lead_out(tmp_path):
    """A folder with nothing else is refused with their names."""
    write(tmp_path, passwd="root:x:0:0")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/passwd.txt").symlink_to(tmp_path / "passwd")
    with pytest.raises(DocumentError) as raised:
        read_documents(tmp_path / "docs")
    assert str(raised.value).splitlines()[1:-1] == ["  passwd.txt: a link that leads out of the folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_reported(tmp_path):
    """Files and folders without permission are named, and the rest is read."""
    write(tmp_path, a__txt="a", b__txt="b")
    (tmp_path / "b.txt").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    corpus = read_documents(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert corpus.unreadable == (
        Unreadable("b.txt", "cannot be read: Permission denied"),
        Unreadable("closed", "cannot be read: Permission denied"),
    )


def test_a_path_that_does_not_exist(tmp_path):
    """A wrong path is told as such."""
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path / "gone")
    assert str(caught.value) == f"no such file or folder: {tmp_path}/gone"


def test_a_folder_with_nothing_readable(tmp_path):
    """If nothing can be read the error names every offender, in printable words, and the formats."""
    write(tmp_path, a__pdf=scanned(2), b__txt="", c__xlsx="word")
    (tmp_path / "d\x1b[31m.txt").touch()
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path)
    assert str(caught.value) == (
        f"no readable document in {tmp_path}\n"
        "  a.pdf: has no text layer (2 pages of images); run OCR first\n"
        "  b.txt: is empty\n"
        "  d [31m.txt: is empty\n"
        f"{FORMATS}"
    )


def test_a_file_of_another_format(tmp_path):
    """A file of a format that is not read is refused by its suffix."""
    assert reason(tmp_path, "a__xlsx", "word") == 'has the suffix ".xlsx"'
    assert reason(tmp_path, "README", "text") == "has no suffix"


def test_the_corpus_hash_is_that_of_names_and_contents(tmp_path):
    """The hash is the same wherever the folder stands, and changes with a name or a byte."""
    hashes = []
    for folder, files in {
        "one": {"a__txt": "a", "b__txt": "b"},
        "two": {"b__txt": "b", "a__txt": "a"},
        "renamed": {"a__txt": "a", "c__txt": "b"},
        "changed": {"a__txt": "a", "b__txt": "B"},
    }.items():
        (tmp_path / folder).mkdir()
        hashes.append(read_documents(write(tmp_path / folder, **files)).sha256)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


# --- PDF ---


def test_pages_are_found_by_offset(tmp_path):
    """Pages are joined by a blank line, each offset belongs to one, and an empty page keeps its number."""
    write(tmp_path, a__pdf=pdf("First page.", "", "Third page."))
    (document,) = read_documents(tmp_path).documents
    assert document.text == "First page.\n\n\n\nThird page."
    assert document.page_starts == (0, 13, 15)
    assert [document.page_at(offset) for offset in (0, 12, 13, 15, 25)] == [1, 1, 2, 3, 3]


def test_formats_without_pages_have_none(tmp_path):
    """A text has no pages to tell."""
    write(tmp_path, a__txt="text")
    (document,) = read_documents(tmp_path).documents
    assert (document.page_starts, document.page_at(0)) == ((), None)


def test_sentences_flow_over_line_ends(tmp_path):
    """Line ends inside a paragraph become blanks; headings, paragraphs, lists and tables keep theirs."""
    page = """\
1 Introduction
Mixtral is a sparse mixture of experts model with open weights. As it only uses
a subset of its parameters for every token, Mixtral allows
Faster inference speed at low batch sizes, and higher throughput.
It is pretrained with multilingual data using a context size of 32k tokens, and
matches the others.
Two things are worth knowing about the model before anything else is told of it
- Each token sees two experts, chosen by a router network that is trained with
the rest
- The experts differ at each step and at each layer of the network as a whole
Layers 32 Heads 32
Experts 8 Chosen 2
Table 1: Model architecture."""
    assert text_of(tmp_path, "a__pdf", pdf(page)) == (
        "1 Introduction\n\n"
        "Mixtral is a sparse mixture of experts model with open weights. As it only uses "
        "a subset of its parameters for every token, Mixtral allows "
        "Faster inference speed at low batch sizes, and higher throughput. "
        "It is pretrained with multilingual data using a context size of 32k tokens, and "
        "matches the others.\n\n"
        "Two things are worth knowing about the model before anything else is told of it\n"
        "- Each token sees two experts, chosen by a router network that is trained with "
        "the rest\n"
        "- The experts differ at each step and at each layer of the network as a whole "
        "Layers 32 Heads 32\n"
        "Experts 8 Chosen 2\n\n"
        "Table 1: Model architecture."
    )


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("the retrie-\nval of text", "the retrieval of text"),
        ("uses GPT-\n3.5 here", "uses GPT-3.5 here"),
        ("a Mixture-\nOf list", "a Mixture-Of list"),
        ("is fine-\ntuned, and fine-tuned it stays", "is fine-tuned, and fine-tuned it stays"),
        ("the state-of-the-\nart model", "the state-of-the-art model"),
        ("pre-train-\ning is training", "pre-training is training"),
        ("one - and\ntwo", "one - and two"),
        ("sin-\ngle-corpus", "single-corpus"),
    ],
)
def test_broken_words_are_mended(tmp_path, page, text):
    """A word broken at a line end is whole again, with its own hyphen where the document shows it has one."""
    assert text_of(tmp_path, "a__pdf", pdf(page)) == text


def test_real_compounds_may_be_joined(tmp_path):
    """The known imperfection: a hyphen of a word's own is lost when nothing in the document gives it away."""
    assert text_of(tmp_path, "a__pdf", pdf("rich cross-\nattention")) == "rich crossattention"


def test_an_empty_password_is_tried(tmp_path):
    """A PDF that only forbids printing, with no password to open it, is read."""
    assert text_of(tmp_path, "a__pdf", encrypted(pdf("Open to all."), "")) == "Open to all."


def test_an_encrypted_pdf_is_refused(tmp_path):
    """A PDF that needs a password says so and what to do."""
    assert reason(tmp_path, "a__pdf", encrypted(pdf("Secret."), "geheim")) == (
        "is encrypted; remove the password first"
    )


def test_an_image_only_pdf_is_refused(tmp_path):
    """A scan has no text: the reader is sent to OCR."""
    assert reason(tmp_path, "a__pdf", scanned(1)) == "has no text layer (1 page of images); run OCR first"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_pdf_is_refused(tmp_path, share):
    """A PDF that was cut off, say by a download, is refused as damaged wherever the cut is."""
    data = pdf("One.", "Two.")
    assert reason(tmp_path, "a__pdf", data[: int(len(data) * share)]) == (
        "is not a readable PDF: Stream has ended unexpectedly"
    )


def test_no_damage_is_a_crash(tmp_path):
    """Whatever bytes are wrong, a PDF is read or refused in one printable line."""
    chance = random.Random(1)
    data = pdf("One page.", "Another page.")
    for number in range(300):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 5, 30])):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / f"{number}.pdf").write_bytes(damaged)
    corpus = read_documents(tmp_path)
    assert len(corpus.documents) + len(corpus.unreadable) == 300
    assert all(offender.reason.isprintable() for offender in corpus.unreadable)


def test_remarks_of_the_pdf_reader_stay_off_the_log(tmp_path, caplog):
    """Files with odd but readable insides are read without noise, and the logger is left as it was."""
    write(tmp_path, a__pdf=pdf("Odd.").replace(b"startxref\n", b"startxref\n1"))
    level = logging.getLogger("pypdf").level
    assert read_documents(tmp_path).documents[0].text == "Odd."
    assert (caplog.messages, logging.getLogger("pypdf").level) == ([], level)


# --- text and HTML ---


def test_control_characters_are_dropped(tmp_path):
    """No NUL or terminal escape comes through in any format; line ends are all one kind."""
    assert text_of(tmp_path, "a__txt", "a\0b\x1b[31mc\x9b\tд\r\ne\rf\x0cg") == "ab[31mc\tд\ne\nf\ng"
    assert text_of(tmp_path, "a__html", "a\0b&#27;c<pre>d&#13;e&#12;f</pre>") == "abc\n\nd\ne\nf"


def test_text_of_blanks_is_refused(tmp_path):
    """A file of nothing but blanks or markup has no text."""
    assert reason(tmp_path, "a__txt", " \n\ufeff\t"[:2]) == "has no text"
    assert reason(tmp_path, "b__html", "<script>x()</script>") == "has no text"


def test_html_gives_what_a_reader_sees(tmp_path):
    """Title and visible text come through, blocks as paragraphs; scripts, styles and templates do not."""
    page = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>Moe &amp; more</title>
    <style>p { color: red }</style><script>var a = "<p>no</p>";</script></head>
    <body><!-- no --><h1>Sparse   <em>mix</em>tures</h1><p>Two
    experts&nbsp;of&#32;8.<p>Unclosed<br>line
    <noscript>no</noscript><template><div>no<p>no</div></template>
    <ul><li>one<li>two</ul><table><tr><th>a<td>b</tr><tr><td>c</td><td>d</td></tr></table>
    <pre>  if x:
      y
    </pre>tail<script src="x"/><p>&lt;end&gt;</body></html>"""
    assert text_of(tmp_path, "a__html", page) == "\n\n".join(
        [
            "Moe & more",
            "Sparse mixtures",
            "Two experts of 8.",
            "Unclosed\nline",
            "one",
            "two",
            "a b",
            "c d",
            "  if x:\n      y\n    ",
            "tail",
            "<end>",
        ]
    )
