"""A model in a process of its own, as its clients see it: methods are called, results come back.

Native code can die: of an instruction that the processor does not have, of a fault, of want of memory. It
then takes its process with it, so models run in processes of their own, which a host process watches
(`rag_evals.rag.native.hosting.model_host`). The processes of one session share them.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelDiedError, ModelError
from rag_evals.rag.native.children import child_environment
from rag_evals.rag.native.hosting.messages import OPENED, Call, ModelFactory, Opening, call_message, result_of
from rag_evals.rag.native.hosting.models_folder import SOCKET, locked, models_folder
from rag_evals.rag.native.hosting.turns import LINGER

# The group of the models that torch runs: a process with it and a small model takes some 530 MB.
TORCH = "torch"
# A host may end between being found and being asked.
_TRIES = 3


class HostedModel:
    """A model that runs elsewhere; nothing is started before the first call.

    One call runs at a time, whichever thread it comes from.

    Args:
        maker: A class or function with a name in its module, which makes the model in its process.
        arguments: What it is called with.
        name: Name of the model for people.
        folder: Shared by the processes of a session; None starts a host of its own.
        group: Models of one group share a process, and with it the libraries that it loads; None for a
            process of its own, which is held free for a moment for whoever called it last.
    """

    def __init__(
        self,
        maker: Callable[..., object],
        *arguments: Any,
        name: str,
        folder: Path | None = None,
        group: str | None = None,
    ) -> None:
        self._maker = ModelFactory(maker, arguments)
        self._key = self._maker.key
        self._opening = Opening(group or self._key, name, 0.0 if group else LINGER)
        self._folder = folder
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def call(self, method: str, *arguments: Any, seconds: float | None = None, **named: Any) -> Any:
        """Call `method` of the model and return its result.

        Args:
            method: Its name.
            arguments: What it is called with.
            seconds: How long the call may take; a process that is not done by then is ended.
            named: What it is called with by name.

        Raises:
            TimeoutError: It took longer.
            ModelDiedError: Its process died; the next call starts another, unless this was the second death
                of its kind.
            ModelError: Its process cannot be started.
            RagError: Whatever the model raises.
        """
        message = call_message(Call(self._key, self._maker, method, arguments, named))
        with self._lock:
            connection = self._connection = self._connection or self._connect()
            try:
                connection.send_bytes(message)
                if not connection.poll(seconds):
                    raise TimeoutError(f"no reply of {self._opening.name} within {seconds:g} s")
                reply = connection.recv_bytes()
            except BaseException as error:
                # Whether it is a Ctrl-C, the end of the time or of the host: nobody waits for this any more.
                self._drop()
                if isinstance(error, EOFError | OSError) and not isinstance(error, TimeoutError):
                    raise ModelDiedError(f"the process that runs {self._opening.name} was ended") from error
                raise
        return result_of(reply)

    def close(self) -> None:
        """Let the model go; its process ends with its last client. The next call opens it again."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _connect(self) -> Connection:
        folder = self._folder or models_folder()
        for _ in range(_TRIES):
            connection = _entered(folder)
            try:
                connection.send(self._opening)
                if connection.recv_bytes() == OPENED:
                    return connection
            except (EOFError, OSError):
                connection.close()
        raise ModelError(f"the process that runs {self._opening.name} ends as soon as it is started")


def _entered(folder: Path) -> Connection:
    """Connect to the host in `folder`; start one where there is none."""
    try:
        with locked(folder):  # one of several workers starts the host
            try:
                return Client(str(folder / SOCKET), "AF_UNIX")
            except (FileNotFoundError, ConnectionRefusedError):
                _start_host(folder)
                return Client(str(folder / SOCKET), "AF_UNIX")
    except OSError as error:
        raise ModelError(
            f"the folder {folder}, in which models are shared, cannot be used ({error.strerror or error}): "
            "set TMPDIR to a folder with a short name that can be written to."
        ) from error


def _start_host(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", f"{__package__}.model_host", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=child_environment(),
        text=True,
        check=False,
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or [f"status {ran.returncode}"])[-1]
        raise ModelError(f"the process that runs models cannot be started: {last}")
