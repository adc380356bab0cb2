r"""Files to documents: PDF, HTML, Markdown and text, with pages, character offsets and content hashes.

Every offset refers to the cleaned text: no control characters, line ends `\n`, and in a PDF sentences
that run over a line end as if the line had never been broken.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path

from rag.errors import DocumentError
from rag.identity import digest
from rag.memory import Memory

PAGE_BREAK = "\n\n"
# The kind of what a memory keeps of a file: the text of its pages.
PAGES = "pages"
# Counts up when the same file gives another text than before: what a memory keeps is then read anew.
VERSION = 1
SUFFIXES = (".pdf", ".md", ".markdown", ".txt", ".html", ".htm")


@dataclass(frozen=True, slots=True)
class Document:
    """One file's text.

    Attributes:
        name: Path relative to the folder that was read, with forward slashes; for a single file its name.
        text: The whole cleaned text, pages joined by a blank line.
        page_starts: Offset in `text` at which each page begins; empty when the format has no pages.
        sha256: Hash of the file's bytes, in hexadecimal.
    """

    name: str
    text: str
    page_starts: tuple[int, ...]
    sha256: str

    def page_at(self, offset: int) -> int | None:
        """Return the page (from 1) that holds the character at `offset`, None in a format without pages."""
        return bisect_right(self.page_starts, offset) or None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that gave no text, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a file or folder held: the documents, and the files that gave none; both sorted by name."""

    documents: tuple[Document, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash over the documents' names and content hashes: the same files give the same value anywhere."""
        contents = sorted((document.name, document.sha256) for document in self.documents)
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def read_documents(path: Path, memory: Memory | None = None) -> Corpus:
    """Read one file, or every document in a folder and its subfolders.

    In a folder, hidden files and folders and files with other suffixes are passed over. Linked folders are
    followed, each real folder being read once.

    Args:
        path: A file or a folder.
        memory: Keeps the text of files from one run to the next; None reads each anew.

    Returns:
        The documents and the files that could not be read, each with one line saying why.

    Raises:
        DocumentError: When `path` does not exist or nothing in it can be read.
    """
    if not os.access(path, os.F_OK):
        raise DocumentError(f"no such file or folder: {path}")
    files, unreadable = _files_in(path) if path.is_dir() else ({path.name: path}, [])
    documents = []
    for name, file in files.items():
        outcome = _read(name, file, memory)
        if isinstance(outcome, Document):
            documents.append(outcome)
        else:
            unreadable.append(outcome)
    unreadable.sort(key=lambda offender: offender.name)
    if not documents:
        raise DocumentError(_nothing_readable(path, unreadable))
    return Corpus(tuple(documents), tuple(unreadable))


class _Refusal(Exception):
    """Says why one file gives no text; never leaves this module."""


def _nothing_readable(path: Path, unreadable: Sequence[Unreadable]) -> str:
    offenders = [f"  {_printable(offender.name)}: {offender.reason}" for offender in unreadable]
    return "\n".join([f"no readable document in {path}", *offenders, f"read are {', '.join(SUFFIXES)}"])


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _files_in(folder: Path) -> tuple[dict[str, Path], list[Unreadable]]:
    """Return the files to read by name, sorted, and the folders that could not be listed."""
    failures: list[OSError] = []
    found: dict[str, Path] = {}
    visited = {folder.resolve()}
    for parent, folders, names in os.walk(folder, onerror=failures.append, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(parent, name), visited)]
        for file in (Path(parent, name) for name in names):
            if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
                found[file.relative_to(folder).as_posix()] = file
    unreadable = [
        Unreadable(Path(failure.filename).relative_to(folder).as_posix(), _os_reason(failure))
        for failure in failures
    ]
    return dict(sorted(found.items())), unreadable


def _is_new(folder: Path, visited: set[Path]) -> bool:
    """Tell whether to walk into a folder, and note it: a link back to a visited folder would never end."""
    real = Path(os.path.realpath(folder))  # Path.resolve() raises on a link to itself
    if folder.name.startswith(".") or real in visited:
        return False
    visited.add(real)
    return True


def _read(name: str, file: Path, memory: Memory | None) -> Document | Unreadable:
    try:
        data = _bytes_of(file)
        pages = _remembered_pages(file.suffix.lower(), data, memory)
    except _Refusal as refusal:
        return Unreadable(name, str(refusal))
    starts = accumulate((len(page) + len(PAGE_BREAK) for page in pages[:-1]), initial=0)
    has_pages = file.suffix.lower() == ".pdf"
    return Document(
        name=name,
        text=PAGE_BREAK.join(pages),
        page_starts=tuple(starts) if has_pages else (),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _remembered_pages(suffix: str, data: bytes, memory: Memory | None) -> list[str]:
    if memory is None:
        return _pages_of(suffix, data)
    key = digest([suffix, hashlib.sha256(data).hexdigest(), version("pypdf"), VERSION])
    known = memory.recall(PAGES, [key])
    if key in known:
        return [str(page) for page in json.loads(known[key])]
    pages = _pages_of(suffix, data)
    memory.keep(PAGES, {key: json.dumps(pages).encode()})
    return pages


def _bytes_of(file: Path) -> bytes:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _Refusal("is not a regular file")  # reading a named pipe would wait for ever
        data = file.read_bytes()
    except OSError as error:
        raise _Refusal(_os_reason(error)) from error
    if not data:
        raise _Refusal("is empty")
    return data


def _os_reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _pages_of(suffix: str, data: bytes) -> list[str]:
    """Return the cleaned text of each page; a format without pages is one page."""
    if suffix == ".pdf":
        return _pdf_pages(data)
    if suffix not in SUFFIXES:
        raise _Refusal(f'has the suffix "{suffix}"' if suffix else "has no suffix")
    text = _decoded(data)
    text = _cleaned(_html_text(text) if suffix in (".html", ".htm") else text)
    if not text.strip():
        raise _Refusal("has no text")
    return [text]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _Refusal(f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})") from error


_LINE_END = re.compile(r"\r\n?|\f|\v|\x85|\u2028|\u2029")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # lone surrogates cannot be encoded


def _cleaned(text: str) -> str:
    return _CONTROL.sub("", _LINE_END.sub("\n", text))


# --- PDF ---


def _pdf_pages(data: bytes) -> list[str]:
    pages = _mended(_raw_pdf_pages(data))
    if not any(pages):
        count = f"{len(pages)} page{'s' * (len(pages) != 1)}"
        raise _Refusal(f"has no text layer ({count} of images); run OCR first")
    return pages


def _raw_pdf_pages(data: bytes) -> list[str]:
    from io import BytesIO

    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        with _quiet_pypdf():
            # The reader itself tries the empty password, which is enough for files that only forbid printing.
            return [page.extract_text() for page in PdfReader(BytesIO(data)).pages]
    except FileNotDecryptedError as error:
        raise _Refusal("is encrypted; remove the password first") from error
    except DependencyError as error:
        raise _Refusal(f"is encrypted; remove the password first ({_one_line(error)})") from error
    except Exception as error:  # damaged input: pypdf also raises ValueError, NotImplementedError and more
        raise _Refusal(f"is not a readable PDF: {_one_line(error)}") from error


@contextlib.contextmanager
def _quiet_pypdf() -> Iterator[None]:
    """Keep pypdf's remarks on odd but readable files off the terminal."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _one_line(error: Exception, limit: int = 120) -> str:
    """Return an error's text on one printable line: it may quote bytes of a hostile file."""
    return " ".join(_printable(str(error)).split())[:limit] or type(error).__name__


_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_BLANKS = re.compile(r"[^\S\n]+")
_BROKEN_WORD = re.compile(r"(\w+(?:-\w+)*)-\n(\w+(?:-\w+)*)")
_WORD = re.compile(r"\w+(?:-\w+)*")


def _mended(pages: Sequence[str]) -> list[str]:
    """Clean each page of a PDF and undo its line breaks, the whole document telling which words exist."""
    texts = [_tidy(page) for page in pages]
    words = _words_of(texts)
    return [_flowing(_BROKEN_WORD.sub(lambda broken: _rejoined(broken, words), text)) for text in texts]


def _tidy(page: str) -> str:
    text = _BLANKS.sub(" ", _cleaned(page)).translate(_LIGATURES)
    text = text.replace("\xad\n", "").replace("\xad", "")
    return re.sub(r" ?\n ?", "\n", text).strip()


def _words_of(texts: Sequence[str]) -> frozenset[str]:
    """Return the lower-cased words that stand unbroken somewhere in the document."""
    return frozenset(word for text in texts for word in _WORD.findall(_BROKEN_WORD.sub(" ", text).casefold()))


def _rejoined(broken: re.Match[str], words: frozenset[str]) -> str:
    """Join a word that was broken after a hyphen, with the hyphen if it seems to be the word's own.

    It is kept before a capital or a digit ("GPT-|3.5"), when the document writes the hyphenated word
    elsewhere ("fine-|tuned"), and in a compound whose last part is no known word ("state-of-the-|art"). On
    two papers (65 breaks) the mistakes left were joins like "singlecorpus".
    """
    left, right = broken.groups()
    hyphenated, whole = f"{left}-{right}".casefold(), f"{left}{right}".casefold()
    last_part = left.rpartition("-")[2] + right.partition("-")[0]
    is_own = (
        not right[0].islower()
        or (hyphenated in words and whole not in words)
        or ("-" in left and last_part.casefold() not in words)
    )
    return f"{left}-{right}" if is_own else f"{left}{right}"


def _flowing(text: str) -> str:
    """Turn the line breaks inside sentences into spaces, and those that end a paragraph into blank lines."""
    width = _usual_width(text.split("\n"))
    return "\n\n".join(_paragraph(lines.split("\n"), width) for lines in re.split(r"\n{2,}", text))


def _usual_width(lines: Sequence[str]) -> int:
    """Return the length which half of the text stands in lines of, or longer: short lines weigh little."""
    rest = sum(map(len, lines)) / 2
    for length in sorted(map(len, lines), reverse=True):
        rest -= length
        if rest <= 0:
            return length
    return 0


def _paragraph(lines: Sequence[str], width: int) -> str:
    joints = [_joint(line, following, width) for line, following in pairwise(lines)]
    return "".join(line + joint for line, joint in zip(lines, [*joints, ""], strict=True))


_SENTENCE_END = re.compile(r"[.!?:][\"'\u201d\u2019)\]]*$")
_BULLET = re.compile(r"[•‣▪◦\u2013*-] ")
_HEADING = re.compile(r"\d+(\.\d+)*\.? [A-Z][^.]*$")
_CAPTION = re.compile(r"(Figure|Table) \d+: ")


def _joint(line: str, following: str, width: int) -> str:
    """Choose what replaces the break between two lines; a PDF tells only how long they are."""
    is_short = len(line) < 0.7 * width
    if is_short and (_SENTENCE_END.search(line) or _HEADING.match(line)):
        return "\n\n"
    if _CAPTION.match(following) or (len(following) < 0.7 * width and _HEADING.match(following)):
        return "\n\n"
    if _BULLET.match(following) or _is_row_of_numbers(line) or _is_row_of_numbers(following):
        return "\n"
    is_cell = len(line) < 0.5 * width and not line.endswith(",") and not following[0].islower()
    return "\n" if is_cell else " "


def _is_row_of_numbers(line: str) -> bool:
    words = line.split()
    return sum(any(map(str.isdigit, word)) for word in words) > len(words) / 2


# --- HTML ---

_SKIPPED = frozenset({"script", "style", "noscript", "template"})
_BLOCKS = re.compile(
    r"address|article|aside|blockquote|body|caption|center|d[dlt]|details|dialog|div|"
    r"fieldset|figcaption|figure|footer|form|h[1-6r]|head|header|html|legend|li|main|nav|"
    r"[ou]l|p|pre|section|summary|table|tbody|tfoot|thead|title|tr"
)
_CELLS = frozenset({"td", "th"})


class _VisibleText(HTMLParser):
    """Collects the paragraphs that a reader of the page sees, and its title.

    A head needs no rule of its own: all that it may hold beside the title is skipped or has no text. Style
    sheets are not consulted: text that they hide counts as seen.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self._pieces: list[str] = []
        self._skipping: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag in _SKIPPED:
            self._skipping.append(tag)
        elif _BLOCKS.fullmatch(tag):
            self.end_paragraph()
            self._preformatted += tag == "pre"
        elif tag == "br":
            self._pieces.append("\n")
        elif tag in _CELLS:
            self._pieces.append(" ")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        if (
            tag not in _SKIPPED
        ):  # a browser would take all that follows "<script/>" for script: too much to lose
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        elif _BLOCKS.fullmatch(tag):
            self.end_paragraph()
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._pieces.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def end_paragraph(self) -> None:
        """Close the paragraph under way; one of nothing but blanks is dropped."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if not self._preformatted:
            text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
        if text.strip():
            self.paragraphs.append(text.strip("\n") if self._preformatted else text.strip())


def _html_text(markup: str) -> str:
    parser = _VisibleText()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # html.parser has no error class of its own
        raise _Refusal(f"is not readable HTML: {_one_line(error)}") from error
    parser.end_paragraph()
    return "\n\n".join(parser.paragraphs)
