"""Documents that would take hours, or all memory: bounds, and what is said when they are reached."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from rag_evals.rag.documents import read
from rag_evals.rag.documents.bounds import Bounds, document_bounds, within
from rag_evals.rag.documents.document import Corpus, Refusal, Remark
from rag_evals.rag.documents.office import docx_text, epub_text
from rag_evals.rag.documents.pdf import pdf_pages
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.errors import DocumentError

ONCE = b"BT /F 9 Tf (hello) Tj ET\n"
PAGE = (
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents %d 0 R"
    b"/Resources<</Font<</F 3 0 R>>/XObject<</X 4 0 R>>>>>>"
)


def flate(content: bytes, about: bytes = b"") -> bytes:
    packed = zlib.compress(content)
    return b"<<%b/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (about, len(packed), packed)


def pdf(kids: str, *contents: bytes, form: bytes = b"") -> bytes:
    """Make a PDF of pages, each with one content stream; `kids` lists them by number from 0."""
    first = 5
    numbers = b" ".join(b"%d 0 R" % (first + 2 * int(one)) for one in kids.split())
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (numbers, len(kids.split())),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        flate(form, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F 3 0 R>>>>"),
    ]
    for number, content in enumerate(contents):
        objects += [PAGE % (first + 2 * number + 1), flate(content)]
    made, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (size, table, size, len(made))
    )


# A page that draws a form of two thousand words five thousand times: nine hundred bytes, an hour.
ENDLESS = b"/X Do\n" * 5000
FORM = b"BT /F 9 Tf (a) Tj ET\n" * 2000


def archive(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return stream.getvalue()


# --- PDF ---


def test_a_page_that_never_ends_leaves_the_others():
    """A page has its time; the others are read."""
    bounds = Bounds(page_seconds=3)
    before = set(threading.enumerate())
    pages, remarks = pdf_pages(pdf("0 1 2", ONCE, ENDLESS, ONCE, form=FORM), bounds=bounds)
    assert pages == ["hello", "", "hello"]
    detail = "takes more than 3 s: it is not read (RAG_EVALS_DOCUMENT_PAGE_SECONDS)"
    assert remarks == [Remark("cut", detail, (2,))]
    assert set(threading.enumerate()) <= before


def test_a_document_that_never_ends_has_its_first_pages():
    """A document has its time as well: what was read by then stays."""
    data = pdf("0 1 2", ONCE, ENDLESS, ONCE, form=FORM)
    pages, remarks = pdf_pages(data, bounds=Bounds(seconds=3))
    assert pages == ["hello"]
    detail = "takes more than 3 s: pages 2-3 are not read (RAG_EVALS_DOCUMENT_SECONDS)"
    assert remarks == [Remark("cut", detail)]


def test_what_ends_a_page_is_lost_in_a_finalizer():
    """There Python passes over what is raised, with a word that nobody needs: it is sent again."""

    class Slow:
        def __del__(self):
            end = time.monotonic() + 0.7
            while time.monotonic() < end:
                pass

    def endless():
        Slow()
        while True:
            pass

    before = set(threading.enumerate())
    with pytest.raises(TimeoutError):
        within(0.2, endless)
    assert set(threading.enumerate()) <= before


def test_a_document_of_which_nothing_is_read_in_time():
    """Where not even the first page is read, the bound is the reason."""
    with pytest.raises(
        Refusal, match=r"^takes more than 3 s: pages 1-2 are not read \(RAG_EVALS_DOCUMENT_SECONDS\)$"
    ):
        pdf_pages(pdf("0 1", ENDLESS, ONCE, form=FORM), bounds=Bounds(seconds=3))


def test_a_page_that_stands_there_many_times_is_read_once(monkeypatch):
    """A page is what it is in the file: two thousand times one page are one reading."""
    extracted = []
    from pypdf import PageObject

    extract = PageObject.extract_text
    monkeypatch.setattr(PageObject, "extract_text", lambda page: extracted.append(1) or extract(page))
    pages, remarks = pdf_pages(pdf("0 1 " + "0 " * 1998, ONCE, ONCE))
    assert (pages, remarks) == (["hello"] * 2000, [])
    assert len(extracted) == 2


def test_a_document_of_too_many_pages():
    """The first pages are read, and the rest is named."""
    pages, remarks = pdf_pages(pdf("0 1 0 1 0", ONCE, ONCE), bounds=Bounds(pages=3))
    assert pages == ["hello"] * 3
    assert remarks == [Remark("cut", "has 5 pages: pages 4-5 are not read (RAG_EVALS_DOCUMENT_PAGES)")]


def test_a_document_of_too_many_characters():
    """So it is with characters: pages that fit stay."""
    pages, remarks = pdf_pages(pdf("0 1 0", ONCE, ONCE), bounds=Bounds(characters=12))
    assert pages == ["hello"] * 2
    detail = "has more than 12 characters: page 3 is not read (RAG_EVALS_DOCUMENT_CHARACTERS)"
    assert remarks == [Remark("cut", detail)]


@pytest.mark.parametrize(
    "content",
    [b"\0" * 10**8, zlib.compress(b"\0" * 10**8), b"[" * 10**5, b"<<" * 10**5, b"BT (" + b"(" * 10**5],
    ids=["zeros", "twice", "arrays", "dictionaries", "texts"],
)
def test_a_content_that_expands_or_nests(content):
    """The reader's own bounds hold: a page of it is damaged, and the others are read."""
    pages, remarks = pdf_pages(pdf("0 1", ONCE, content))
    assert pages == ["hello", ""]
    assert {remark.pages for remark in remarks} <= {(2,)}


def test_notes_that_share_one_text():
    """A megabyte may have ninety thousand notes that come to gigabytes: the text is read without."""
    note = b"/Annots[%b]" % (b"<</Type/Annot/Subtype/FreeText/Contents 7 0 R>> " * 2000)
    page = PAGE % 6
    data = pdf("0", ONCE).replace(page, page[:-2] + note + b">>")
    shared = b"7 0 obj\n(" + b"note" * 2500 + b")\nendobj\n"
    pages, remarks = pdf_pages(data.replace(b"xref\n", shared + b"xref\n", 1))
    assert pages == ["hello"]
    detail = "form fields and notes: they come to more than 1,000,000 characters"
    assert remarks == [Remark("not read", detail, (1,))]


def test_a_file_that_is_never_open(monkeypatch):
    """A file has its time to be opened, by its size."""
    monkeypatch.setattr("rag_evals.rag.documents.pdf._opened", lambda data: endless())
    with pytest.raises(Refusal, match=r"^takes more than 1 s to open \(RAG_EVALS_DOCUMENT_PAGE_SECONDS\)$"):
        pdf_pages(pdf("0", ONCE), bounds=Bounds(page_seconds=1))


def endless() -> None:
    while True:
        pass


# --- archives and markup ---


def test_parts_that_expand():
    """A part that is mostly zeros is no text of people."""
    data = archive(**{"word/document.xml": bytes(20 * 10**6)})
    for reader in (docx_text, epub_text):
        with pytest.raises(Refusal, match=r"^has a part that unpacks to 1,0\d\d times its size$"):
            reader(data)


def test_text_that_comes_to_too_much():
    """Libraries hold a text many times over while they read it."""
    part = os.urandom(10**6).hex().encode() * 13
    data = archive(**{"a.xml": part[: 25 * 10**6], "b.bin": b"x"})
    with pytest.raises(Refusal, match=r"^comes to 25 MB of text unpacked, more than 24 MB$"):
        docx_text(data)


def test_too_many_parts():
    """Nor has a document twenty thousand parts."""
    with pytest.raises(Refusal, match=r"^has 20,001 parts, more than 20,000$"):
        docx_text(archive(**{f"{number}.xml": b"" for number in range(20_001)}))


def test_a_chapter_that_stands_there_many_times_is_read_once():
    """The spine of a book may name a chapter again and again."""
    container = (
        b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        b'<rootfile full-path="a.opf"/></rootfiles></container>'
    )
    package = (
        b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml"/></manifest>'
    )
    package += b"<spine>" + b'<itemref idref="a"/>' * 5000 + b"</spine></package>"
    chapter = b"<html xmlns='http://www.w3.org/1999/xhtml'><body><p>Once.</p></body></html>"
    parts = {"META-INF/container.xml": container, "a.opf": package, "a.xhtml": chapter}
    assert epub_text(archive(**parts)) == ("Once.", [])


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
LAUGHS = f'<!DOCTYPE html [<!ENTITY a0 "ha">{ENTITIES}]>'


def test_entities_that_expand(tmp_path):
    """Entities of a file's own are not written out."""
    (tmp_path / "a.xhtml").write_text(f"{LAUGHS}<html><body><p>One.</p><p>&a11;</p></body></html>")
    (document,) = read_documents(tmp_path).documents
    assert "One." in document.text
    assert len(document.text) < 100
    data = archive(
        **{
            "[Content_Types].xml": LAUGHS.replace("html", "Types").encode() + b"<Types>&a11;</Types>",
            "word/document.xml": LAUGHS.encode() + b"<html>&a11;</html>",
        }
    )
    with pytest.raises(Refusal, match=r"^is not a readable DOCX file: "):
        docx_text(data)


# --- whatever is read ---


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_text_of_too_many_characters(name, tmp_path, monkeypatch):
    """The first characters are read, the rest is counted, and the reading is not kept for the next time."""
    monkeypatch.setenv("RAG_EVALS_DOCUMENT_CHARACTERS", "8")
    (tmp_path / name).write_text("One two three.")
    memory = Memory()
    corpus = read_documents(tmp_path, memory)
    assert [document.text for document in corpus.documents] == ["One two" if name == "a.html" else "One two "]
    detail = "has 14 characters: those behind 8 are not read (RAG_EVALS_DOCUMENT_CHARACTERS)"
    assert corpus.remarks == (Remark("cut", detail, document=name),)
    assert memory == {}
    monkeypatch.delenv("RAG_EVALS_DOCUMENT_CHARACTERS")
    assert read_documents(tmp_path, memory).documents[0].text == "One two three."
    assert len(memory) == 1


class Memory(dict):
    """Keeps what is read in a dict."""

    def recall(self, kind, keys):
        return {key: self[key] for key in keys if key in self}

    def keep(self, kind, items):
        self.update(items)


def test_a_reader_that_never_ends_is_ended(tmp_path, monkeypatch):
    """Whatever a library does with a file, the next one is read."""
    (tmp_path / "a.txt").write_text("never")
    (tmp_path / "b.txt").write_text("Two.")
    monkeypatch.setenv("RAG_EVALS_DOCUMENT_SECONDS", "1")
    decoded = read.decoded

    def endless(data, **told):
        while data == b"never":
            pass
        return decoded(data, **told)

    monkeypatch.setattr(read, "decoded", endless)
    corpus = read_documents(tmp_path)
    assert [document.text for document in corpus.documents] == ["Two."]
    assert [(one.name, one.reason) for one in corpus.unreadable] == [
        ("a.txt", "takes more than 1 s to read (RAG_EVALS_DOCUMENT_SECONDS)")
    ]


def test_a_file_larger_than_memory(tmp_path):
    """A file with holes may say that it has terabytes: it is not read."""
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path)
    assert "  a.txt: has more than 512 MB (RAG_EVALS_DOCUMENT_MEGABYTES)" in str(caught.value).splitlines()


def test_what_is_no_plain_file(tmp_path):
    """Pipes, sockets and devices are named, and never waited for."""
    (tmp_path / "a.txt").write_text("One.")
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "c.txt").symlink_to("/dev/zero")
    (tmp_path / "d.txt").symlink_to("/dev/stdin")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "e.txt"))
        corpus = read_documents(tmp_path, follow_links=True)
    assert [document.text for document in corpus.documents] == ["One."]
    assert {one.name for one in corpus.unreadable} >= {"b.txt", "c.txt", "e.txt"}
    assert {one.reason for one in corpus.unreadable} == {"is not a regular file"}


def nested(folder: Path, depth: int) -> None:
    """Make folders in each other, from within: their path may be longer than a system takes."""
    (folder / "a.txt").write_text("One.")
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        Path("b.txt").write_text("Two.")
    finally:
        os.chdir(here)


@pytest.mark.parametrize("depth", [101, 1200])
def test_folders_in_folders(depth, tmp_path):
    """What lies deeper than people put it is named, and the rest is read."""
    nested(tmp_path, depth)
    corpus = read_documents(tmp_path)
    assert [document.text for document in corpus.documents] == ["One."]
    assert [(one.name.count("/"), one.reason) for one in corpus.unreadable] == [
        (100, "cannot be read: lies more than 100 folders deep")
    ]
    # pytest's own way to clean up takes no folder of this depth.
    os.system(f"rm -rf '{tmp_path}/d'")


def test_folders_as_deep_as_that_are_read(tmp_path):
    """A hundred are."""
    nested(tmp_path, 100)
    assert [document.text for document in read_documents(tmp_path).documents] == ["One.", "Two."]


def test_a_folder_of_too_many_files(tmp_path, monkeypatch):
    """A folder that is everything but documents is refused: `/`, or a home."""
    monkeypatch.setattr(read, "MOST_FILES", 10)
    for number in range(11):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path)
    assert str(caught.value) == f"{tmp_path} has more than 10 files: give a folder of documents alone"


# --- the bounds themselves ---


def test_bounds_follow_the_environment():
    """Each bound has a variable; one that is empty counts for nothing."""
    assert document_bounds({}) == Bounds()
    changed = {
        "RAG_EVALS_DOCUMENT_PAGES": "5",
        "RAG_EVALS_DOCUMENT_SECONDS": " 7 ",
        "RAG_EVALS_DOCUMENT_CHARACTERS": "",
    }
    assert document_bounds(changed) == Bounds(pages=5, seconds=7)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1" * 20, "٣"])
def test_a_bound_that_is_none(text, tmp_path, monkeypatch):
    """A wrong one is quoted, and nothing is read."""
    (tmp_path / "a.txt").write_text("One.")
    monkeypatch.setenv("RAG_EVALS_DOCUMENT_PAGES", text)
    with pytest.raises(DocumentError) as caught:
        read_documents(tmp_path)
    assert str(caught.value) == f"RAG_EVALS_DOCUMENT_PAGES must be a whole number from 1, not {text!r}"


def test_within_gives_what_was_read_or_raised():
    """A reader in time is as if it had been called."""
    assert within(60, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_within_ends_what_takes_longer():
    """A reader that takes longer is gone afterwards, whatever errors it keeps for itself."""
    begun = threading.active_count()

    def stubborn() -> None:
        while True:
            with suppress(Exception):  # as libraries do
                time.sleep(0.001)

    with pytest.raises(TimeoutError):
        within(0.2, stubborn)
    assert threading.active_count() == begun


def test_a_corpus_says_what_was_cut():
    """A remark of this kind is a line as all others."""
    remark = Remark("cut", "has 5 pages: pages 4-5 are not read", document="a.pdf")
    assert Corpus((), (), (remark,)).remarked == ["a.pdf: has 5 pages: pages 4-5 are not read"]
