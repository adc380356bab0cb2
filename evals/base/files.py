"""Files written whole or not at all, and never over what somebody else wrote meanwhile.

JSON Lines are read to the last whole one, also while another process writes them.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.messages import display_path, printable

# Of a file that is read whole, and of a line of JSON Lines: records of a question have some kilobytes.
MOST_BYTES = 512 * 10**6
MOST_LINE = 128 * 10**6


def open_plain(file: Path) -> BinaryIO:
    """Open a file to be read; a pipe or a device, which may have no end, is none.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """
    # A pipe that nobody writes to is opened at once like this, and not waited for.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(file))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(file: Path, most: int = MOST_BYTES) -> bytes:
    """Return what is in a file.

    Raises:
        OSError: It cannot be read, is no plain file, or has more than `most` bytes.
    """
    with open_plain(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        data = opened.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it has more than {most // 10**6:,} MB", str(file))
    return data


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

    Raises:
        OSError: A line has more than 128 MB, and is none of ours.
    """
    while line := opened.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise OSError(errno.EFBIG, f"it has a line of more than {MOST_LINE // 10**6} MB")
        if not line.endswith(b"\n"):
            opened.seek(-len(line), os.SEEK_CUR)
            return
        yield line[:-1]


def whole_lines(file: Path) -> Iterator[bytes]:
    """Return the lines of `file` without their ends; a last one that has no end is left out."""
    with open_plain(file) as opened:
        yield from next_lines(opened)


def all_lines(file: Path) -> Iterator[bytes]:
    """Return the lines of `file` without their ends; a last one that has no end is among them."""
    with open_plain(file) as opened:
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
