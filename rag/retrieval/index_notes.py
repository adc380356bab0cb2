"""What stands beside an index: its passages by number, where their copies stand, what the embedder reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

from rag_evals.rag.answer import Span
from rag_evals.rag.documents.document import Remark
from rag_evals.rag.retrieval.coverage import Coverage, coverage_remarks

NOTES = "notes.json"


@dataclass(frozen=True, slots=True)
class IndexNotes:
    """What stands beside an index.

    Attributes:
        passages: How many passages are searched, each text once.
        copies: Where else the text of a node stands, by the node's id.
        coverage: What the embedder reads of each document, by its name; empty where it does not tell.
        length: The tokens that the embedder reads of a passage; None for all.
    """

    passages: int
    copies: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    length: int | None = None

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
    }
    (folder / NOTES).write_text(json.dumps(told), "utf-8")


def read_notes(folder: Path) -> IndexNotes | None:
    """Read the notes beside an index; None where there are none, or they are damaged."""
    try:
        told = json.loads((folder / NOTES).read_bytes())
        copies = {id: tuple(Span(*span) for span in spans) for id, spans in told["copies"].items()}
        coverage = {name: Coverage(*one) for name, one in told["coverage"].items()}
        return IndexNotes(int(told["passages"]), copies, coverage, told["length"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
