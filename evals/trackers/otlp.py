"""Spans to a collector by OTLP over HTTP: anyone's own, or that of W&B."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import next_lines
from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.environment import installed_versions
from rag_evals.evals.runs.masking import masked_text
from rag_evals.evals.runs.trace_lines import FILE, spans_in
from rag_evals.evals.trackers.tracker import Ending, TrackedFile, TrackedRun, TrackerError, unheard
from rag_evals.rag.tracing.conventions import KIND
from rag_evals.rag.tracing.spans import TraceSpan

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope


# Spans in a request; one with a hundred passages of a few thousand characters has some 300 kB.
MOST_AT_ONCE = 64
# Seconds for a request and the tries after it.
TIMEOUT = 10.0
API = "https://api.wandb.ai"
TRACES = "https://trace.wandb.ai"
_QUIET = logging.NullHandler()
# Says where W&B's traces go, in place of what follows from WANDB_BASE_URL; Weave reads it as well.
TRACE_SERVER = "WF_TRACE_SERVER_URL"


@dataclass(frozen=True, slots=True)
class OtlpTarget:
    """Where spans go.

    Attributes:
        endpoint: The whole URL.
        headers: What goes with each request, besides those of OTEL_EXPORTER_OTLP_HEADERS.
        resource: What the spans are of.
    """

    endpoint: str
    headers: Mapping[str, str]
    resource: Mapping[str, str]


def parse_collector(text: str) -> str:
    """Parse where traces are sent: `wandb`, or the URL of a collector.

    Raises:
        UsageError: It is neither, or there is a secret in it.
    """
    if text == "wandb":
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"evals_otlp = {printable(text)}: give wandb, or a URL such as http://localhost:4318/v1/traces"
        )
    if masked_text(text) != text:
        raise UsageError(
            "evals_otlp: there is a credential in the URL, which would be recorded: "
            "set OTEL_EXPORTER_OTLP_HEADERS instead"
        )
    return text


def wandb_target(project: str, entity: str | None, environment: Mapping[str, str]) -> OtlpTarget:
    """Return W&B's own endpoint for traces.

    Args:
        project: Name of the W&B project.
        entity: Whose it is; None for WANDB_ENTITY.
        environment: Has the key, and where W&B is.

    Raises:
        UsageError: There is no key, or it is not said whose the project is.
    """
    base = environment.get("WANDB_BASE_URL", "").rstrip("/") or API
    entity = entity or environment.get("WANDB_ENTITY")
    if not entity:
        raise UsageError(
            "traces to W&B need an entity: give --evals-wandb ENTITY/PROJECT, or set WANDB_ENTITY"
        )
    key = environment.get("WANDB_API_KEY") or _kept_key(base, environment)
    if not key:
        raise UsageError(
            f"traces to W&B need an API key for {printable(base)}: wandb login, or set WANDB_API_KEY"
        )
    server = environment.get(TRACE_SERVER) or (TRACES if base == API else f"{base}/traces")
    return OtlpTarget(
        f"{server.rstrip('/')}/otel/v1/traces",
        {"wandb-api-key": key},
        {"wandb.entity": entity, "wandb.project": project},
    )


def _kept_key(base: str, environment: Mapping[str, str]) -> str | None:
    """Return the key that `wandb login` has kept for the host."""
    from netrc import NetrcParseError, netrc

    home = Path(environment.get("HOME") or Path.home())
    given = environment.get("NETRC")
    for file in [Path(given)] if given else [home / ".netrc", home / "_netrc"]:
        try:
            found = netrc(file).authenticators(urlsplit(base).netloc)
        except (OSError, NetrcParseError):
            continue
        if found:
            return found[2]
    return None


class OtlpExporter:
    """Sends spans; nothing raises, and what went wrong is given as a text.

    Args:
        endpoint: The whole URL, such as http://localhost:4318/v1/traces.
        headers: What goes with each request; they win over OTEL_EXPORTER_OTLP_HEADERS.
        resource: What the spans are of; OTEL_RESOURCE_ATTRIBUTES adds to it.
        timeout: Seconds for a request and the tries after it.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._resource = _resource(resource or {})
        self._scope = InstrumentationScope("rag-evals", installed_versions().get("rag-evals"))
        # The last alone counts: earlier ones were followed by another try.
        self._answers: deque[str] = deque(maxlen=1)
        self._exporter = trace_exporter.OTLPSpanExporter(
            endpoint=endpoint,
            headers=dict(headers or {}),
            timeout=timeout,
            session=_session(self._answers),
        )
        self._where = _without_secrets(endpoint)
        # The library prints what goes wrong; here it is given back.
        self._log = logging.getLogger(trace_exporter.__name__)
        self._log.addHandler(_QUIET)
        self._propagated, self._log.propagate = self._log.propagate, False

    def export(self, spans: Sequence[TraceSpan], moved: Callable[[str], None] = unheard) -> str | None:
        """Send `spans`, and wait until they are there.

        Args:
            spans: What is to be sent.
            moved: Is told of each batch that is there.

        Returns:
            Why not all of them are; None when they are.
        """
        for some in _batches(spans):
            try:
                result = self._exporter.export(
                    [_readable(span, self._resource, self._scope) for span in some]
                )
                sent = result.name == "SUCCESS"
            except Exception as error:  # noqa: BLE001 - the network, or what the library makes of the spans
                return self._lost(f"{type(error).__name__}: {error}")
            if not sent:
                return self._lost(self._answers[-1] if self._answers else "nothing was sent")
            moved("")
        return None

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # as the library has it
        self._log.removeHandler(_QUIET)
        self._log.propagate = self._propagated

    def _lost(self, reason: str) -> str:
        text = " ".join(reason.split())
        return printable(f"traces were not taken by {self._where}: {text[:300]}")


def _session(answers: deque[str]) -> Any:
    """Return what the library sends with; `answers` then has the collector's last answer, or the error."""
    import requests

    class Session(requests.Session):
        def send(self, request: Any, **kwargs: Any) -> requests.Response:
            try:
                answer = super().send(request, **kwargs)
            except requests.RequestException as error:
                answers.append(_cause(error))
                raise
            answers.append(f"{answer.status_code} {answer.reason} {answer.text[:200]}")
            return answer

    return Session()


def _cause(error: BaseException) -> str:
    """Return what is behind the errors that libraries have wrapped it in."""
    for inner in (*error.args, getattr(error, "reason", None)):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return str(error).rpartition(": ")[2].partition(" (")[0] or type(error).__name__


def _batches(spans: Sequence[TraceSpan]) -> Iterable[Sequence[TraceSpan]]:
    return (spans[start : start + MOST_AT_ONCE] for start in range(0, len(spans), MOST_AT_ONCE))


def _without_secrets(endpoint: str) -> str:
    """Leave out user, password and query of a URL."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _resource(attributes: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk.resources import Resource

    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "rag-evals"}
    return Resource.create({**name, **attributes})


def _readable(span: TraceSpan, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.status import Status, StatusCode

    failed = span.error is not None
    event = Event("exception", {"exception.message": span.error or ""}, span.end_ns)
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes={KIND: span.kind, **span.attributes},
        events=[event] if failed else [],
        kind=SpanKind.INTERNAL,
        instrumentation_scope=scope,
        status=Status(StatusCode.ERROR, span.error) if failed else Status(StatusCode.OK),
        start_time=span.start_ns,
        end_time=span.end_ns,
    )


def _context(trace_id: str, span_id: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace_id, 16), int(span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))


WANDB = "wandb"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OtlpTracker:
    """Reads the traces beside the records; of rows it takes only that there is something new."""

    def start(self, run: TrackedRun) -> None:
        """Begin; nothing is sent before the first trace.

        Raises:
            TrackerError: The run is offline, and the collector is elsewhere.
            UsageError: W&B is to take them, and there is no key or no entity.
        """
        target = _target(run.options)
        if run.is_offline and urlsplit(target.endpoint).hostname not in LOOPBACK:
            raise TrackerError("the session is offline: no traces were sent")
        self._file = run.folder / FILE
        self._read = 0
        self._sent = 0
        self._waiting: list[TraceSpan] = []
        self._trouble: str | None = None
        self._endpoint = target.endpoint
        resource = {**target.resource, "evals.run": run.id}
        self._moved = run.moved
        self._exporter = OtlpExporter(target.endpoint, target.headers, resource)

    def config(self, values: Mapping[str, Any]) -> None:
        """Nothing: a span says what it is of."""

    def row(self, row: Mapping[str, Any], scalars: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        """Send what is new; after trouble it waits for the end, where it is tried once more."""
        self._take_new()
        if not self._trouble:
            self._send()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def file(self, file: TrackedFile) -> None:
        """Nothing."""

    def finish(self, ending: Ending) -> None:  # noqa: ARG002
        """Send the rest.

        Raises:
            TrackerError: Not all of it was taken.
        """
        self._take_new()
        self._send()
        self._exporter.close()
        if self._trouble:
            raise TrackerError(self._trouble)

    def where(self) -> Sequence[str]:
        """Return how much went where."""
        return (f"{self._sent:,} spans sent to {self._endpoint}",) if hasattr(self, "_exporter") else ()

    def _send(self) -> None:
        if not self._waiting:
            return
        self._trouble = self._exporter.export(self._waiting, self._moved)
        if not self._trouble:
            self._sent += len(self._waiting)
            self._waiting = []

    def _take_new(self) -> None:
        """Read the whole lines that came since the last time."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            self._waiting += spans_in(next_lines(file))
            self._read = file.tell()


def _target(options: Mapping[str, Any]) -> OtlpTarget:
    if options["endpoint"] == WANDB:
        return wandb_target(options["project"], options.get("entity"), os.environ)
    return OtlpTarget(str(options["endpoint"]), {}, {})
