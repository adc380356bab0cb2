"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        # mkstemp makes a file for its owner alone; a question set is for everybody.
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        raise UsageError(_refused(path, error)) from error
    finally:
        scratch.unlink(missing_ok=True)


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
