"""Files and folders of other formats, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evals import replacing
from evals.entries import shown
from evals.errors import UsageError, printable


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Give a file to write text to, which takes its place at `path` when all went well."""
    with new_path(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, which takes its place at `path` when all went well.

    Raises:
        UsageError: The folder of `path` is missing or cannot be written to.
    """
    try:
        with replacing.new_path(path) as scratch:
            yield scratch
    except OSError as error:
        raise UsageError(_refused(path, error)) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes its place at `path` when all went well.

    Raises:
        UsageError: `path` is a folder with something in it, or the folder around it cannot be written to.
    """
    try:
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.replace(path)
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refused(path: Path, error: OSError) -> str:
    return f"{printable(shown(path))}: cannot be written: {error.strerror}"
