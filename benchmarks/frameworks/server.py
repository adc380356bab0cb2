"""A model behind llama_cpp.server on loopback; before it stands what counts tokens and gives embeddings."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from rag_evals.rag.retrieval.embedder import Embedder

SECONDS = 900


@dataclass(slots=True)
class Used:
    """What was asked of the model so far."""

    requests: int = 0
    read: int = 0
    written: int = 0


@contextmanager
def served(model: Path, embedder: Embedder, *, n_ctx: int, log: Path) -> Iterator[tuple[str, Used]]:
    """Serve `model`; yield the address, and what is counted while it is used.

    Raises:
        RuntimeError: The server does not start.
    """
    port = _free_port()
    command = [
        sys.executable,
        "-P",
        "-m",
        "llama_cpp.server",
        "--model",
        str(model),
        "--model_alias",
        "judge",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", str(n_ctx), "--verbose", "false"]
    used = Used()
    with log.open("wb") as output:
        server = subprocess.Popen([*command, "--n_threads", "2"], stdout=output, stderr=subprocess.STDOUT)
        counter = ThreadingHTTPServer(("127.0.0.1", 0), _handler(port, embedder, used))
        Thread(target=counter.serve_forever, daemon=True).start()
        try:
            _await(server, port, log)
            yield f"http://127.0.0.1:{counter.server_address[1]}/v1", used
        finally:
            counter.shutdown()
            server.terminate()
            server.wait(30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: see {log}")


def _handler(port: int, embedder: Embedder, used: Used) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/embeddings"):
                self._answer(200, _embeddings(embedder, json.loads(body)))
            else:
                self._answer(*_forwarded(f"http://127.0.0.1:{port}{self.path}", body, used))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _forwarded(url: str, body: bytes, used: Used) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    used.requests += 1
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            content = response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    usage = json.loads(content).get("usage") or {}
    used.read += usage.get("prompt_tokens", 0)
    used.written += usage.get("completion_tokens", 0)
    return 200, content


def _embeddings(embedder: Embedder, asked: dict[str, Any]) -> bytes:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vectors = embedder.embed(texts)
    data = [
        {"object": "embedding", "index": n, "embedding": list(map(float, v))} for n, v in enumerate(vectors)
    ]
    return json.dumps({"object": "list", "data": data, "model": "embedder", "usage": {}}).encode()
