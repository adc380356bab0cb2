"""DOCX, PPTX and EPUB as text, by the libraries of the extra `documents`."""

from __future__ import annotations

import posixpath
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from rag_evals.rag.documents.bounds import PREFIX, Bounds
from rag_evals.rag.documents.document import PAGE_BREAK, Refusal, Remark, error_line
from rag_evals.rag.documents.encodings import decoded
from rag_evals.rag.documents.html import html_text

# Parts of an archive; bytes of those of text, which libraries hold in memory many times over; and how much
# larger a part may be than it is packed, beyond a size at which it does not matter.
_MOST_PARTS = 20_000
_MOST_TEXT = 24 * 10**6
_MOST_EXPANSION, _SMALL = 200, 4 * 10**6
_TEXT = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx", ".svg")
_NEEDED = "needs more libraries: pip install 'rag-evals[documents]'"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_PACKAGE = "{http://www.idpf.org/2007/opf}"


@contextmanager
def _refused(kind: str) -> Iterator[None]:
    """Turn a missing library, and whatever one raises of damaged input, into the reason.

    Raises:
        Refusal: Something was raised.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise Refusal(_NEEDED) from error
    except Exception as error:
        raise Refusal(f"is not a readable {kind} file: {error_line(error)}") from error


def docx_text(data: bytes, bounds: Bounds | None = None) -> tuple[str, list[Remark]]:
    """Return the text of a Word document with its tables, lists, notes and text boxes.

    Raises:
        Refusal: It cannot be read, or the library is missing.
    """
    _check_archive(data, bounds or Bounds())
    with _refused("DOCX"):
        import mammoth

        # Pictures by their description alone.
        page = mammoth.convert_to_html(
            BytesIO(data), convert_image=mammoth.images.img_element(lambda _: {"src": ""})
        )
    return html_text(page.value)


def pptx_pages(data: bytes, bounds: Bounds | None = None) -> tuple[list[str], list[Remark]]:
    """Return the text of each slide, with its tables and the speaker's notes; slides of pictures are named.

    Raises:
        Refusal: It cannot be read, or the library is missing.
    """
    _check_archive(data, bounds or Bounds())
    with _refused("PPTX"):
        from pptx import Presentation

        slides = [_slide(slide) for slide in Presentation(BytesIO(data)).slides]
    pictures = tuple(
        number for number, (text, has_picture) in enumerate(slides, 1) if has_picture and not text
    )
    remarks = [Remark("no text", "has no text (a picture)", pictures)] if pictures else []
    return [text for text, _ in slides], remarks


def _slide(slide: Any) -> tuple[str, bool]:
    parts, has_picture = [], False
    for shape in _shapes(slide.shapes):
        if shape.has_text_frame:
            parts.append(shape.text_frame.text)
        elif getattr(shape, "has_table", False):
            parts.append("\n".join(" ".join(cell.text for cell in row.cells) for row in shape.table.rows))
        has_picture = has_picture or hasattr(shape, "image")
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        parts.append(slide.notes_slide.notes_text_frame.text)
    return "\n\n".join(part.strip() for part in parts if part.strip()), has_picture


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _shapes(shape.shapes)
        else:
            yield shape


def epub_text(data: bytes, bounds: Bounds | None = None) -> tuple[str, list[Remark]]:
    """Return the chapters of a book in reading order.

    Raises:
        Refusal: It cannot be read, or is protected.
    """
    _check_archive(data, bounds or Bounds())
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = frozenset(archive.namelist())
        if "META-INF/rights.xml" in names or _is_protected(archive, names):
            raise Refusal("is protected (DRM); give a copy without protection")
        with _refused("EPUB"):
            chapters = list(dict.fromkeys(_chapters(archive)))
        texts, remarks = [], []
        for chapter in chapters:
            try:
                text, found = html_text(decoded(archive.read(chapter), is_markup=True)[0], is_xml=True)
            except (KeyError, Refusal, zipfile.BadZipFile) as error:
                text, found = "", [Remark("damaged", f"{posixpath.basename(chapter)}: {error_line(error)}")]
            texts.append(text)
            remarks += found
    return PAGE_BREAK.join(filter(None, texts)), remarks


def _is_protected(archive: zipfile.ZipFile, names: frozenset[str]) -> bool:
    """Return whether more than fonts is encrypted."""
    if "META-INF/encryption.xml" not in names:
        return False
    return b".xhtml" in (listing := archive.read("META-INF/encryption.xml")) or b".html" in listing


def _chapters(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield the files of the book's spine."""
    root = _xml(archive.read("META-INF/container.xml")).find(f".//{_CONTAINER}rootfile").get("full-path")
    package = _xml(archive.read(root))
    files = {item.get("id"): item.get("href") for item in package.iterfind(f".//{_PACKAGE}item")}
    for item in package.iterfind(f".//{_PACKAGE}itemref"):
        if (href := files.get(item.get("idref"))) and item.get("linear") != "no":
            yield posixpath.normpath(posixpath.join(posixpath.dirname(root), unquote(href)))


def _xml(data: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))


def _check_archive(data: bytes, bounds: Bounds) -> None:
    """Look at what an archive says of its parts: no more than that is read of them.

    Raises:
        Refusal: It is none, or comes to too much: a small archive can hold endless zeros.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        kind = (
            "is an older or encrypted Office file; save it anew without a password"
            if data.startswith(b"\xd0\xcf\x11\xe0")
            else f"is damaged: {error_line(error)}"
        )
        raise Refusal(kind) from error
    if len(parts) > _MOST_PARTS:
        raise Refusal(f"has {len(parts):,} parts, more than {_MOST_PARTS:,}")
    size = sum(part.file_size for part in parts) / 10**6
    if size > bounds.megabytes:
        raise Refusal(
            f"comes to {size:,.0f} MB unpacked, more than {bounds.megabytes:,} MB ({PREFIX}MEGABYTES)"
        )
    text = sum(part.file_size for part in parts if part.filename.lower().endswith(_TEXT))
    if text > _MOST_TEXT:
        raise Refusal(f"comes to {text / 10**6:,.0f} MB of text unpacked, more than {_MOST_TEXT // 10**6} MB")
    for part in parts:
        if part.file_size > max(_SMALL, _MOST_EXPANSION * part.compress_size):
            raise Refusal(
                f"has a part that unpacks to {part.file_size // max(1, part.compress_size):,} times its size"
            )
