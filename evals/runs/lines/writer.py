"""The writer of records: a line is with the system when it is taken, and on the disk a second later.

A session that is killed loses nothing that was taken. A machine that loses its power loses what was taken in
the last second or two: to wait for the disk at each line would cost a test some milliseconds (3.1 were
measured, against 0.02 for checksum and all).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rag_evals.evals.base.files import whole_lines
from rag_evals.evals.runs.lines.checksums import sealed

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
except ImportError:  # no such locks on this system: nobody is told that a run goes on
    flock = None  # type: ignore[assignment]

SECONDS = 1.0


class LineWriter:
    """Appends lines to a file, each with its checksum, and has the disk keep them.

    Args:
        file: The file; it is made where it is not there.

    Raises:
        OSError: It cannot be opened.
        BlockingIOError: Another process writes it.
    """

    def __init__(self, file: Path) -> None:
        self._handle: int | None = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._file = file
        self._before = ""
        self._size = os.fstat(self._handle).st_size
        self._is_new, self._is_over = threading.Event(), threading.Event()
        self._keeper: threading.Thread | None = None
        try:
            _lock(self._handle)
        except BlockingIOError:
            os.close(self._handle)
            raise

    def follow(self, before: str) -> None:
        """Go on behind the lines that are there, the last of which has the checksum `before`."""
        self._before = before
        self._size = os.fstat(self._open).st_size

    @property
    def inode(self) -> int:
        """What the system calls the file, whatever its name: a copy is called otherwise."""
        return os.fstat(self._open).st_ino

    @property
    def is_in_place(self) -> bool:
        """Whether the file is still where it was made."""
        try:
            there, ours = self._file.stat(), os.fstat(self._open)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    @property
    def _open(self) -> int:
        if self._handle is None:
            raise OSError("the record is closed")
        return self._handle

    def append(self, line: str) -> int:
        """Append a JSON object, and return a mark by which `marked_lines` tells it again.

        Raises:
            OSError: It cannot be written; no half of it stays.
        """
        data, seal = sealed(line, self._before)
        size = os.fstat(self._open).st_size
        # Somebody else has cut the file or written to it: what stands there may have no end.
        whole = b"%s%s\n" % (b"" if size == self._size else b"\n", data)
        try:
            if os.write(self._open, whole) < len(whole):
                os.write(self._open, whole[os.fstat(self._open).st_size - size :])  # says why
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._open, size)
            self._size = os.fstat(self._open).st_size
            raise
        self._size, self._before = size + len(whole), seal
        self._keep()
        return hash(data)

    def marked_lines(self) -> Iterator[tuple[int, bytes]]:
        """Return the lines that stand in the file, wherever it is by now, with their marks."""
        with os.fdopen(os.dup(self._open), "rb") as opened:
            opened.seek(0)
            for line in opened:
                yield hash(line[:-1]), line.removesuffix(b"\n")

    def close(self) -> None:
        """Have the disk keep what was written, and close the file.

        Raises:
            OSError: The disk does not keep it.
        """
        if self._handle is None:
            return
        self._is_over.set()
        self._is_new.set()
        if self._keeper:
            self._keeper.join()
        handle, self._handle = self._handle, None
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep_all, name="evals-records", daemon=True)
            self._keeper.start()
        if not self._is_new.is_set():
            self._is_new.set()

    def _keep_all(self) -> None:
        handle = self._open
        for folder in (self._file.parent, self._file.parent.parent):  # the names are kept by them
            with suppress(OSError):
                _sync_folder(folder)
        while not self._is_over.wait(SECONDS):
            self._is_new.wait()
            self._is_new.clear()
            with suppress(OSError):  # the end says it again
                os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Hold the file as long as this process lives; others can tell by it that the run goes on.

    Raises:
        BlockingIOError: Another process holds it.
    """
    if flock is None:
        return
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def is_being_written(file: Path) -> bool:
    """Return whether a process of this machine writes the file.

    Raises:
        OSError: It cannot be opened.
    """
    if flock is None:
        return False
    with file.open("rb") as opened:
        try:
            flock(opened.fileno(), LOCK_SH | LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def cut_to_whole_lines(file: Path) -> None:
    """Take off what stands behind the last whole line of a file.

    Raises:
        OSError: It cannot be read or written.
    """
    size = sum(len(line) + 1 for line in whole_lines(file))
    if size < file.stat().st_size:
        os.truncate(file, size)
