"""A file is written whole or not at all, and never over what somebody else wrote meanwhile."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evals.entries import shown
from evals.errors import QuestionFileError, printable


def replace_file(file: Path, text: str, *, before: bytes | None = None) -> bytes:
    """Put `text` in place of what `file` holds; a link goes on leading where it led.

    Args:
        file: The file; its folder is made.
        text: What it is to hold, written as UTF-8.
        before: What it held when it was read; None writes over whatever is there.

    Returns:
        The bytes that it holds now.

    Raises:
        QuestionFileError: The file holds something else than `before`, or cannot be written.
    """
    real = Path(os.path.realpath(file))
    data = text.encode()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        _replace(real, data, file if before is not None else None, before)
    except OSError as error:
        raise QuestionFileError(
            printable(f"{shown(file)} cannot be written: {error.strerror or error}; nothing was changed")
        ) from error
    return data


def _replace(real: Path, data: bytes, named: Path | None, before: bytes | None) -> None:
    handle, scratch = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        # mkstemp makes a file for its owner alone; a question file is for everybody who had it before.
        Path(scratch).chmod(real.stat().st_mode & 0o7777 if real.exists() else 0o644)
        if named is not None:
            _check_same(named, before)
        Path(scratch).replace(real)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _check_same(file: Path, before: bytes | None) -> None:
    """Hold a file to what it held when it was read.

    Raises:
        QuestionFileError: Somebody wrote it meanwhile.
    """
    if not file.exists() or file.read_bytes() != before:
        raise QuestionFileError(
            printable(
                f"{shown(file)} was changed by somebody else meanwhile: nothing was written; call again, "
                "and it is read as it is now"
            )
        )
