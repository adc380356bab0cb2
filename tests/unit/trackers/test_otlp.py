"""OTLP: spans arrive at a collector as they were, and what goes wrong there is a text."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.trackers import otlp
from rag_evals.evals.trackers.otlp import OtlpExporter, OtlpTarget, wandb_target
from rag_evals.rag.tracing.spans import Trace, TraceSpan, span


@dataclass
class Collector:
    """A collector on 127.0.0.1: keeps what it got, and answers with `status` after `seconds`."""

    url: str = ""
    status: int = 200
    seconds: float = 0.0
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)

    @property
    def spans(self) -> list:
        return [
            one
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for one in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        return attributes_of(self.requests[0].resource_spans[0].resource)


def attributes_of(message) -> dict:
    return {one.key: value_of(one.value) for one in message.attributes}


def value_of(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return getattr(value, kind)


@pytest.fixture
def collector():
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(kept.seconds)
            kept.headers.append({name.lower(): value for name, value in self.headers.items()})
            kept.paths.append(self.path)
            if kept.status == 200:
                kept.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(kept.status)
            said = b"" if kept.status == 200 else b"no such key"
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args) -> None:
            """Say nothing: some do not wait for the answer."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def exporter():
    """Yield what makes exporters, all closed at the end."""
    made = []

    def make(*args, **kwargs) -> OtlpExporter:
        made.append(OtlpExporter(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def spans() -> tuple[TraceSpan, ...]:
    trace = Trace("evaluation", {"evals.question_id": "q1", "evals.cached": ["answer"]})
    with trace.root, span("retrieve", kind="RETRIEVER") as step:
        step.set({"retrieval.documents.0.document.score": 0.5, "evals.texts": 3})
        step.fail("no index")
    return trace.close()


def test_spans_arrive_as_they_were(collector, exporter):
    """Ids, parents, times, kinds, attributes of every type and errors are in what the collector got."""
    root, step = spans()
    sent = exporter(collector.url, {"x-key": "abc"}, {"wandb.project": "rag"})

    assert sent.export([root, step]) is None

    first, second = collector.spans
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id) == (
        root.trace_id,
        root.span_id,
        b"",
    )
    assert (second.trace_id.hex(), second.parent_span_id.hex()) == (root.trace_id, root.span_id)
    assert [one.name for one in (first, second)] == ["evaluation", "retrieve"]
    assert (second.start_time_unix_nano, second.end_time_unix_nano) == (step.start_ns, step.end_ns)
    assert attributes_of(first) == {
        "openinference.span.kind": "CHAIN",
        "evals.question_id": "q1",
        "evals.cached": ["answer"],
    }
    assert attributes_of(second) == {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.0.document.score": 0.5,
        "evals.texts": 3,
    }
    assert (second.status.code, second.status.message) == (2, "no index")
    assert attributes_of(second.events[0]) == {"exception.message": "no index"}
    assert first.status.code == 1
    assert collector.headers[0]["x-key"] == "abc"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.resource["service.name"] == "rag-evals"
    assert collector.resource["wandb.project"] == "rag"


def test_the_standard_headers_are_respected(collector, exporter, monkeypatch):
    """Headers of the environment go along; those that were given win."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,x-key=other")
    assert exporter(collector.url, {"x-key": "mine"}).export(spans()) is None
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert collector.headers[0]["x-key"] == "mine"


def test_many_spans_go_in_several_requests(collector, exporter):
    many = spans() * otlp.MOST_AT_ONCE
    assert exporter(collector.url).export(many) is None
    assert len(collector.requests) == 2
    assert len(collector.spans) == len(many)


def test_a_refusal_is_a_text(collector, exporter, caplog):
    """A collector that refuses is said in one line, without user or password of its URL, and nowhere else."""
    collector.status = 401
    url = collector.url.replace("http://", "http://me:secret@") + "?token=secret"
    said = exporter(url).export(spans())
    place = collector.url
    assert said == (f"traces were not taken by {place}: 401 Unauthorized no such key")
    assert caplog.records == []


def test_a_collector_that_is_not_there_is_a_text(exporter):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    said = exporter(f"http://127.0.0.1:{port}/v1/traces", timeout=0.5).export(spans())
    assert said == (
        f"traces were not taken by http://127.0.0.1:{port}/v1/traces: [Errno 111] Connection refused"
    )
    assert time.monotonic() - start < 3


def test_a_collector_that_hangs_is_waited_for_no_longer_than_asked(collector, exporter):
    collector.seconds = 1.5
    start = time.monotonic()
    said = exporter(collector.url, timeout=0.3).export(spans())
    assert said == f"traces were not taken by {collector.url}: Read timed out."
    assert time.monotonic() - start < 1.4


def test_damaged_spans_are_a_text(collector, exporter):
    """What a file has for an id may be anything: that is said, not raised."""
    damaged = TraceSpan("no hex", "1", None, "x", "CHAIN", 0, 1)
    said = exporter(collector.url).export([damaged])
    reason = "ValueError: invalid literal for int() with base 16: 'no hex'"
    assert said == f"traces were not taken by {collector.url}: {reason}"


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, "https://trace.wandb.ai/otel/v1/traces"),
        ({"WANDB_BASE_URL": "https://api.wandb.ai/"}, "https://trace.wandb.ai/otel/v1/traces"),
        ({"WANDB_BASE_URL": "https://acme.wandb.io"}, "https://acme.wandb.io/traces/otel/v1/traces"),
        ({"WF_TRACE_SERVER_URL": "http://127.0.0.1:6345/"}, "http://127.0.0.1:6345/otel/v1/traces"),
    ],
)
def test_where_wandb_takes_traces(environment, endpoint):
    target = wandb_target("rag", "team", {"WANDB_API_KEY": "key", **environment})
    resource = {"wandb.entity": "team", "wandb.project": "rag"}
    assert target == OtlpTarget(endpoint, {"wandb-api-key": "key"}, resource)


def test_what_wandb_needs(tmp_path):
    """An entity, and a key: that of the environment, or the one that `wandb login` has kept."""
    home = {"HOME": str(tmp_path)}
    with pytest.raises(UsageError) as raised:
        wandb_target("rag", None, home)
    assert str(raised.value) == (
        "traces to W&B need an entity: give --evals-wandb ENTITY/PROJECT, or set WANDB_ENTITY"
    )
    with pytest.raises(UsageError) as raised:
        wandb_target("rag", "team", home)
    assert str(raised.value) == (
        "traces to W&B need an API key for https://api.wandb.ai: wandb login, or set WANDB_API_KEY"
    )
    file = tmp_path / ".netrc"
    file.write_text("machine api.wandb.ai login user password kept\n")
    file.chmod(0o600)
    target = wandb_target("rag", None, {**home, "WANDB_ENTITY": "team"})
    assert target.headers == {"wandb-api-key": "kept"}
    assert target.resource["wandb.entity"] == "team"
