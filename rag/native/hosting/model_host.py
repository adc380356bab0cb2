"""The host of the models of a session: their processes are shared by all clients of the session.

Run as a program with a folder, it listens on a socket there, goes into the background, and ends with its
last client. Clients are the processes of one session: pytest itself, or the workers of `-n`. The host loads
no library of its own. It starts a model's process with the first call, gives the clients their
turns, and when the process dies says so to whoever was waiting for it and starts it again with the next call;
a process that has died twice in the same way is not started again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener, Pipe, wait
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelDiedError
from rag_evals.rag.native.hosting.deaths import cause_of, end_of
from rag_evals.rag.native.hosting.messages import OPENED, Opening, error_reply
from rag_evals.rag.native.hosting.models_folder import SOCKET, locked
from rag_evals.rag.native.hosting.turns import Turns

# Seconds within which the first client comes, or it has died on the way.
_FIRST_CLIENT = 30.0
# Deaths of one kind after which a model is given up.
_LAST_DEATH = 2
# Bytes of what a process printed in which its last words are looked for.
_PRINTED = 20_000


class SharedProcess:
    """A process of models, while it runs, and the turns of its clients.

    Args:
        linger: Seconds that it is held free for whoever called it last.
    """

    def __init__(self, linger: float) -> None:
        self._turns = Turns(linger)
        self._process: _Process | None = None
        self._deaths: Counter[str] = Counter()
        self._last_cause = ""
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the process while the block runs; it ends with the last such block."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self.end()

    def reply_to(self, client: Connection, call: bytes, name: str) -> bytes:
        """Pass `call` on and return the reply, or the notice of a death.

        Args:
            client: Who calls.
            call: The call, unread.
            name: Name for people of the model that is called.

        Raises:
            EOFError: The client has gone. What it was waiting for is not to be had in another way: its
                process is ended, and begun again for the next call.
        """
        with self._turns.turn(client):
            # A client says nothing while it waits: something to read is the end of the connection.
            if client.poll():
                raise EOFError
            if max(self._deaths.values(), default=0) >= _LAST_DEATH:
                return error_reply(ModelDiedError(self._last_cause, is_final=True))
            self._process = process = self._process or _Process()
            with contextlib.suppress(OSError):  # it has died: then there is the end of the connection to read
                process.connection.send_bytes(call)
            if process.connection not in wait([process.connection, client]):
                self.end()
                raise EOFError
            try:
                return process.connection.recv_bytes()
            except (EOFError, OSError):
                return self._died(process, name)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process:
            process.kill()

    def _died(self, process: _Process, name: str) -> bytes:
        self._process = None
        kind, peak = process.ended()
        self._deaths[kind] += 1
        self._last_cause = cause_of(name, kind, peak_bytes=peak, printed=process.printed())
        is_final = self._deaths[kind] >= _LAST_DEATH
        return error_reply(ModelDiedError(self._last_cause, is_final=is_final))


class _Process:
    """A running process of models."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        # A file, not a pipe: what nobody reads would fill it.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [sys.executable, "-P", "-m", f"{__spec__.parent}.model_process", str(theirs.fileno())]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._printed,
            pass_fds=[theirs.fileno()],
            # A dump of stacks from ggml tells a user of this package nothing.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
        theirs.close()

    def kill(self) -> None:
        """End it and free what it held."""
        self._child.kill()
        self.ended()
        self._printed.close()

    def ended(self) -> tuple[str, int]:
        """Wait for its end; return what ended it and the most bytes of memory that it had."""
        _, status, usage = os.wait4(self._child.pid, 0)
        self._child.returncode = os.waitstatus_to_exitcode(status)
        self.connection.close()
        kibibyte = 1 if sys.platform == "darwin" else 1024
        return end_of(status), usage.ru_maxrss * kibibyte

    def printed(self) -> str:
        """Return the end of what it printed, and close the file."""
        with self._printed as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _PRINTED))
            return file.read().decode(errors="replace")


class Host:
    """Serves the clients of one session.

    Args:
        listener: Where they come in.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._processes: dict[str, SharedProcess] = {}
        self._clients = 0
        self._changed = threading.Condition()

    def run(self, folder: Path) -> None:
        """Serve until the last client has gone, or none came; then remove `folder`."""
        threading.Thread(target=self._accept, daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._clients > 0, _FIRST_CLIENT)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._clients == 0)
            with locked(folder):
                if self._clients == 0:
                    # Whoever is not counted yet finds the connection closed before anything was promised, and
                    # starts anew.
                    self._listener.close()
                    shutil.rmtree(folder, ignore_errors=True)
                    return

    def _accept(self) -> None:
        while True:
            try:
                client: Any = self._listener.accept()
            except OSError:
                return
            self._count(1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _count(self, change: int) -> None:
        with self._changed:
            self._clients += change
            self._changed.notify_all()

    def _serve(self, client: Connection) -> None:
        with contextlib.suppress(EOFError, OSError), client:
            opening: Opening = client.recv()
            with self._changed:
                process = self._processes.setdefault(opening.process, SharedProcess(opening.linger))
            with process.used():
                client.send_bytes(OPENED)
                while True:
                    client.send_bytes(process.reply_to(client, client.recv_bytes(), opening.name))
        self._count(-1)


def main(folder: Path) -> None:
    """Listen in `folder`, go into the background, serve, and remove the folder.

    The process that was started ends with status 0 as soon as clients can come in.
    """
    socket = folder / SOCKET
    socket.unlink(missing_ok=True)  # of a host that was killed
    listener = Listener(str(socket), "AF_UNIX", backlog=64)
    if os.fork():
        os._exit(0)
    os.setsid()  # a Ctrl-C is for the tests
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # whoever reads what the session prints does not wait for this process
        os.dup2(nowhere, standard)
    Host(listener).run(folder)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
