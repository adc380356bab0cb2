"""Files written whole or not at all, and never over what somebody else wrote meanwhile.

JSON Lines are read to the last whole one, also while another process writes them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import display_path, printable


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
        with new_path(real, check=None if before is None else partial(_check_same, file, before)) as scratch:
            scratch.write_bytes(data)
    except OSError as error:
        raise QuestionFileError(
            printable(
                f"{display_path(file)} cannot be written: {error.strerror or error}; nothing was changed"
            )
        ) from error
    return data


@contextmanager
def new_path(file: Path, *, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """Yield the path of a file to write, which takes the place of `file` when all went well.

    It lies in the same folder, which is there, and is gone when something did not go well. When all is
    written, `check` is called: what it raises leaves `file` as it is.

    Raises:
        OSError: The folder is missing, or something cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        with scratch.open("r+b") as written:
            os.fsync(written.fileno())
        # mkstemp makes a file for its owner alone; these are for everybody who had the one before.
        scratch.chmod(file.stat().st_mode & 0o7777 if file.exists() else 0o644)
        if check:
            check()
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def next_lines(opened: BinaryIO) -> Iterator[bytes]:
    """Return the whole lines from where `opened` stands, without their ends, and leave it behind the last.

    What stands there is half-written: its process was killed, or is still writing. The next call begins
    with it.
    """
    while line := opened.readline():
        if not line.endswith(b"\n"):
            opened.seek(-len(line), os.SEEK_CUR)
            return
        yield line[:-1]


def whole_lines(file: Path) -> Iterator[bytes]:
    """Return the lines of `file` without their ends; a last one that has no end is left out."""
    with file.open("rb") as opened:
        yield from next_lines(opened)


def all_lines(file: Path) -> Iterator[bytes]:
    """Return the lines of `file` without their ends; a last one that has no end is among them."""
    with file.open("rb") as opened:
        yield from next_lines(opened)
        yield from filter(None, (opened.read(),))


def _check_same(file: Path, before: bytes) -> None:
    """Hold a file to what it held when it was read.

    Raises:
        QuestionFileError: Somebody wrote it meanwhile.
    """
    if not file.exists() or file.read_bytes() != before:
        raise QuestionFileError(
            printable(
                f"{display_path(file)} was changed by somebody else meanwhile: nothing was written; "
                "call again, and it is read as it is now"
            )
        )
