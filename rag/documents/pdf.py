"""Pages of a PDF as text, each read by itself: what cannot be read of one is said, and the others stay."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from rag_evals.rag.documents.bounds import PREFIX, Bounds, within
from rag_evals.rag.documents.document import CUT, Refusal, Remark, RemarkKind, error_line
from rag_evals.rag.documents.legibility import NO_TEXT, REMARKABLE, illegible_share
from rag_evals.rag.documents.line_breaks import SYMBOL_BULLET, flowing_pages
from rag_evals.rag.documents.right_to_left import Piece, in_reading_order, is_right_to_left

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

T = TypeVar("T")
# Gives the text of a page (from 1) that is an image.
PageOCR = Callable[[int], str]
_IMAGES = "has no text layer"
_BLANK = "blank"
# An operator of a content stream that fills or strokes a path.
_PAINTED = re.compile(rb"\s(?:S|s|f\*?|F|B\*?|b\*?|sh)\b")
# Of what pypdf says of a page: that some of its content is lost, which it reads over.
_LOSS = re.compile(r"decompress|decod|stream|truncat|corrupt", re.IGNORECASE)
# Characters of the fields and notes of a page.
_MOST_TYPED = 1_000_000


@dataclass(slots=True)
class _Page:
    """A page while it is read: its text, or why it has none."""

    text: str = ""
    kind: RemarkKind = "no text"
    loss: str = ""
    notes: list[tuple[RemarkKind, str]] = field(default_factory=list)


def pdf_pages(
    data: bytes, ocr: PageOCR | None = None, bounds: Bounds | None = None
) -> tuple[list[str], list[Remark]]:
    """Return the text of each page, and what was not read of which pages.

    Args:
        data: The file.
        ocr: Reads a page that has no text; None leaves it empty.
        bounds: What it may have and take.

    Raises:
        Refusal: It is no readable PDF, or has no text on any page.
    """
    bounds = bounds or Bounds()
    until = time.monotonic() + bounds.seconds
    # A file is gone through once, or twice where its table is damaged.
    opening = min(bounds.seconds, bounds.page_seconds + len(data) // 10**6)
    with _Warnings() as warnings:
        try:
            reader, count = within(opening, lambda: _opened(data))
        except TimeoutError as error:
            raise Refusal(f"takes more than {opening} s to open ({PREFIX}PAGE_SECONDS)") from error
        pages, cut = _pages(reader, count, warnings, bounds, until)
    for number, page in enumerate(pages, 1):
        if ocr and not page.text and page.loss != _BLANK:
            _read_image(page, number, ocr)
    texts = flowing_pages([page.text for page in pages])
    if not any(texts):
        reasons = [one.detail for one in cut] if cut and not pages else [_why_nothing(pages)]
        raise Refusal("; ".join(reasons))
    return texts, [*_remarks(pages), *cut]


def _pages(
    reader: PdfReader, count: int, warnings: _Warnings, bounds: Bounds, until: float
) -> tuple[list[_Page], list[Remark]]:
    """Read page by page while the bounds allow it; return the pages, and why there are no more."""
    pages: list[_Page] = []
    # By what it is in the file: a page that stands there a thousand times is read once.
    known: dict[Any, _Page] = {}
    characters = 0
    for number in range(min(count, bounds.pages)):
        reference = _reference(reader, number)
        try:
            if reference not in known:
                seconds = min(until - time.monotonic(), bounds.page_seconds)
                known[reference] = within(seconds, partial(_page, reader, number, warnings))
            page = known[reference]
        except TimeoutError:
            if time.monotonic() >= until:
                return pages, [_cut(f"takes more than {bounds.seconds} s", "SECONDS", number, count)]
            took = f"takes more than {bounds.page_seconds} s: it is not read ({PREFIX}PAGE_SECONDS)"
            page = _Page(kind=CUT, loss=took)
        characters += len(page.text)
        if characters > bounds.characters:
            more = f"has more than {bounds.characters:,} characters"
            return pages, [_cut(more, "CHARACTERS", number, count)]
        pages.append(page)
    if count > bounds.pages:
        more = f"has {count:,} pages"
        return pages, [_cut(more, "PAGES", bounds.pages, count)]
    return pages, []


def _cut(reason: str, bound: str, read: int, count: int) -> Remark:
    rest = f"page {count:,} is" if read + 1 == count else f"pages {read + 1:,}-{count:,} are"
    return Remark(CUT, f"{reason}: {rest} not read ({PREFIX}{bound})")


def _reference(reader: PdfReader, number: int) -> Any:
    """Return what a page is in the file, equal for equal pages; its number where it is nothing by itself."""
    try:
        reference = _tried(lambda: reader.pages[number].indirect_reference)
    except Refusal:
        return number
    return number if reference is None else (reference.idnum, reference.generation)


def _opened(data: bytes) -> tuple[PdfReader, int]:
    from io import BytesIO

    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError

    try:
        # The reader itself tries the empty password, which is enough for files that only forbid printing.
        reader = PdfReader(BytesIO(data))
        count = len(reader.pages)
    except FileNotDecryptedError as error:
        raise Refusal("is encrypted; remove the password first") from error
    except Exception as error:  # damaged input: see _tried
        raise Refusal(f"is not a readable PDF: {error_line(error)}") from error
    if _is_placeholder(reader):
        raise Refusal("is an XFA form, whose page is a placeholder; print it to a PDF and give that")
    return reader, count


def _tried(read: Callable[[], T]) -> T:
    """Return what `read` gives: of damaged input pypdf also raises ValueError, NotImplementedError and more.

    Raises:
        Refusal: It raises whatever error.
    """
    try:
        return read()
    except Exception as error:
        raise Refusal(error_line(error)) from error


def _is_placeholder(reader: PdfReader) -> bool:
    """Return whether the form is drawn by the reading program alone: a dynamic XFA form."""
    try:
        return _tried(lambda: bool(reader.root_object.get("/NeedsRendering", False)) and bool(reader.xfa))
    except Refusal:
        return False  # what is wrong with the form is said of its pages


def _page(reader: PdfReader, number: int, warnings: _Warnings) -> _Page:
    warnings.messages.clear()
    try:
        page = _tried(lambda: reader.pages[number])
        text = _tried(lambda: _as_read(page))
    except Refusal as refusal:
        return _Page(kind="damaged", loss=f"cannot be read: {refusal}")
    read = _Page()
    share = illegible_share(SYMBOL_BULLET.sub("", text))
    signs = f"{share:.1%} of its signs are no letters"
    if share > NO_TEXT:
        text, read.kind = "", "unreadable letters"
        read.loss = f"has no text: {signs} (its fonts do not tell which); run OCR first"
    elif share > REMARKABLE:
        read.notes.append(("unreadable letters", signs))
    losses = [message for message in warnings.messages if _LOSS.search(message)]
    if not text.strip() and not read.loss:
        read.kind, read.loss = _emptiness(page, losses)
    elif losses:
        read.notes.append(("damaged", f"read in part: {losses[0]}"))
    try:
        read.text = _tried(lambda: "\n\n".join(filter(None, (text.strip("\n"), *_filled_in(page, text)))))
    except Refusal as refusal:
        read.text = text
        read.notes.append(("not read", f"form fields and notes: {refusal}"))
    return read


def _emptiness(page: PageObject, losses: Sequence[str]) -> tuple[RemarkKind, str]:
    """Return why a page gives no text."""
    if losses:
        return "damaged", f"cannot be read: {losses[0]}"
    try:
        content = _tried(page.get_contents)
        drawn = _tried(content.get_data).strip() if content is not None else b""
        images = _tried(page.images.keys)
    except Refusal as refusal:
        return "damaged", f"cannot be read: {refusal}"
    if not drawn:
        return "no text", _BLANK
    if images:
        return "no text", f"{_IMAGES} (an image); run OCR first"
    return "no text", f"{_IMAGES} (a drawing); run OCR first" if _PAINTED.search(drawn) else _BLANK


def _filled_in(page: PageObject, text: str) -> Iterator[str]:
    """Yield what was typed into a page: the fields of a form, and notes that stand on the page itself.

    Raises:
        Refusal: It is more than people type: thousands of notes may share one text.
    """
    size = 0
    for one in page.get("/Annots") or ():
        annotation = one.get_object()
        if annotation.get("/Subtype") == "/FreeText":
            content = str(annotation.get("/Contents") or "")
        elif annotation.get("/Subtype") == "/Widget":
            content = _field(annotation)
        else:
            continue
        if content.strip() and content not in text:
            size += len(content)
            if size > _MOST_TYPED:
                raise Refusal(f"they come to more than {_MOST_TYPED:,} characters")
            yield content


def _field(widget: Any) -> str:
    """Return a filled field with its label; "" for an empty one."""
    holder, names, value, kind = widget, [], None, None
    for _ in range(8):  # a field may have its name and value from what it belongs to
        value = value if value is not None else holder.get("/V")
        kind = kind or holder.get("/FT")
        if label := holder.get("/TU") or holder.get("/T"):
            names.append(str(label))
        if "/Parent" not in holder or "/TU" in holder:
            break
        holder = holder["/Parent"].get_object()
    if kind == "/Btn":
        state = str(widget.get("/AS") or "")
        value = None if state in ("", "/Off") else state.removeprefix("/")
    elif kind == "/Sig":
        value = None
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    name = ".".join(reversed(names))
    return f"{name}: {value}" if value is not None and str(value).strip() else ""


def _as_read(page: PageObject) -> str:
    """Return the text of a page; where the place of its pieces matters, it is looked at."""
    text = page.extract_text()
    lines = text.split("\n")
    is_twice = any(line.strip() and line == following for line, following in pairwise(lines))
    if not is_twice and not is_right_to_left(text):
        return text
    pieces: list[Piece] = []

    def note(piece: str, _cm: object, matrix: Sequence[float], *_: object) -> None:
        if piece:
            pieces.append((piece, matrix[4], matrix[5]))

    page.extract_text(visitor_text=note)
    if is_right_to_left(text):
        lines = in_reading_order(pieces).split("\n")
    return "\n".join(_without_fake_bold(lines, pieces))


def _without_fake_bold(lines: Sequence[str], pieces: Sequence[Piece]) -> Iterator[str]:
    """Leave out lines drawn a second time a hair beside the first, which looks bold."""
    places = [(text.strip(), x, y) for text, x, y in pieces if text.strip()]
    close = {
        one[0]
        for one, two in pairwise(places)
        if one[0] == two[0] and abs(one[1] - two[1]) < 2 and abs(one[2] - two[2]) < 2  # points
    }
    for before, line in pairwise(["", *lines]):
        if line != before or line.strip() not in close:
            yield line


def _read_image(page: _Page, number: int, ocr: PageOCR) -> None:
    try:
        page.text = ocr(number)
    except Refusal as refusal:
        page.loss = str(refusal)


def _why_nothing(pages: Sequence[_Page]) -> str:
    count = f"{len(pages)} page{'s' * (len(pages) != 1)}"
    causes = dict.fromkeys(page.loss for page in pages)
    if causes and all(cause == f"{_IMAGES} (an image); run OCR first" for cause in causes):
        return f"{_IMAGES} ({count} of images); run OCR first"
    if not causes or set(causes) == {_BLANK}:
        return f"has no text ({count}, nothing on {'them' if len(pages) > 1 else 'it'})"
    remarks = list(_remarks(pages))
    return "; ".join(remark.detail if len(pages) == 1 else str(remark) for remark in remarks)


def _remarks(pages: Sequence[_Page]) -> Iterator[Remark]:
    """Yield one remark a cause, with its pages."""
    numbers: dict[tuple[RemarkKind, str], list[int]] = {}
    for number, page in enumerate(pages, 1):
        found = list(page.notes)
        if page.loss and page.loss != _BLANK and not page.text:
            found.append((page.kind, page.loss))
        for cause in found:
            numbers.setdefault(cause, []).append(number)
    for (kind, detail), on in numbers.items():
        yield Remark(kind, detail, tuple(on))


class _Warnings(logging.Handler):
    """Keeps pypdf's remarks on odd files off the terminal, and has them here, while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._logger = logging.getLogger("pypdf")

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(" ".join(record.getMessage().split())[:120])

    def __enter__(self) -> _Warnings:
        self._was = self._logger.propagate, self._logger.level
        self._logger.propagate = False
        self._logger.setLevel(logging.WARNING)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate, level = self._was
        self._logger.setLevel(level)
