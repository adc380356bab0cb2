r"""Files to documents, with pages, character offsets, content hashes, and remarks on what was not read.

Every offset refers to the cleaned text: no control characters, line ends `\n`, and in a PDF sentences
that run over a line end as if the line had never been broken.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path

from rag_evals.rag.documents.bounds import PREFIX, Bounds, document_bounds, within
from rag_evals.rag.documents.document import (
    CUT,
    PAGE_BREAK,
    Corpus,
    Document,
    Refusal,
    Remark,
    Unreadable,
    cleaned,
    printable,
)
from rag_evals.rag.documents.encodings import decoded
from rag_evals.rag.documents.html import html_text
from rag_evals.rag.documents.legibility import NO_TEXT, illegible_share
from rag_evals.rag.documents.ocr import check_command, page_reader
from rag_evals.rag.documents.office import docx_text, epub_text, pptx_pages
from rag_evals.rag.documents.pdf import PageOCR, pdf_pages
from rag_evals.rag.errors import DocumentError
from rag_evals.rag.identity import Memory, digest

# The kind of what a memory keeps of a file: the text of its pages, and the remarks.
PAGES = "pages"
# Counts up when the same file gives another text than before: what a memory keeps is then read anew.
VERSION = 2
_LIBRARIES = ("pypdf", "lxml", "mammoth", "python-pptx")
_WITH_PAGES = (".pdf", ".pptx")
_HTML = (".html", ".htm", ".xhtml")
SUFFIXES = (".pdf", ".md", ".markdown", ".txt", *_HTML, ".docx", ".pptx", ".epub")
# Files of a folder, and folders in each other, as documents do not have them.
MOST_FILES = 100_000
DEEPEST = 100
# A shorter text may well be of control characters for the most part.
_LONG_ENOUGH = 200


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a file holds: its pages, or one for the whole of it, and what was not read."""

    pages: Sequence[str]
    remarks: Sequence[Remark] = ()


def read_documents(
    path: Path,
    memory: Memory | None = None,
    *,
    ocr: str | None = None,
    follow_links: bool = False,
    progress: bool = True,
) -> Corpus:
    """Read one file, or every document in a folder and its subfolders.

    In a folder, hidden files and folders are passed over, and files with other suffixes, which a remark
    names. Links are followed where they stay in the folder, each real folder being read once; a remark names
    those that lead out of it. Files that cannot be read are in the corpus with one line saying why.

    Args:
        path: The file or folder.
        memory: Keeps the text of files from one run to the next; None reads each anew.
        ocr: A command that writes the text of page `{page}` of `{file}` to stdout; None leaves pages of
            images without text.
        follow_links: Whether links are followed that lead out of the folder.
        progress: Whether a bar is shown, on a terminal, while several files are read.

    Raises:
        DocumentError: When `path` does not exist or nothing in it can be read, there is no such command, or a
            bound in the environment is none.
    """
    if not os.access(path, os.F_OK):
        raise DocumentError(f"no such file or folder: {path}")
    if ocr is not None:
        check_command(ocr)
    bounds = document_bounds()
    outward: list[str] | None = None if follow_links else []
    files, passed_over, unreadable = (
        _files_in(path, outward) if path.is_dir() else ({path.name: path}, [], [])
    )
    documents, remarks = [], [*_passed_over(passed_over), *_not_followed(outward or ())]
    for name, file in _shown(files.items(), progress=progress and len(files) > 1):
        try:
            document, found = _read(name, file, memory, ocr, bounds)
        except Refusal as refusal:
            unreadable.append(Unreadable(name, str(refusal)))
        else:
            documents.append(document)
            remarks += found
    unreadable.sort(key=lambda offender: offender.name)
    if not documents:
        told = [Unreadable(name, "a link that leads out of the folder") for name in outward or ()]
        raise DocumentError(_nothing_readable(path, [*unreadable, *told]))
    return Corpus(tuple(documents), tuple(unreadable), (*remarks, *_copies(documents)))


def _shown(files: Iterable[tuple[str, Path]], *, progress: bool) -> Iterable[tuple[str, Path]]:
    """Go through the files with a progress bar where one is wanted."""
    if not progress:
        return files
    from tqdm import tqdm

    bar: Iterable[tuple[str, Path]] = tqdm(
        list(files), desc="reading documents", unit="file", disable=None, leave=False
    )
    return bar


def _nothing_readable(path: Path, unreadable: Sequence[Unreadable]) -> str:
    offenders = [f"  {printable(offender.name)}: {offender.reason}" for offender in unreadable]
    return "\n".join([f"no readable document in {path}", *offenders, f"read are {', '.join(SUFFIXES)}"])


def _passed_over(names: Sequence[str]) -> list[Remark]:
    """Name the files of other formats: all kinds, and the first few of them."""
    if not names:
        return []
    kinds = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    count = f"{len(names):,} file{'s' * (len(names) > 1)} of other formats passed over"
    listed = ", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common(6))
    first = ", ".join(map(printable, names[:3])) + ", …" * (len(names) > 3)
    return [Remark("passed over", f"{count} ({listed}): {first}")]


def _not_followed(names: Sequence[str]) -> list[Remark]:
    if not names:
        return []
    count = "1 link leads" if len(names) == 1 else f"{len(names):,} links lead"
    first = ", ".join(map(printable, names[:3])) + ", …" * (len(names) > 3)
    remedy = "--evals-follow-links (--follow-links) reads what is there"
    return [Remark("not read", f"{count} out of the folder, not followed: {first}; {remedy}")]


def _copies(documents: Sequence[Document]) -> list[Remark]:
    first: dict[str, str] = {}
    return [
        Remark("copy", f"the same text as {printable(known)}", document=document.name)
        for document in documents
        if (known := first.setdefault(digest(document.text), document.name)) != document.name
    ]


def _files_in(folder: Path, outward: list[str] | None) -> tuple[dict[str, Path], list[str], list[Unreadable]]:
    """Return the files to read by name, sorted, those of other formats, and folders that cannot be listed.

    Args:
        folder: Where they are.
        outward: Is given the links that lead out of the folder; None has them followed.
    """
    failures: list[OSError] = []
    found: dict[str, Path] = {}
    others: list[str] = []
    visited = {folder.resolve()}
    for parent, folders, names in os.walk(folder, onerror=failures.append, followlinks=True):
        if len(Path(parent).parts) - len(folder.parts) >= DEEPEST:
            failures += (
                OSError(0, f"lies more than {DEEPEST} folders deep", str(Path(parent, name)))
                for name in folders
            )
            folders.clear()
        folders[:] = [
            name
            for name in sorted(folders)
            if not _leads_out(Path(parent, name), folder, outward) and _is_new(Path(parent, name), visited)
        ]
        for file in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            name = file.relative_to(folder).as_posix()
            if _leads_out(file, folder, outward):
                continue
            if file.suffix.lower() in SUFFIXES:
                found[name] = file
            else:
                others.append(name)
        if len(found) + len(others) > MOST_FILES:
            raise DocumentError(
                f"{folder} has more than {MOST_FILES:,} files: give a folder of documents alone"
            )
    unreadable = [
        Unreadable(Path(failure.filename).relative_to(folder).as_posix(), _os_reason(failure))
        for failure in failures
    ]
    return dict(sorted(found.items())), sorted(others), unreadable


def _leads_out(path: Path, folder: Path, outward: list[str] | None) -> bool:
    """Return whether a path is a link out of the folder that is not to be followed, and note it."""
    if outward is None or path.name.startswith(".") or not path.is_symlink():
        return False
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return False
    outward.append(path.relative_to(folder).as_posix())
    return True


def _is_new(folder: Path, visited: set[Path]) -> bool:
    """Return whether to walk into a folder, and note it: a link back to a visited folder would never end."""
    real = Path(os.path.realpath(folder))  # Path.resolve() raises on a link to itself
    if folder.name.startswith(".") or real in visited:
        return False
    visited.add(real)
    return True


def _read(
    name: str, file: Path, memory: Memory | None, ocr: str | None, bounds: Bounds
) -> tuple[Document, list[Remark]]:
    suffix = file.suffix.lower()
    data = _bytes_of(file, bounds)
    reading = _remembered(suffix, data, file, memory, ocr, bounds)
    starts = accumulate((len(page) + len(PAGE_BREAK) for page in reading.pages[:-1]), initial=0)
    document = Document(
        name=name,
        text=PAGE_BREAK.join(reading.pages),
        page_starts=tuple(starts) if suffix in _WITH_PAGES else (),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return document, [replace(remark, document=name) for remark in reading.remarks]


def _remembered(
    suffix: str, data: bytes, file: Path, memory: Memory | None, ocr: str | None, bounds: Bounds
) -> _Reading:
    reader = page_reader(ocr, file) if ocr else None
    if memory is None:
        return _reading(suffix, data, reader, bounds)
    parts = [suffix, hashlib.sha256(data).hexdigest(), *map(_version, _LIBRARIES), ocr or "", VERSION]
    key = digest(parts)
    known = memory.recall(PAGES, [key])
    # What is kept in another form is damaged, and made anew.
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        kept = json.loads(known[key])
        remarks = [Remark(kind, detail, tuple(pages)) for kind, detail, pages in kept["remarks"]]
        return _Reading(list(map(str, kept["pages"])), remarks)
    reading = _reading(suffix, data, reader, bounds)
    if any(remark.kind == CUT for remark in reading.remarks):
        return reading  # with other bounds, or on a machine with less to do, there may be more of it
    told = [[remark.kind, remark.detail, remark.pages] for remark in reading.remarks]
    memory.keep(PAGES, {key: json.dumps({"pages": reading.pages, "remarks": told}).encode()})
    return reading


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _bytes_of(file: Path, bounds: Bounds) -> bytes:
    most = bounds.megabytes * 10**6
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise Refusal("is not a regular file")  # reading a named pipe would wait for ever
        with file.open("rb") as opened:
            # Some files of the system say that they have no bytes, and never end.
            data = opened.read(most + 1)
        if len(data) > most:
            raise Refusal(f"has more than {bounds.megabytes:,} MB ({PREFIX}MEGABYTES)")
    except OSError as error:
        raise Refusal(_os_reason(error)) from error
    if not data:
        raise Refusal("is empty")
    return data


def _os_reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _reading(suffix: str, data: bytes, ocr: PageOCR | None, bounds: Bounds) -> _Reading:
    """Read a file by its format.

    Raises:
        Refusal: It has no text, or none that can be read, or takes too long.
    """
    if suffix == ".pdf":
        return _Reading(*pdf_pages(data, ocr, bounds))
    if suffix not in SUFFIXES:
        raise Refusal(f'has the suffix "{suffix}"' if suffix else "has no suffix")
    try:
        pages, remarks = within(bounds.seconds, lambda: _pages_of(suffix, data, bounds))
    except TimeoutError as error:
        raise Refusal(f"takes more than {bounds.seconds} s to read ({PREFIX}SECONDS)") from error
    if not any(page.strip() for page in pages):
        raise Refusal("; ".join(["has no text", *(remark.detail for remark in remarks)]))
    return _Reading(pages, remarks)


def _pages_of(suffix: str, data: bytes, bounds: Bounds) -> tuple[list[str], list[Remark]]:
    if suffix == ".pptx":
        pages, remarks = pptx_pages(data, bounds)
    else:
        text, remarks = _text_of(suffix, data, bounds)
        pages = [text]
    return _held(list(map(cleaned, pages)), remarks, bounds)


def _held(pages: list[str], remarks: list[Remark], bounds: Bounds) -> tuple[list[str], list[Remark]]:
    """Hold pages to the characters and pages that a document may have."""
    if len(pages) > bounds.pages:
        remarks = [*remarks, _beyond(len(pages), "pages", bounds.pages)]
        pages = pages[: bounds.pages]
    most, size = bounds.characters, sum(map(len, pages))
    if size > most:
        remarks = [*remarks, _beyond(size, "characters", most)]
        ends = accumulate(map(len, pages))
        pages = [page[: max(0, most - end + len(page))] for page, end in zip(pages, ends, strict=True)]
    return pages, remarks


def _beyond(found: int, what: str, most: int) -> Remark:
    return Remark(CUT, f"has {found:,} {what}: those behind {most:,} are not read ({PREFIX}{what.upper()})")


def _text_of(suffix: str, data: bytes, bounds: Bounds) -> tuple[str, list[Remark]]:
    if suffix == ".docx":
        return docx_text(data, bounds)
    if suffix == ".epub":
        return epub_text(data, bounds)
    text, lost = decoded(data, is_markup=suffix in _HTML)
    remarks = [Remark("damaged", f"{lost:,} characters are none in its encoding")] if lost else []
    if suffix in _HTML and len(text) > bounds.characters:
        remarks.append(_beyond(len(text), "characters", bounds.characters))
        text = text[: bounds.characters]
    if suffix in _HTML:
        text, found = html_text(text, is_xml=suffix == ".xhtml" or text.lstrip().startswith("<?xml"))
        remarks += found
    share = illegible_share(text) if len(text) >= _LONG_ENOUGH else 0.0
    if share > NO_TEXT:
        raise Refusal(f"is not text: {share:.0%} of its signs are no letters")
    return text, remarks
