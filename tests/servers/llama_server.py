"""llama_cpp.server with a model on a free port of 127.0.0.1, for as long as it is entered."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def llama_server(model: Path, log: Path, *settings: str) -> Iterator[str]:
    """Serve `model`, with more `settings` on the command line; yield the address that clients take.

    Raises:
        RuntimeError: The server does not start; what it wrote to `log` is in the message.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-P", "-m", "llama_cpp.server", "--model", str(model), "--verbose", "false"]
    command += ["--host", "127.0.0.1", "--port", port, *settings]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_listening(server, int(port), log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def _await_listening(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')}")
