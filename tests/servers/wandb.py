"""A Weights & Biases server on 127.0.0.1 for wandb 0.31: keeps what arrives, with faults on order."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote

from tests.servers.wandb_graphql import answer
from tests.servers.wandb_store import ENTITY, Alert, Backend, RefusedError, WandbArtifact, WandbRun

__all__ = ["ENTITY", "Alert", "LoopbackWandb", "Posted", "Request", "WandbArtifact", "WandbRun"]

Mode = Literal["500", "502", "401", "403", "404", "409", "429", "hang", "slow", "drop"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server saw it.

    Attributes:
        kind: graphql, file_stream, storage, otel; empty for what the server does not understand.
        operation: Name of the GraphQL operation.
        fault: What went wrong with it; empty for nothing.
        at: `time.time()` of its arrival.
    """

    method: str
    path: str
    kind: str
    operation: str
    fault: str
    at: float


@dataclass(frozen=True, slots=True)
class Posted:
    """A body that is kept as it came, unzipped."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What goes wrong, with which requests.

    Attributes:
        on: Kinds of requests and names of GraphQL operations; empty for all requests.
        after: So many matching requests go well first.
        times: So many go wrong then; None for all.
        seconds: How long "slow" waits before the answer, and "hang" before it closes the connection.
            None waits until the fault is replaced.
        seen: Matching requests until now.
    """

    mode: str
    on: tuple[str, ...]
    after: int
    times: int | None
    seconds: float | None
    seen: int = 0

    def strikes(self, kind: str, operation: str) -> bool:
        """Whether this request is hit; counts it."""
        if self.on and kind not in self.on and operation not in self.on:
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.seen <= self.after + self.times)


@dataclass
class LoopbackWandb:
    """Stands in for a server; `runs`, `artifacts`, `alerts` and `spans` say what arrived.

    Attributes:
        entities: The entities that exist, ENTITY alone unless told; a run of another gets status 404.
        requests: Every request, in the order in which they came.
        unknown: What the server does not understand; a test asserts that it is empty.
        telemetry: Posts of the client about itself; a test asserts that there are none.
        spans: Bodies posted to /otel/v1/traces.
        bodies: All that was sent, with the address that it was sent to, unzipped.
    """

    entities: set[str] = field(default_factory=lambda: {ENTITY})
    requests: list[Request] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    telemetry: list[Posted] = field(default_factory=list)
    spans: list[Posted] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __enter__(self) -> LoopbackWandb:
        self.lock = threading.RLock()
        self._healed = threading.Condition(self.lock)
        self._fault: Fault | None = None
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.backend = Backend(self.url, self.entities)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def env(self) -> dict[str, str]:
        """The variables that send wandb here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "k" * 40}

    @property
    def runs(self) -> dict[str, WandbRun]:
        return self.backend.runs

    @property
    def artifacts(self) -> list[WandbArtifact]:
        return self.backend.artifacts

    @property
    def alerts(self) -> list[Alert]:
        return self.backend.alerts

    def versions(self, collection: str) -> list[WandbArtifact]:
        """The versions of an artifact, the oldest first; `artifacts` has them in the order of arrival."""
        return [one for one in list(self.artifacts) if one.collection == collection]

    def forbid(self, project: str) -> None:
        """Refuse every run in this project, permission denied, and show nothing of it to readers."""
        self.backend.forbidden.add(project)

    def stop(self, run_id: str) -> None:
        """Say to the client that somebody stopped the run in the browser."""
        self.backend.stopped.add(run_id)

    def fault(
        self,
        mode: Mode | int,
        on: str | tuple[str, ...] = (),
        after: int = 0,
        times: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Let requests go wrong from now on, in place of what went wrong before; Fault has the arguments."""
        wanted = (on,) if isinstance(on, str) else on
        self._switch(Fault(str(mode), wanted, after, times, seconds))

    def heal(self) -> None:
        """Let everything go well; a request that hangs loses its connection."""
        self._switch(None)

    def close(self) -> None:
        """End the server as if it were killed: open connections break, new ones are refused."""
        self.heal()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def asked(self, what: str) -> list[Request]:
        """The requests of a kind or of a GraphQL operation."""
        return [one for one in list(self.requests) if what in (one.kind, one.operation)]

    def wait(self, fault: Fault) -> None:
        """Wait as long as the fault says, at most until it is replaced."""
        with self._healed:
            self._healed.wait_for(lambda: self._fault is not fault, fault.seconds)

    def arrived(self, method: str, path: str, kind: str, operation: str) -> Fault | None:
        """Note a request and say what goes wrong with it."""
        with self.lock:
            fault = self._fault
            hit = fault if kind and fault and fault.strikes(kind, operation) else None
            mode = hit.mode if hit else ""
            self.requests.append(Request(method, path, kind, operation, mode, time.time()))
        return hit

    def _switch(self, fault: Fault | None) -> None:
        with self._healed:
            self._fault = fault
            self._healed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break the connections that are kept open between requests; their threads close them."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of some tests."""


def _kind_of(path: str) -> str:
    if path == "/graphql":
        return "graphql"
    if re.fullmatch(r"/files/[^/]+/[^/]+/[^/]+/file_stream", path):
        return "file_stream"
    if path.startswith(("/storage/", "/artifactsV2/")):
        return "storage"
    return "otel" if path.endswith("/otel/v1/traces") else ""


def _storage_path(path: str) -> str:
    """The path of a stored file; a client that was told no address of an artifact's file makes up its own."""
    if path.startswith("/storage/"):
        return path.removeprefix("/storage/")
    *_, artifact, _, name = path.split("/", 8)
    return f"artifact/{artifact}/{name}"


def _operation_of(body: bytes) -> tuple[str, dict[str, Any]]:
    asked = json.loads(body)
    name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
    return asked.get("operationName") or (name[1] if name else ""), asked.get("variables") or {}


def _handler_for(wandb: LoopbackWandb) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        def do_HEAD(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self._body()
            wandb.bodies.append(unquote(self.path).encode() + b"\n" + body)
            path = unquote(self.path.partition("?")[0])
            kind = _kind_of(path)
            operation, given = _operation_of(body) if kind == "graphql" else ("", {})
            fault = wandb.arrived(self.command, path, kind, operation)
            if fault is not None and self._fail(fault):
                return
            try:
                with wandb.lock:
                    data = self._graphql(operation, given) if operation else self._answer(kind, path, body)
            except RefusedError as refused:
                self._send(json.dumps(refused.body).encode(), refused.status)
            except Exception as error:  # noqa: BLE001 - a gap of this server is to be loud in the test
                asked = f" {operation} {given}" if operation else ""
                wandb.unknown.append(f"{self.command} {self.path}{asked}: {error!r}")
                self._send(json.dumps({"errors": [{"message": repr(error)}]}).encode(), 400)
            else:
                self._send(data)

        def _fail(self, fault: Fault) -> bool:
            """Do what the fault says; False when the request is to be answered all the same."""
            if fault.mode in ("hang", "slow"):
                wandb.wait(fault)
            if fault.mode in ("hang", "drop"):
                self.close_connection = True
            elif fault.mode != "slow":
                self._send(b'{"errors": [{"message": "fault"}], "error": "fault"}', int(fault.mode))
            return fault.mode != "slow"

        def _graphql(self, operation: str, given: dict[str, Any]) -> bytes:
            return json.dumps({"data": answer(wandb.backend, operation, given)}).encode()

        def _answer(self, kind: str, path: str, body: bytes) -> bytes:
            posted = Posted(path, {name.lower(): value for name, value in self.headers.items()}, body)
            if kind == "file_stream":
                _, _, entity, project, run, _ = path.split("/")
                wandb.backend.stream((entity, project, run), json.loads(body))
                return b'{"limits": {}}'
            if kind == "storage" and self.command == "PUT":
                wandb.backend.store(path.removeprefix("/storage/"), body)
                return b""
            if kind == "storage":
                return wandb.backend.stored(_storage_path(path))
            if kind == "otel":
                wandb.spans.append(posted)
                return b""
            if path.startswith("/sdk/otel/"):
                wandb.telemetry.append(posted)
                return b"{}"
            raise LookupError("unknown address")

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                data = b"".join(self._chunks())
            else:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

        def _chunks(self) -> list[bytes]:
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return chunks

        def _send(self, data: bytes, status: int = 200) -> None:
            self.send_response(status)
            is_json = data[:1] == b"{"
            self.send_header("Content-Type", "application/json" if is_json else "application/octet-stream")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
