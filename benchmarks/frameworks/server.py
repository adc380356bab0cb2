"""What stands before the model's server: it counts requests and tokens, and gives embeddings."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from rag_evals.rag.retrieval.embedder import Embedder

from tests.servers.loopback import LoopbackServer

SECONDS = 900


@dataclass(slots=True)
class Used:
    """What was asked of the model so far."""

    requests: int = 0
    read: int = 0
    written: int = 0


class CountingServer(LoopbackServer):
    """Passes what it is asked on to the model's server at `model_url`.

    Attributes:
        used: What went through it.
    """

    def __init__(self, model_url: str, embedder: Embedder) -> None:
        self.used = Used()
        self._model_url = model_url
        self._embedder = embedder

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers the requests."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = server.reply(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def reply(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        if path == "/embeddings":
            return 200, self._embeddings(json.loads(body)["input"])
        request = urllib.request.Request(self._model_url + path, body, {"Content-Type": "application/json"})
        self.used.requests += 1
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        usage = json.loads(content).get("usage") or {}
        self.used.read += usage.get("prompt_tokens", 0)
        self.used.written += usage.get("completion_tokens", 0)
        return 200, content

    def _embeddings(self, texts: list[str]) -> bytes:
        vectors = enumerate(self._embedder.embed(texts))
        data = [
            {"object": "embedding", "index": n, "embedding": list(map(float, vector))}
            for n, vector in vectors
        ]
        return json.dumps({"object": "list", "data": data, "model": "embedder", "usage": {}}).encode()
