"""The folder in which the processes of one session share their models."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In the folder; a host of models listens there while somebody uses one.
SOCKET = "models.sock"
# Bytes that the path of the folder may have: that of a socket is short on every system.
_LONGEST = 90


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of models, which is made where it is not there.

    Hosts begin and end under it: a folder is never removed while somebody enters it.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    import fcntl  # not at the top: every session of pytest imports this module

    while True:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            # It was there and is not any more when pathlib looks whether it is a folder.
            if os.path.lexists(folder):
                raise
            continue
        try:
            lock = (folder / "lock").open("w")
        except FileNotFoundError:
            continue  # the host that has just ended took the folder with it
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_there(lock.fileno(), folder / "lock"):
                yield
                return


def _is_there(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def new_session_name() -> str:
    """Return a name for a session that no other has."""
    return f"rag-evals-{os.urandom(6).hex()}"


def models_folder(session: str | None = None) -> Path:
    """Return the folder of a session, which need not be there yet.

    Args:
        session: What `new_session_name` gave; None for a session of its own.
    """
    name = session or new_session_name()
    folder = Path(tempfile.gettempdir()) / name
    return folder if len(os.fsencode(folder)) <= _LONGEST else Path("/tmp") / name
