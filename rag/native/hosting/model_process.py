"""A process that models run in, mostly one: calls come in one after the other, replies go out.

Run as a program with the number of a file descriptor, a connection to the host of the models, it ends when
the host closes that connection. Whatever its native code dies of, it dies alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from rag_evals.rag.native.hosting.messages import reply_to

# Of two processes Linux's memory killer takes the one with the higher score; 1000 is the highest.
_EXPENDABLE = "500"


def main(descriptor: int) -> None:
    """Serve the host on the connection `descriptor` until it is closed."""
    with contextlib.suppress(OSError):  # other systems have no such file
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE, "ascii")
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        models: dict[str, object] = {}
        while True:
            connection.send_bytes(reply_to(connection.recv_bytes(), models))
    # Without the work of an ordinary end: native libraries have crashed there, and there is nothing to keep.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
