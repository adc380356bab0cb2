"""The folder in which the processes of one session share their models."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# In the folder; a host of models listens there while somebody uses one.
SOCKET = "models.sock"
# Bytes that the path of the folder may have: that of a socket is short on every system.
_LONGEST = 90


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
