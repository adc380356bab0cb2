"""What stands beside an index: what its files are, where copies stand, what the embedder reads."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

from rag_evals.rag.answer import Span
from rag_evals.rag.documents.document import Remark
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.coverage import Coverage, coverage_remarks

NOTES = "notes.json"


@dataclass(frozen=True, slots=True)
class IndexNotes:
    """What stands beside an index.

    Attributes:
        passages: How many passages are searched, each text once.
        copies: Where else the text of a chunk stands, by the chunk's id.
        coverage: What the embedder reads of each document, by its name; empty where it does not tell.
        length: The tokens that the embedder reads of a passage; None for all.
        shape: Digest of all that shapes chunks and vectors but the documents.
        documents: Digest of each document, by its name.
        files: Bytes and SHA-256 of each other file.
    """

    passages: int
    copies: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    length: int | None = None
    shape: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def remarks(self, embedder: str) -> list[Remark]:
        """Return what of the documents the embedder of that name does not read."""
        return list(coverage_remarks(self.coverage, embedder, self.length))


def write_notes(folder: Path, notes: IndexNotes) -> None:
    """Write the notes beside an index."""
    told = {
        "passages": notes.passages,
        "copies": {id: list(map(astuple, spans)) for id, spans in notes.copies.items()},
        "coverage": {name: astuple(one) for name, one in notes.coverage.items()},
        "length": notes.length,
        "shape": notes.shape,
        "documents": dict(notes.documents),
        "files": {name: list(facts) for name, facts in notes.files.items()},
    }
    (folder / NOTES).write_text(json.dumps({**told, "sha256": digest(told)}), "utf-8")


def read_notes(folder: Path) -> IndexNotes | None:
    """Read the notes beside an index; None where there are none, or they are damaged."""
    try:
        told = json.loads((folder / NOTES).read_bytes())
        if told.pop("sha256") != digest(told):
            return None
        copies = {id: tuple(Span(*span) for span in spans) for id, spans in told["copies"].items()}
        coverage = {name: Coverage(*one) for name, one in told["coverage"].items()}
        files = {name: (int(size), str(sha256)) for name, (size, sha256) in told["files"].items()}
        passages = int(told["passages"])
        documents = {str(name): str(known) for name, known in told["documents"].items()}
        return IndexNotes(passages, copies, coverage, told["length"], told["shape"], documents, files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def check_files(folder: Path, notes: IndexNotes) -> None:
    """Check that a folder holds the files of an index, each of its size; they are not read.

    Raises:
        OSError: It cannot be read.
        ValueError: It does not.
    """
    sizes = {}
    for file in [folder, *folder.iterdir()]:
        facts = file.lstat()
        if not (stat.S_ISDIR if file == folder else stat.S_ISREG)(facts.st_mode):
            raise ValueError(f"{file.name} is no plain file")
        sizes[file.name] = facts.st_size
    for name, (size, _) in notes.files.items():
        if sizes.get(name) != size:
            raise ValueError(f"{name} has {sizes.get(name, 0):,} bytes in place of {size:,}")


def facts_of(file: Path) -> tuple[int, str]:
    """Return the bytes and the SHA-256 of a file."""
    with file.open("rb") as opened:
        return file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest()
