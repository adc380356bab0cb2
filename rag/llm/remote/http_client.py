"""Requests to one server: bounded in time, paced, repeated while there is hope, and failing in words."""

from __future__ import annotations

import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import certifi
import tenacity
import urllib3
from rag_evals.rag.errors import ModelError, RemoteError, one_line
from rag_evals.rag.llm.deadline import remaining
from rag_evals.rag.llm.remote.failures import failure_in
from rag_evals.rag.llm.remote.throttle import NoTurnError, Throttle, Turn
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
)
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import Timeout, make_headers, parse_url

CONNECTIONS = 256  # kept open at most; what is called from more threads than that opens new ones
# Seconds before the second try, doubled before each further one: most trouble is over at once, but who asks
# too often is not to come back at once.
FIRST_PAUSE = 0.1
FIRST_PAUSE_OF_TOO_OFTEN = 1.0
LONGEST_BACKOFF = 8.0
LONGEST_PAUSE = 120.0  # seconds; a server that asks for more is given up
GIVEN_UP = 10  # calls in a row without success after which each further one is tried once

TOO_OFTEN = (429, 503, 529)  # 529: Anthropic's "overloaded"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, and how often it is tried.

    Attributes:
        attempts: Requests that one call may cost, all of them failing.
        connecting: Longest wait for a connection, in seconds.
        answering: Longest time of one request, in seconds.
        sleep: Waits for that many seconds.
        clock: Seconds of a clock that never goes back.
    """

    attempts: int = 8
    connecting: float = 10.0
    answering: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class RefusedError(RemoteError):
    """Raised when a server answers with an HTTP error that another try would not change.

    Attributes:
        status: The HTTP status.
        body: What the server said, whole.
    """

    def __init__(self, message: str, status: int, body: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Server:
    """A server that takes JSON at one address; may be called from several threads at once.

    Args:
        url: The address, whole.
        key: The API key, sent with each request and never shown; empty for none.
        patience: How long it is waited for.
        throttle: What gives turns to call it.
        is_final: Says of an HTTP error, by its status and text, that the server will not say anything else.
        is_near: Whether it is on this machine, where no proxy stands before it.

    Raises:
        ModelError: The proxy that the environment names cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience: Patience,
        throttle: Throttle,
        is_final: Callable[[int, str], bool],
        is_near: bool,
    ) -> None:
        self.url = url
        self._key = _Secret(key)
        self._headers = {"Content-Type": "application/json", "User-Agent": "rag-evals"}
        if key:
            self._headers["Authorization"] = _Secret(f"Bearer {key}")
        self._patience = patience
        self._throttle = throttle
        self._is_final = is_final
        self._manager = _manager(url, is_near=is_near)
        self._failed_in_row = 0
        self._lock = threading.Lock()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_FailedTryError),
            wait=self._pause,
            stop=lambda state: self._why_no_more(state) is not None,
            sleep=patience.sleep,
            retry_error_callback=self._give_up,
        )

    def post(self, body: bytes, *, tokens: int) -> bytes:
        """Send `body`, JSON, until the server answers it; return the answer's body.

        `tokens` is an estimate of what the call costs.

        Raises:
            RefusedError: The server refuses, and would refuse again.
            RemoteError: It cannot be reached or is in trouble, after all tries.
        """
        try:
            answer: bytes = self._retrying(self._try, _Call(body, tokens, self._patience.clock()))
        except RefusedError:
            self._failed_in_row = 0
            raise
        self._failed_in_row = 0
        return answer

    def printable(self, text: str) -> str:
        """Return the first 200 characters fit for a terminal, without the API key that a server may echo."""
        return one_line(text.replace(self._key, "***") if self._key else text) or "(nothing)"

    def close(self) -> None:
        """Close the connections."""
        self._manager.clear()

    def _try(self, call: _Call) -> bytes:
        try:
            with self._throttle.slot(tokens=call.tokens, within=remaining()) as turn:
                return self._exchange(call.body, turn)
        except NoTurnError as error:
            raise RemoteError(
                f"{self.url} was not asked: {error}, and the question has no more time than that\n"
                "Give questions more time, ask fewer at once, or raise the bounds per minute."
            ) from None

    def _exchange(self, body: bytes, turn: Turn) -> bytes:
        left = remaining()
        answering = self._patience.answering if left is None else min(self._patience.answering, left)
        if answering <= 0:
            raise RemoteError(
                f"{self.url} was not asked: the question's time is over\nGive questions more time."
            )
        connecting = min(self._patience.connecting, answering)
        end = time.monotonic() + answering
        try:
            response = self._manager.urlopen(
                "POST",
                self.url,
                body=body,
                headers=self._headers,
                timeout=Timeout(connect=connecting, read=answering),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            data = _read(response, end)
        except HTTPError as error:
            # The frames below hold the key, and a report may show their variables.
            raise self._trouble(error, turn, connecting, answering) from None
        status, text = response.status, data.decode(errors="replace")
        said = f"{self.url} answered HTTP {status}: {self.printable(text)}"
        if 200 <= status < 300:
            failure = failure_in(data)
            if failure is None:
                turn.succeeded()
                return data
            status, text = failure.status, failure.text
            said = f"{self.url} answered HTTP {response.status} with an error: {self.printable(failure.said)}"
        raise self._http_error(status, text, said, response.headers.get("Retry-After"), turn)

    def _trouble(
        self, error: HTTPError, turn: Turn, connecting: float, answering: float
    ) -> _FailedTryError | RemoteError:
        reason = self.printable(_reason(error))
        # A connection that is refused is a time-out, too, in this library.
        if isinstance(error, TimedOut) and not isinstance(error, NewConnectionError):
            waited = connecting if isinstance(error, ConnectTimeoutError) else answering
            reason = f"no answer within {waited:.3g} s"
            # A question that has no time left says nothing about the server.
            if answering == self._patience.answering:
                turn.overloaded()
        said = f"{self.url} cannot be used: {reason}"
        remedy = "Start the server, see whether it is overloaded, or correct the URL."
        if isinstance(error, LocationValueError) or "CERTIFICATE_VERIFY_FAILED" in reason:
            return RemoteError(f"{said}\n{remedy}")
        return _FailedTryError(said, remedy)

    def _http_error(
        self, status: int, text: str, said: str, retry_after: str | None, turn: Turn
    ) -> _FailedTryError | RemoteError:
        if status in TOO_OFTEN:
            turn.overloaded()
        is_passing = status in (408, 429) or (status >= 500 and status != 501)
        if is_passing and not self._is_final(status, text):
            pause = asked_pause(retry_after)
            return _FailedTryError(said, _remedy(status, text), pause, is_too_often=status in TOO_OFTEN)
        return RefusedError(f"{said}\n{_remedy(status, text)}", status, text)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds before the next try: what the server asks for, and no less than the backoff."""
        # A little more than asked for, and not the same for all: else all would come back together.
        failure = _failure(state)
        asked = (failure.pause or 0.0) * random.uniform(1.0, 1.2)
        first = FIRST_PAUSE_OF_TOO_OFTEN if failure.is_too_often else FIRST_PAUSE
        backoff = min(LONGEST_BACKOFF, first * 2.0 ** (state.attempt_number - 1))
        return max(asked, backoff * random.uniform(0.5, 1.0))

    def _why_no_more(self, state: tenacity.RetryCallState) -> str | None:
        """Return why there is no further try; None if there is one."""
        left = remaining()
        if self._failed_in_row >= GIVEN_UP:
            return "; the calls before failed as well"
        if state.attempt_number >= self._patience.attempts:
            return ""
        if state.upcoming_sleep > LONGEST_PAUSE:
            return f"; it asks for a pause of {_failure(state).pause:,.0f} s"
        if left is not None and state.upcoming_sleep >= left:
            return "; the question has no time left for another try"
        return None

    def _give_up(self, state: tenacity.RetryCallState) -> bytes:
        failure, call = _failure(state), state.args[0]
        why = self._why_no_more(state) or ""
        with self._lock:
            self._failed_in_row += 1
        times = "once" if state.attempt_number == 1 else f"{state.attempt_number} times"
        seconds = self._patience.clock() - call.began
        raise RemoteError(f"{failure.said} (tried {times} over {seconds:.1f} s{why})\n{failure.remedy}")


@dataclass(frozen=True, slots=True)
class _Call:
    body: bytes
    tokens: int
    began: float


class _FailedTryError(Exception):
    """Raised when another try may succeed."""

    def __init__(
        self, said: str, remedy: str, pause: float | None = None, *, is_too_often: bool = False
    ) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.pause = pause
        self.is_too_often = is_too_often


class _Secret(str):
    """A text that is sent and never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def asked_pause(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date; None where there is none, or none that can be read."""
    value = (value or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date with the zone -0000 is in UTC and comes without a zone.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _failure(state: tenacity.RetryCallState) -> _FailedTryError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _FailedTryError)
    return error


def _read(response: urllib3.BaseHTTPResponse, end: float) -> bytes:
    """Read the body, until `end` at the latest: a server may send it drop by drop."""
    pieces = []
    while piece := response.read1():
        pieces.append(piece)
        if time.monotonic() > end:
            response.close()
            raise TimedOut("the answer has no end")
    if response.length_remaining:
        raise ProtocolError("the connection was closed in the middle of the answer")
    response.release_conn()
    return b"".join(pieces)


def _reason(error: BaseException) -> str:
    """Return the innermost cause: urllib3 wraps the system's errors, some of them twice."""
    within = [each for each in (error.__cause__, *error.args) if isinstance(each, BaseException)]
    return _reason(within[0]) if within else str(error)


def _remedy(status: int, text: str) -> str:
    if "content_filter" in text:
        return "Have the server's content filter changed, or ask a model without one."
    if status in (401, 403):
        return "Put the server's API key into the environment variable RAG_EVALS_API_KEY."
    if status == 404:
        return "Check the model's name, and the URL: it mostly ends in /v1."
    if status == 429:
        return "The server is asked too often: try again later, or set requests_per_minute."
    if status == 408 or status >= 500:
        return "See the server's log; it may still be loading the model."
    return "Check the URL, the model's name, and that the prompt fits the server's context window."


def _manager(url: str, *, is_near: bool) -> urllib3.PoolManager:
    address = parse_url(url)
    trust = _trust(address.scheme)
    # A proxy knows nothing of this machine's own servers.
    proxies = {} if is_near or proxy_bypass(address.host or "") else getproxies()
    proxy = proxies.get(address.scheme or "") or proxies.get("all")
    if not proxy:
        return urllib3.PoolManager(1, maxsize=CONNECTIONS, ssl_context=trust)
    try:
        before = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        headers = make_headers(proxy_basic_auth=unquote(before.auth)) if before.auth else {}
        return urllib3.ProxyManager(
            before._replace(auth=None).url,
            1,
            proxy_headers={name: _Secret(value) for name, value in headers.items()},
            maxsize=CONNECTIONS,
            ssl_context=trust,
        )
    except (HTTPError, AssertionError):
        # Not shown: there may be a password in it.
        raise ModelError(
            f"the proxy for {address.scheme} in the environment cannot be used: it is no http:// or https:// "
            "address\nCorrect HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or name the host in NO_PROXY."
        ) from None


def _trust(scheme: str | None) -> ssl.SSLContext | None:
    if scheme != "https":
        return None
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())
