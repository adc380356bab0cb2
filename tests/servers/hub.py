"""A Hugging Face hub on 127.0.0.1: what huggingface_hub asks for, from a dict, with faults on order."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers.loopback import LoopbackServer

COMMIT = "c0ffee" + "0" * 34


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the hub saw it."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Published:
    """One file of the hub, and what goes wrong with it.

    Args:
        data: What the hub serves.
        status: Answer with this status in place of the file.
        drop_after: Close the connection after so many bytes of the body ...
        drops: ... so many times.
        seconds: Wait before the body.
        is_lfs: Whether the ETag is the SHA-256 of the file, as it is for large files, or of another kind.
        advertised: The SHA-256 in the ETag, when it is not that of the data.
    """

    data: bytes
    status: int = 200
    drop_after: int = 0
    drops: int = 0
    seconds: float = 0.0
    is_lfs: bool = True
    advertised: str | None = None

    @property
    def etag(self) -> str:
        digest = self.advertised or hashlib.sha256(self.data).hexdigest()
        return f'"{digest if self.is_lfs else digest[:40]}"'


@dataclass
class LoopbackHub(LoopbackServer):
    """Serves `/owner/name/resolve/REVISION/FILE`, the listing of a repository, and any other path in `files`.

    Keys of `files` are `owner/name/path` for repositories, or the path of the address itself.
    """

    files: dict[str, Published] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler_for(self)

    def asked(self, method: str, suffix: str = "") -> list[Request]:
        """The requests of a method whose path ends so."""
        return [one for one in self.requests if one.method == method and one.path.endswith(suffix)]

    def find(self, path: str) -> Published | None:
        """The file of a path, whatever revision is asked for."""
        return self.files.get(re.sub(r"/resolve/[^/]+/", "/", path).lstrip("/"))

    def listing(self, repo: str) -> list[str]:
        """The file names of a repository."""
        return [key.removeprefix(f"{repo}/") for key in self.files if key.startswith(f"{repo}/")]


def _handler_for(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            hub.requests.append(
                Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            )
            path = self.path.partition("?")[0]
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/.*", path):
                self._send_listing(match[1])
            elif (file := hub.find(path)) is None or file.status != 200:
                self._send(404 if file is None else file.status, b"", {"X-Error-Code": _error_code(file)})
            else:
                self._send_file(file, with_body=with_body)

        def _send_listing(self, repo: str) -> None:
            siblings = [{"rfilename": name} for name in hub.listing(repo)]
            body = json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()
            self._send(200, body, {"Content-Type": "application/json"})

        def _send_file(self, file: Published, *, with_body: bool) -> None:
            start = self._start(file)
            headers = {"ETag": file.etag, "X-Repo-Commit": COMMIT}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"
            body = file.data[start:]
            if not with_body:
                self._send(200, b"", headers | {"Content-Length": str(len(body))})
            elif file.drops > 0:
                file.drops -= 1
                self._send_half(206 if start else 200, body, headers, file.drop_after)
            else:
                time.sleep(file.seconds)
                self._send(206 if start else 200, body, headers)

        def _start(self, file: Published) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            is_same = self.headers.get("If-Range", file.etag) == file.etag
            return int(match[1]) if match and is_same else 0

        def _send_half(self, status: int, body: bytes, headers: dict[str, str], count: int) -> None:
            self._send(status, body[:count], headers | {"Content-Length": str(len(body))})
            self.close_connection = True

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler


def _error_code(file: Published | None) -> str:
    return "EntryNotFound" if file is None else ""
