"""Spans: what was done for a question, when and for how long; off they cost a look at a context variable.

`with span("rerank", kind="RERANKER") as s:` times what is inside and hangs it under the span around it, also
in tasks and in threads that `asyncio.to_thread` starts. Without a `Trace` around it nothing is kept.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, ParamSpec

from rag_evals.rag.tracing.attributes import bounded_text, named, plain_attributes

# Kinds of OpenInference's conventions for traces; how its attributes are called,
# `rag_evals.rag.tracing.conventions` knows.
SpanKind = Literal[
    "CHAIN", "RETRIEVER", "RERANKER", "EMBEDDING", "LLM", "EVALUATOR", "TOOL", "AGENT", "GUARDRAIL", "PROMPT"
]
UNFINISHED = "not finished when its trace ended"

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """One step, finished.

    Attributes:
        trace_id: 32 hex digits, the same for all spans of a trace.
        span_id: 16 hex digits.
        parent_id: That of the span around it; None for the root.
        name: What was done, such as `retrieve`.
        kind: What sort of step it is.
        start_ns: Nanoseconds since 1970; all of a trace are by one clock, so that children lie in parents.
        end_ns: The same, behind it.
        attributes: Text, numbers, truth values, or lists of these, by name.
        error: What was raised in it, or why there is no result; None where all was well.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


class OpenSpan:
    """A step under way; with traces off there is a single one, which keeps nothing.

    Attributes:
        is_recording: Whether what is set is kept.
    """

    __slots__ = ()
    is_recording = False

    def set(self, attributes: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Add attributes, by their names."""

    def set_from(self, make: Callable[P, Mapping[str, Any]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Add the attributes that `make` gives, which is not called when nothing is kept."""

    def fail(self, error: BaseException | str) -> None:
        """Note why there is no result, though nothing is raised."""

    def child(
        self, name: str, kind: SpanKind = "CHAIN", *, error: str | None = None, **attributes: Any
    ) -> None:
        """Add a finished step that took all of the time from the start of this one until now."""

    def __enter__(self) -> OpenSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


OFF = OpenSpan()


class Trace:
    """Collects the spans of one trace, from any thread, until it is closed.

    Attributes:
        trace_id: 32 hex digits.
        root: The root span, by the name and with the attributes that are given; what runs inside
            `with trace.root:` is traced.
    """

    def __init__(self, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        self.trace_id = os.urandom(16).hex()
        # The wall clock may be set back in the middle: it is read once, and then counted on.
        self._epoch = time.time_ns() - time.perf_counter_ns()
        self._lock = threading.Lock()
        self._finished: list[TraceSpan] = []
        self._open: dict[str, _Recording] = {}
        self._is_closed = False
        self.root: OpenSpan = _Recording(self, None, name, "CHAIN", attributes or {})

    def now(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._epoch + time.perf_counter_ns()

    def close(self) -> tuple[TraceSpan, ...]:
        """Return all spans, the root first, then by their start; what still runs ends here, and says so."""
        with self._lock:
            self._is_closed = True
            now = self.now()
            self._finished += [one.finished(now, UNFINISHED) for one in self._open.values()]
            self._open.clear()
        # Of those that begin together the longest is around the others.
        return tuple(
            sorted(self._finished, key=lambda one: (one.parent_id is not None, one.start_ns, -one.end_ns))
        )

    def has_open(self, span_id: str) -> bool:
        """Return whether a step is under way."""
        return span_id in self._open

    def begin(self, one: _Recording) -> None:
        """Take note of a step that begins."""
        with self._lock:
            if not self._is_closed:
                self._open[one.span_id] = one

    def end(self, one: _Recording) -> None:
        """Keep a step that is over."""
        with self._lock:
            if self._open.pop(one.span_id, None) is not None:
                self._finished.append(one.finished(self.now()))

    def add(self, finished: TraceSpan) -> None:
        """Keep a step that was over at once."""
        with self._lock:
            if not self._is_closed:
                self._finished.append(finished)


class _Recording(OpenSpan):
    """A step under way whose trace is kept."""

    __slots__ = (
        "_attributes",
        "_error",
        "_kind",
        "_name",
        "_parent",
        "_start",
        "_token",
        "span_id",
        "trace",
    )
    is_recording = True

    def __init__(
        self,
        trace: Trace,
        parent: _Recording | None,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> None:
        self.trace = trace
        self.span_id = os.urandom(8).hex()
        self._parent = parent
        self._name = name
        self._kind: SpanKind = kind
        self._attributes = plain_attributes(attributes)
        self._error: str | None = None
        self._start = 0
        self._token: Token[_Recording | None] | None = None

    def set(self, attributes: Mapping[str, Any] | None = None, **more: Any) -> None:
        self._attributes = {**self._attributes, **plain_attributes({**(attributes or {}), **more})}

    def set_from(self, make: Callable[P, Mapping[str, Any]], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self.set(make(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - what is told of a step never fails the step
            self.set({"evals.untold": named(error)})

    def fail(self, error: BaseException | str) -> None:
        self._error = error if isinstance(error, str) else named(error)

    def child(
        self, name: str, kind: SpanKind = "CHAIN", *, error: str | None = None, **attributes: Any
    ) -> None:
        made = _Recording(self.trace, self, name, kind, attributes)
        made._start = self._start
        self.trace.add(made.finished(self.trace.now(), error))

    def open_one(self) -> _Recording:
        """Return this step, or that around it which is not over: some libraries forget to go back to it."""
        one = self
        while one._parent is not None and not self.trace.has_open(one.span_id):
            one = one._parent
        return one

    def __enter__(self) -> OpenSpan:
        self._start = self.trace.now()
        self.trace.begin(self)
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            # Begun in another context, as in a generator that somebody else closes: nothing to go back to.
            with contextlib.suppress(ValueError):
                _CURRENT.reset(self._token)
            self._token = None
        if error is not None:
            self.fail(error)
        self.trace.end(self)

    def finished(self, end: int, error: str | None = None) -> TraceSpan:
        """Return it as it is when it ends at `end`."""
        said = self._error or error
        return TraceSpan(
            self.trace.trace_id,
            self.span_id,
            self._parent.span_id if self._parent else None,
            self._name,
            self._kind,
            self._start,
            end,
            self._attributes,
            None if said is None else bounded_text(said),
        )


_CURRENT: ContextVar[_Recording | None] = ContextVar("rag_span", default=None)


def span(name: str, /, kind: SpanKind = "CHAIN", **attributes: Any) -> OpenSpan:
    """Return a step for a `with` statement around what is timed; an exception is noted on it and goes on.

    The attributes are what is known of it as it begins.
    """
    around = _CURRENT.get()
    if around is None:
        return OFF
    return _Recording(around.trace, around.open_one(), name, kind, attributes)


def is_tracing() -> bool:
    """Return whether there is a trace around."""
    return _CURRENT.get() is not None
