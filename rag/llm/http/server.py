"""Requests to one server: bounded in time, paced, repeated while there is hope, and failing in words."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import tenacity
import urllib3
from rag_evals.rag.errors import RemoteError, one_line
from rag_evals.rag.llm.deadline import current, remaining
from rag_evals.rag.llm.http.limits import RateLimit
from rag_evals.rag.llm.http.secrets import Secret
from rag_evals.rag.llm.http.throttle import NoTurnError, Throttle, Turn
from rag_evals.rag.llm.http.trouble import (
    TOO_OFTEN,
    Advice,
    FailedTryError,
    Failure,
    LimitedError,
    RefusedError,
    TooLargeError,
    exchange_trouble,
    http_error,
    innermost_reason,
    waited_for,
)
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import Timeout

# Seconds before the second try, doubled before each further one: most trouble is over at once, but who asks
# too often is not to come back at once.
FIRST_PAUSE = 0.1
FIRST_PAUSE_OF_TOO_OFTEN = 1.0
LONGEST_BACKOFF = 8.0
GIVEN_UP = 10  # calls in a row without success after which each further one is tried once


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


@dataclass(frozen=True, slots=True)
class Sending:
    """What is sent; a report that shows variables shows none of it.

    Attributes:
        body: JSON; None for a request without a body.
        query: What stands behind the address, with its `?`.
    """

    body: bytes | None = field(repr=False)
    query: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server answered.

    Attributes:
        data: The body.
        seconds: What the request took that was answered, without tries and waits before it.
    """

    data: bytes
    seconds: float


class Server:
    """A server that takes JSON at one address; may be called from several threads at once.

    Args:
        url: The address, whole but for the query of each request.
        headers: Headers of each request; those that are a `Secret` are never shown.
        patience: How long it is waited for.
        throttle: What gives turns to call it.
        is_final: Says of an HTTP error, by its status and text, that the server will not say anything else.
        connections: Opens connections to it.
        advice: What is to be done about trouble.
        method: The method of each request.
        fails: Finds the failure that an answer with status 200 reports.
        secrets: What else is never shown.
        most_bytes: Of an answer; a hundred times the longest that a model writes by default.
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
        advice: Advice,
        method: str = "POST",
        fails: Callable[[bytes], Failure | None] = lambda _: None,
        secrets: Sequence[str] = (),
        most_bytes: int | None = None,
    ) -> None:
        self.url = url
        self._headers = dict(headers)
        self._secrets = [*secrets, *(value for value in headers.values() if isinstance(value, Secret))]
        self._advice = advice
        self._method = method
        self._fails = fails
        self._most_bytes = most_bytes
        self._patience = patience
        self._throttle = throttle
        self._is_final = is_final
        self._manager = connections
        self._rate_limit = RateLimit(patience.clock)
        self._failed_in_row = 0
        self._lock = threading.Lock()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(FailedTryError),
            wait=self._pause,
            stop=lambda state: self._why_no_more(state) is not None,
            sleep=patience.sleep,
            retry_error_callback=self._give_up,
        )

    def post(self, body: bytes, *, tokens: int) -> bytes:
        """Send `body`, JSON, until the server answers it; return the answer's body, as `ask` does."""
        return self.ask(Sending(body), tokens=tokens).data

    def ask(self, sending: Sending, *, tokens: int = 0) -> Answered:
        """Send a request until the server answers it.

        A server that is at its limit is there: it is left alone by all calls for as long as it says, and
        asked again.

        Args:
            sending: What is sent.
            tokens: An estimate of what the call costs.

        Raises:
            RefusedError: The server refuses, and would refuse again.
            RemoteError: It cannot be reached or is in trouble, after all tries.
        """
        call = _Call(sending, tokens, self._patience.clock())
        while True:
            try:
                answer: Answered = self._retrying(self._try, call)
            except LimitedError as limited:
                self._failed_in_row = 0
                self._await_limit(limited, call)
            except RefusedError:
                self._failed_in_row = 0
                raise
            else:
                self._failed_in_row = 0
                self._rate_limit.end()
                return answer

    def _await_limit(self, limited: LimitedError, call: _Call) -> None:
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
        for value in self._secrets:
            if value.strip():
                text = text.replace(value, "***").replace(value.split()[-1], "***")
        return one_line(text) or "(nothing)"

    def close(self) -> None:
        """Close the connections."""
        self._manager.clear()

    def _try(self, call: _Call) -> Answered:
        call.tries += 1
        bound = current().longest_wait
        most = self._patience.limited if bound is None else bound
        try:
            with self._throttle.slot(tokens=call.tokens, within=remaining(), longest_hold=most) as turn:
                call.asked_at = self._patience.clock()
                return self._exchange(call, turn)
        except NoTurnError as error:
            raise RemoteError(
                f"{self.url} was not asked: {error}, and the question has no more time than that\n"
                "Give questions more time, ask fewer at once, or raise the bounds per minute."
            ) from None

    def _exchange(self, call: _Call, turn: Turn) -> Answered:
        left = remaining()
        answering = self._patience.answering if left is None else min(self._patience.answering, left)
        if answering <= 0:
            raise RemoteError(
                f"{self.url} was not asked: the question's time is over\nGive questions more time."
            )
        connecting = min(self._patience.connecting, answering)
        began = time.monotonic()
        try:
            response = self._manager.urlopen(
                self._method,
                f"{self.url}{call.sending.query}",
                body=call.sending.body,
                headers=self._headers,
                timeout=Timeout(connect=connecting, read=answering),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            data = _read(response, began + answering, self._most_bytes or MOST_BYTES)
        except HTTPError as error:
            # The frames below hold the key, and a report may show their variables.
            waited = waited_for(error, connecting, answering)
            # A question that has no time left says nothing about the server.
            if waited is not None and answering == self._patience.answering:
                turn.overloaded()
            reason = f"no answer within {waited:.3g} s" if waited is not None else innermost_reason(error)
            raise exchange_trouble(error, self.url, self.printable(reason), self._advice) from None
        failure = Failure(response.status, "", data.decode(errors="replace"))
        answered = f"{self.url} answered HTTP {response.status}"
        said = f"{answered}{self._redirect(response)}: {self.printable(failure.text)}"
        if 200 <= response.status < 300:
            reported = self._fails(data)
            if reported is None:
                turn.succeeded()
                return Answered(data, time.monotonic() - began)
            failure = replace(reported, text=f"{reported.said}\n{reported.text}")
            said = (
                f"{self.url} answered HTTP {response.status} with an error: {self.printable(reported.said)}"
            )
        if failure.status in TOO_OFTEN:
            turn.overloaded()
        is_final = self._is_final(failure.status, failure.text)
        raise http_error(failure, said, response.headers, self._advice, is_final=is_final)

    def _redirect(self, response: urllib3.BaseHTTPResponse) -> str:
        """Return in words where a redirect leads to: none is followed, the headers would go along."""
        place = response.headers.get("Location", "") if 300 <= response.status < 400 else ""
        # Before the @ may be a password, behind the ? a key.
        place = re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", place)[0])
        return f", a redirect to {self.printable(place)}" if place else ""

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

    def _give_up(self, state: tenacity.RetryCallState) -> Answered:
        why = self._why_no_more(state) or ""
        with self._lock:
            self._failed_in_row += 1
        raise self._given_up(_failure(state), state.args[0], why)

    def _given_up(self, failure: FailedTryError | LimitedError, call: _Call, why: str) -> RemoteError:
        times = "once" if call.tries == 1 else f"{call.tries} times"
        seconds = self._patience.clock() - call.began
        return RemoteError(f"{failure.said} (tried {times} over {seconds:.1f} s{why})\n{failure.remedy}")


@dataclass(slots=True)
class _Call:
    sending: Sending
    tokens: int
    began: float
    asked_at: float = 0.0
    tries: int = 0


def _failure(state: tenacity.RetryCallState) -> FailedTryError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, FailedTryError)
    return error


def _read(response: urllib3.BaseHTTPResponse, end: float, most: int) -> bytes:
    """Read the body, until `end` at the latest: a server may send it drop by drop, or without end."""
    pieces, size = [], 0
    while piece := response.read1():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            response.close()
            raise TooLargeError(f"the answer has more than {most // 10**6} MB")
        if time.monotonic() > end:
            response.close()
            raise TimedOut("the answer has no end")
    if response.length_remaining:
        raise ProtocolError("the connection was closed in the middle of the answer")
    response.release_conn()
    return b"".join(pieces)
