"""A server on 127.0.0.1 in a thread, for as long as it is entered: what it answers is its handler's."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LoopbackServer:
    """Serves on a free port; clients that hang up are part of the tests."""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers the requests."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._server = _QuietServer(("127.0.0.1", 0), self.handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no error."""
