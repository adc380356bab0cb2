"""An OpenAI-compatible server on 127.0.0.1 that says what a test scripts, and keeps what it was asked."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 20, "completion_tokens": 1}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the server: a table goes out as JSON, a text as it is."""

    body: Any
    status: int = 200
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def reply(text: Any, *, finish: str | None = "stop", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion with this text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    return {"choices": [{**choice, "finish_reason": finish}], "usage": usage}


def graded(top: Mapping[str, float], *, usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion of one token, with the probabilities of the first position."""
    entries = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in top.items()]
    body = reply(entries[0]["token"], finish="length", usage=usage, **message)
    body["choices"][0]["logprobs"] = {"content": [{**entries[0], "top_logprobs": entries}]}
    return body


@dataclass
class LoopbackOpenAI:
    """Answers each request with what `answer` makes of its body."""

    answer: Callable[[dict[str, Any]], Said | dict[str, Any] | str]
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> LoopbackOpenAI:
        self._server = _QuietServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [one.body for one in self.asked]


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that gives up waiting is part of some tests."""


def _handler_for(server: LoopbackOpenAI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.asked.append(Asked(self.path, headers, body))
            said = server.answer(body)
            said = said if isinstance(said, Said) else Said(said)
            time.sleep(said.seconds)
            self._send(said, (said.body if isinstance(said.body, str) else json.dumps(said.body)).encode())

        def _send(self, said: Said, data: bytes) -> None:
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(data)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
