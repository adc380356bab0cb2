"""What several commands share: arguments, the run that is named, documents read, texts written to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.cache import FILE, Cache
from rag_evals.evals.runs.run import find_run
from rag_evals.evals.trackers.wandb.fetched_files import run_of
from rag_evals.evals.trackers.wandb.reference import is_reference
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.documents.read import read_documents


def add_home(parser: argparse.ArgumentParser, what: str = "runs") -> None:
    """Declare `--home`, the folder of `what`."""
    parser.add_argument(
        "--home", type=Path, default=Path(".rag-evals"), help=f"folder of {what} (default: .rag-evals)"
    )


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """Declare `--baselines`."""
    parser.add_argument(
        "--baselines",
        type=Path,
        default=Path("evals-baselines"),
        metavar="DIR",
        help="folder of baselines (default: evals-baselines)",
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Declare `--offline`."""
    parser.add_argument(
        "--offline",
        action="store_true",
        help="fetch nothing; what would reach beyond this machine is an error",
    )


def named_run(text: str, home: Path, baselines: Path | None = None) -> Path:
    """Return the folder of the run that `text` names, or the file of the baseline; from W&B it is fetched.

    Without a folder of baselines only a run will do.

    Raises:
        RunFileError: There is no such run; says where it was looked for, and what there is.
        UsageError: W&B does not give it.
    """
    return run_of(text, home) if is_reference(text) else find_run(text, home, baselines)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Declare how documents are read: `--ocr` and `--follow-links`."""
    parser.add_argument(
        "--ocr", metavar="COMMAND", help="command that writes the text of page {page} of {file}, an image"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="read what links lead to that lead out of the folder, too"
    )


def read_corpus(docs: Path, home: Path, ocr: str | None = None, *, follow_links: bool = False) -> Corpus:
    """Read the documents, and say what was not read; a cache that is there spares the work."""
    corpus = cached_corpus(docs, home, ocr, follow_links=follow_links)
    for line in corpus.remarked:
        print(line, file=sys.stderr)
    return corpus


def cached_corpus(docs: Path, home: Path, ocr: str | None, *, follow_links: bool = False) -> Corpus:
    """Read the documents, what the cache has of them from there."""
    cache = Cache(home / FILE) if (home / FILE).exists() else None
    try:
        return read_documents(docs, cache, ocr=ocr, follow_links=follow_links)
    finally:
        if cache:
            cache.close()


def write_text(file: Path, text: str) -> None:
    """Write what `--out` asked for.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        # newline: the same bytes on every system.
        file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise unwritable(file, error) from error


def unwritable(file: Path, error: OSError) -> UsageError:
    """Return the error that says why the file of `--out` cannot be written."""
    name = printable(str(file))
    return UsageError(f"{name} cannot be written: {error.strerror}: give another file with --out")
