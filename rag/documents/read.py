r"""Files to documents: PDF, HTML, Markdown and text, with pages, character offsets and content hashes.

Every offset refers to the cleaned text: no control characters, line ends `\n`, and in a PDF sentences
that run over a line end as if the line had never been broken.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

from rag_evals.rag.documents.document import (
    PAGE_BREAK,
    Corpus,
    Document,
    Refusal,
    Unreadable,
    cleaned,
    printable,
)
from rag_evals.rag.documents.html import html_text
from rag_evals.rag.documents.pdf import pdf_pages
from rag_evals.rag.errors import DocumentError
from rag_evals.rag.identity import Memory, digest

# The kind of what a memory keeps of a file: the text of its pages.
PAGES = "pages"
# Counts up when the same file gives another text than before: what a memory keeps is then read anew.
VERSION = 1
SUFFIXES = (".pdf", ".md", ".markdown", ".txt", ".html", ".htm")


def read_documents(path: Path, memory: Memory | None = None) -> Corpus:
    """Read one file, or every document in a folder and its subfolders.

    In a folder, hidden files and folders and files with other suffixes are passed over. Linked folders are
    followed, each real folder being read once. Files that cannot be read are in the corpus with one line
    saying why. A `memory` keeps the text of files from one run to the next.

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


def _nothing_readable(path: Path, unreadable: Sequence[Unreadable]) -> str:
    offenders = [f"  {printable(offender.name)}: {offender.reason}" for offender in unreadable]
    return "\n".join([f"no readable document in {path}", *offenders, f"read are {', '.join(SUFFIXES)}"])


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
    """Return whether to walk into a folder, and note it: a link back to a visited folder would never end."""
    real = Path(os.path.realpath(folder))  # Path.resolve() raises on a link to itself
    if folder.name.startswith(".") or real in visited:
        return False
    visited.add(real)
    return True


def _read(name: str, file: Path, memory: Memory | None) -> Document | Unreadable:
    try:
        data = _bytes_of(file)
        pages = _remembered_pages(file.suffix.lower(), data, memory)
    except Refusal as refusal:
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
            raise Refusal("is not a regular file")  # reading a named pipe would wait for ever
        data = file.read_bytes()
    except OSError as error:
        raise Refusal(_os_reason(error)) from error
    if not data:
        raise Refusal("is empty")
    return data


def _os_reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _pages_of(suffix: str, data: bytes) -> list[str]:
    """Return the cleaned text of each page; a format without pages is one page."""
    if suffix == ".pdf":
        return pdf_pages(data)
    if suffix not in SUFFIXES:
        raise Refusal(f'has the suffix "{suffix}"' if suffix else "has no suffix")
    text = _decoded(data)
    text = cleaned(html_text(text) if suffix in (".html", ".htm") else text)
    if not text.strip():
        raise Refusal("has no text")
    return [text]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refusal(f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})") from error
