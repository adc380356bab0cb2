"""Bytes to text: what a file declares, as browsers take it, and the remedy where it declares nothing."""

from __future__ import annotations

import pytest
from rag_evals.rag.documents.document import Refusal
from rag_evals.rag.documents.encodings import decoded
from rag_evals.rag.documents.read import read_documents

GERMAN = "Die Größe der Tür beträgt 90 cm, für Gäste und Schüler ist das genügend breit."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("\ufeffcafé".encode("utf-16-le"), "café"),
        ("\ufeffcafé".encode("utf-16-be"), "café"),
        ("\ufeffcafé".encode("utf-32-le"), "café"),
        ("cafÃ©".encode(), "cafÃ©"),
    ],
)
def test_texts(data, text):
    """A byte order mark tells the encoding, else it is UTF-8."""
    assert decoded(data) == (text, 0)


@pytest.mark.parametrize(
    ("declaration", "encoding", "text"),
    [
        ('<meta charset="iso-8859-1">', "cp1252", "Größe “90” cm"),
        ("<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", "cp932", "①定格は40バール"),
        ("<meta charset=gb2312>", "gb18030", "水泵镕"),
        ("<META CHARSET = 'euc-kr'>", "cp949", "펌프 똠"),
        ("<meta charset=iso-2022-jp>", "iso2022_jp", "定格は40バール"),
        ("<!-- <meta charset=koi8-r> --><meta charset=windows-1251>", "cp1251", "Насос"),
        ('<?xml version="1.0" encoding="windows-1251"?>', "cp1251", "Насос"),
        ("<meta charset=utf-16>", "utf-8", "café"),
        ("<meta charset=nonsense>", "utf-8", "café"),
        ("<meta charset=hex>", "utf-8", "café"),
        ("<meta charset=idna>", "utf-8", "café"),
    ],
)
def test_declared_by_markup(declaration, encoding, text):
    """A page is read in the encoding that it declares, under the names that browsers know."""
    assert decoded(f"{declaration}{text}".encode(encoding), is_markup=True) == (f"{declaration}{text}", 0)


def test_bytes_that_are_none_of_the_encoding(tmp_path):
    """They are counted, and said; the rest is read."""
    (tmp_path / "a.html").write_bytes("<meta charset=utf-8><p>Türen ".encode() + b"\xff\xfe und Tore")
    corpus = read_documents(tmp_path)
    assert corpus.documents[0].text == "Türen \ufffd\ufffd und Tore"
    assert [str(remark) for remark in corpus.remarks] == ["a.html: 2 characters are none in its encoding"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("cp1252", "byte 0xF6 at 6); it may be CP1252: convert it with `iconv -f CP1252 -t UTF-8`"),
        ("utf-16-le", "byte 0xF6 at 12); it may be UTF-16LE: convert it with `iconv -f UTF-16LE -t UTF-8`"),
        ("utf-16-be", "byte 0xF6 at 13); it may be UTF-16BE: convert it with `iconv -f UTF-16BE -t UTF-8`"),
    ],
)
def test_undeclared(encoding, message):
    """What is not UTF-8 and says nothing is refused with the likely encoding and the way to convert it."""
    with pytest.raises(Refusal) as caught:
        decoded(GERMAN.encode(encoding))
    assert str(caught.value).endswith(message)
    assert str(caught.value).startswith("not UTF-8 text (")


def test_wide_letters_that_are_utf_8_as_well():
    """Cyrillic in UTF-16 has no byte that UTF-8 forbids: its zero bytes tell."""
    with pytest.raises(
        Refusal, match=r"^not UTF-8 text \(10 zero bytes\); it may be UTF-16LE: convert it with"
    ):
        decoded("Насос работает при давлении 40 бар.\r\n".encode("utf-16-le"))


def test_no_text_at_all(tmp_path):
    """A file of other things than text is refused by what is in it."""
    (tmp_path / "a.txt").write_text("good")
    (tmp_path / "b.txt").write_bytes(bytes(range(1, 32)) * 20 + b"text" * 10)
    (bad,) = read_documents(tmp_path).unreadable
    assert bad.reason == "is not text: 92% of its signs are no letters"
