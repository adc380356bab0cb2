"""A server on 127.0.0.1 that answers each path as a test says: without end, slowly, elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers.loopback import LoopbackServer

# Writes an answer with the handler of the request.
Reply = Callable[[BaseHTTPRequestHandler], None]


def sent(body: bytes, status: int = 200, **headers: str) -> Reply:
    """Answer with a body; names of headers are written with `_` for `-`, and one that is "" is left out."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        told = {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
        handler.send_response(status)
        for name, value in told.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return reply


def endless(block: bytes = b"\0" * 2**16, wait: Callable[[], Any] = lambda: None) -> Reply:
    """Answer in chunks, of which there is always one more; `wait` is called before each."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while handler.command != "HEAD":
            wait()
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))

    return reply


def dripping(size: int, wait: Callable[[], Any]) -> Reply:
    """Announce `size` bytes and send them one by one; `wait` is called before each."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        while handler.command != "HEAD":
            wait()
            handler.wfile.write(b"\0")
            handler.wfile.flush()

    return reply


def redirect(location: str) -> Reply:
    """Lead elsewhere."""
    return sent(b"", 302, Location=location)


class HostileServer(LoopbackServer):
    """Answers each path as `replies` says, and what is not there with 404."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler_for(self)


def _handler_for(server: HostileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.requests.append((path, {name.lower(): value for name, value in self.headers.items()}))
            server.replies.get(path, sent(b"", 404))(self)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
