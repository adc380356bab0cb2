"""GitHub's interface on 127.0.0.1, as far as comments of one pull request go."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BOT = {"login": "github-actions[bot]", "type": "Bot"}
PERSON = {"login": "somebody", "type": "User"}


@dataclass
class LoopbackGitHub:
    """Keeps comments on OWNER/NAME#7.

    Attributes:
        comments: The comments, the oldest first, as GitHub has them.
        requests: What was asked, `METHOD PATH`.
        tokens: Those that came, and who they are.
        status: Answered to what writes in place of doing it; 0 for nothing.
        read_status: The same to what reads.
        headers: Sent with each answer.
    """

    comments: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: dict[str, dict[str, str]] = field(default_factory=lambda: {"good": BOT, "personal": PERSON})
    status: int = 0
    read_status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> LoopbackGitHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, body: str, user: dict[str, str]) -> dict[str, Any]:
        """Add a comment."""
        number = 1000 + len(self.comments)
        url = f"https://github.invalid/owner/name/pull/7#issuecomment-{number}"
        self.comments.append({"id": number, "body": body, "user": user, "html_url": url})
        return self.comments[-1]

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and answer."""
        self.requests.append(f"{method} {path}")
        user = self.tokens.get(token)
        if user is None:
            return 401, {"message": "Bad credentials"}
        refused = self.read_status if method == "GET" else self.status
        if refused:
            return refused, {"message": "Resource not accessible by integration"}
        if path == "/user":
            return (200, user) if user["type"] == "User" else (403, {"message": "Resource not accessible"})
        if listed := re.fullmatch(r"/repos/owner/name/issues/7/comments\?per_page=(\d+)&page=(\d+)", path):
            size, page = min(100, int(listed[1])), int(listed[2])
            return 200, self.comments[(page - 1) * size : page * size]
        if method == "POST" and path == "/repos/owner/name/issues/7/comments":
            return 201, self.add(body["body"], user)
        if method == "PATCH" and (asked := re.fullmatch(r"/repos/owner/name/issues/comments/(\d+)", path)):
            found = next(one for one in self.comments if one["id"] == int(asked[1]))
            found["body"] = body["body"]
            return 200, found
        return 404, {"message": "Not Found"}


def _handler_for(github: LoopbackGitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PATCH(self) -> None:
            self._serve()

        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer = github.answer(self.command, self.path, token, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **github.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
