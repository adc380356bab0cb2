"""Requests to one server: bounded in time, paced, repeated while there is hope, and failing in words."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tenacity
import urllib3
from rag_evals.rag.errors import RemoteError, one_line
from rag_evals.rag.llm.deadline import current, remaining
from rag_evals.rag.llm.remote.connections import Secret
from rag_evals.rag.llm.remote.failures import FILTERED, failure_in
from rag_evals.rag.llm.remote.limits import RateLimit, is_spent, told_pause
from rag_evals.rag.llm.remote.throttle import NoTurnError, Throttle, Turn
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
)
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import Timeout

# Seconds before the second try, doubled before each further one: most trouble is over at once, but who asks
# too often is not to come back at once.
FIRST_PAUSE = 0.1
FIRST_PAUSE_OF_TOO_OFTEN = 1.0
LONGEST_BACKOFF = 8.0
GIVEN_UP = 10  # calls in a row without success after which each further one is tried once

TOO_OFTEN = (429, 503, 529)  # 529: Anthropic's "overloaded"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, and how often it is tried.

    Attributes:
        attempts: Requests that one call may cost, all of them failing.
        connecting: Longest wait for a connection, in seconds.
        answering: Longest time of one request, in seconds.
        limited: Longest time in which the server answers nothing but that it is at its limit, in seconds,
            where no question bounds it.
        sleep: Waits for that many seconds.
        clock: Seconds of a clock that never goes back.
    """

    attempts: int = 8
    connecting: float = 10.0
    answering: float = 120.0
    limited: float = 900.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


# Of an answer: a hundred times the longest that a model writes.
MOST_BYTES = 64 * 10**6


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
        headers: Headers of each request; those that are a `Secret` are never shown.
        patience: How long it is waited for.
        throttle: What gives turns to call it.
        is_final: Says of an HTTP error, by its status and text, that the server will not say anything else.
        connections: Opens connections to it.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        patience: Patience,
        throttle: Throttle,
        is_final: Callable[[int, str], bool],
        connections: urllib3.PoolManager,
    ) -> None:
        self.url = url
        self._headers = dict(headers)
        self._patience = patience
        self._throttle = throttle
        self._is_final = is_final
        self._manager = connections
        self._rate_limit = RateLimit(patience.clock)
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

        A server that is at its limit is there: it is left alone by all calls for as long as it says, and
        asked again. `tokens` is an estimate of what the call costs.

        Raises:
            RefusedError: The server refuses, and would refuse again.
            RemoteError: It cannot be reached or is in trouble, after all tries.
        """
        call = _Call(body, tokens, self._patience.clock())
        while True:
            try:
                answer: bytes = self._retrying(self._try, call)
            except _LimitedError as limited:
                self._failed_in_row = 0
                self._await_limit(limited, call)
            except RefusedError:
                self._failed_in_row = 0
                raise
            else:
                self._failed_in_row = 0
                self._rate_limit.end()
                return answer

    def _await_limit(self, limited: _LimitedError, call: _Call) -> None:
        """Leave the server alone for as long as it asks.

        Raises:
            RemoteError: That is longer than it may take.
        """
        limit, bound = self._rate_limit, current().longest_wait
        pause = limit.pause(limited.told, asked_at=call.asked_at)
        most = self._patience.limited if bound is None else bound
        if limit.is_given_up or limit.seconds + pause > most:
            limit.is_given_up = limit.is_given_up or pause <= most
            lasts = f"; it has said nothing else for {limit.seconds:,.0f} s" if limit.seconds >= 1 else ""
            asks = f"; it asks for a pause of {limited.told:,.0f} s" if limited.told else ""
            over = "" if bound is None else "; the question has no time left for another try"
            raise self._given_up(limited, call, lasts + asks + over)
        # One refusal among many answers is chance: the others go on.
        if limited.told or limit.is_lasting:
            self._throttle.hold(pause)
        with current().waiting(pause):
            self._patience.sleep(pause)

    def printable(self, text: str) -> str:
        """Return the first 200 characters fit for a terminal, without the secrets that a server may echo."""
        for value in self._headers.values():
            if isinstance(value, Secret) and value.strip():
                text = text.replace(value, "***").replace(value.split()[-1], "***")
        return one_line(text) or "(nothing)"

    def close(self) -> None:
        """Close the connections."""
        self._manager.clear()

    def _try(self, call: _Call) -> bytes:
        call.tries += 1
        bound = current().longest_wait
        most = self._patience.limited if bound is None else bound
        try:
            with self._throttle.slot(tokens=call.tokens, within=remaining(), longest_hold=most) as turn:
                call.asked_at = self._patience.clock()
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
            status, text = failure.status, f"{failure.said}\n{failure.text}"
            said = f"{self.url} answered HTTP {response.status} with an error: {self.printable(failure.said)}"
        raise self._http_error(status, text, said, response.headers, turn)

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
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return RemoteError(
                f"{said}\nName a file with the certificate of its authority: ca_file in the table [llm], "
                "or the environment variable SSL_CERT_FILE."
            )
        if isinstance(error, ProxyError):
            remedy = "See whether HTTP_PROXY or HTTPS_PROXY is right, or name the host in NO_PROXY."
        if isinstance(error, LocationValueError) or "407" in reason:
            return RemoteError(f"{said}\n{remedy}")
        return _FailedTryError(said, remedy)

    def _http_error(
        self, status: int, text: str, said: str, headers: Mapping[str, str], turn: Turn
    ) -> _FailedTryError | _LimitedError | RemoteError:
        if status in TOO_OFTEN:
            turn.overloaded()
        told = told_pause(headers, text) if status in (402, *TOO_OFTEN) else None
        if is_spent(status, text, told):
            return RemoteError(
                f"{said}\nIts quota is spent: pay for more, or name another model.", is_final=True
            )
        is_passing = status in (408, 429) or (status >= 500 and status != 501)
        if status == 429 or told:
            return _LimitedError(said, self._remedy(429, text), told)
        if is_passing and not self._is_final(status, text):
            return _FailedTryError(said, self._remedy(status, text), is_too_often=status in TOO_OFTEN)
        return RefusedError(f"{said}\n{self._remedy(status, text)}", status, text)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds before the next try."""
        first = FIRST_PAUSE_OF_TOO_OFTEN if _failure(state).is_too_often else FIRST_PAUSE
        backoff = min(LONGEST_BACKOFF, first * 2.0 ** (state.attempt_number - 1))
        return backoff * random.uniform(0.5, 1.0)

    def _why_no_more(self, state: tenacity.RetryCallState) -> str | None:
        """Return why there is no further try; None if there is one."""
        left = remaining()
        if self._failed_in_row >= GIVEN_UP:
            return "; the calls before failed as well"
        if state.attempt_number >= self._patience.attempts:
            return ""
        if left is not None and state.upcoming_sleep >= left:
            return "; the question has no time left for another try"
        return None

    def _give_up(self, state: tenacity.RetryCallState) -> bytes:
        why = self._why_no_more(state) or ""
        with self._lock:
            self._failed_in_row += 1
        raise self._given_up(_failure(state), state.args[0], why)

    def _given_up(self, failure: _FailedTryError | _LimitedError, call: _Call, why: str) -> RemoteError:
        times = "once" if call.tries == 1 else f"{call.tries} times"
        seconds = self._patience.clock() - call.began
        return RemoteError(f"{failure.said} (tried {times} over {seconds:.1f} s{why})\n{failure.remedy}")

    def _remedy(self, status: int, text: str) -> str:
        if FILTERED in text or '"content_filter"' in text:
            return "Have the server's content filter changed, or ask a model without one."
        if status in (401, 403):
            return "Put the server's API key into the environment variable RAG_EVALS_API_KEY."
        if status == 404 and ".azure." in self.url:
            return (
                "On Azure the URL ends in /openai/v1 or in /openai/deployments/NAME?api-version=DATE, "
                "and the model is the deployment's name."
            )
        if status == 404:
            return "Check the model's name, and the URL: it mostly ends in /v1."
        if status == 429:
            return "The server is asked too often: try again later, or set requests_per_minute."
        if status == 408 or status >= 500:
            return "See the server's log; it may still be loading the model."
        return "Check the URL, the model's name, and that the prompt fits the server's context window."


@dataclass(slots=True)
class _Call:
    body: bytes
    tokens: int
    began: float
    asked_at: float = 0.0
    tries: int = 0


class _FailedTryError(Exception):
    """Raised when another try may succeed."""

    def __init__(self, said: str, remedy: str, *, is_too_often: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.is_too_often = is_too_often


class _LimitedError(Exception):
    """Raised when the server is at its limit; `told` is the pause that it asks for, in seconds."""

    def __init__(self, said: str, remedy: str, told: float | None) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.told = told


def _failure(state: tenacity.RetryCallState) -> _FailedTryError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _FailedTryError)
    return error


def _read(response: urllib3.BaseHTTPResponse, end: float) -> bytes:
    """Read the body, until `end` at the latest: a server may send it drop by drop, or without end."""
    pieces, size = [], 0
    while piece := response.read1():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            response.close()
            raise ProtocolError(f"the answer has more than {MOST_BYTES // 10**6} MB")
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
