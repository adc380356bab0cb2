"""What may go wrong with a request, in words: what happened, whether another try is worth it, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rag_evals.rag.errors import RemoteError
from rag_evals.rag.llm.http.limits import is_spent, told_pause
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
)
from urllib3.exceptions import TimeoutError as TimedOut

TOO_OFTEN = (429, 503, 529)  # 529: Anthropic's "overloaded"


@dataclass(frozen=True, slots=True)
class Advice:
    """What is said to be done about trouble.

    Attributes:
        by_status: What to do about an HTTP status and a text.
        certificate: Where a certificate is named.
        spent: What to do about a quota that is spent.
    """

    by_status: Callable[[int, str], str]
    certificate: str
    spent: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What a server reports with status 200.

    Attributes:
        status: The HTTP status that says the same; 200 where another try would not change it.
        said: What the server says of it.
        text: All that it says.
    """

    status: int
    said: str
    text: str


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


class TooLargeError(HTTPError):
    """Raised when an answer has more bytes than anybody reads."""


class FailedTryError(Exception):
    """Raised when another try may succeed."""

    def __init__(self, said: str, remedy: str, *, is_too_often: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.is_too_often = is_too_often


class LimitedError(Exception):
    """Raised when the server is at its limit; `told` is the pause that it asks for, in seconds."""

    def __init__(self, said: str, remedy: str, told: float | None) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.told = told


def exchange_trouble(error: HTTPError, url: str, reason: str, advice: Advice) -> FailedTryError | RemoteError:
    """Return what came of a request that got no answer; `reason` is why, fit to be shown."""
    said = f"{url} cannot be used: {reason}"
    remedy = "Start the server, see whether it is overloaded, or correct the URL."
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return RemoteError(
            f"{said}\nName a file with the certificate of its authority: {advice.certificate}, "
            "or the environment variable SSL_CERT_FILE."
        )
    if isinstance(error, TooLargeError):
        return RemoteError(f"{said}\nAsk it for less at once, or correct the URL.")
    if isinstance(error, ProxyError):
        remedy = "See whether HTTP_PROXY or HTTPS_PROXY is right, or name the host in NO_PROXY."
    if isinstance(error, LocationValueError) or "407" in reason:
        return RemoteError(f"{said}\n{remedy}")
    return FailedTryError(said, remedy)


def http_error(
    failure: Failure, said: str, headers: Mapping[str, str], advice: Advice, *, is_final: bool
) -> FailedTryError | LimitedError | RemoteError:
    """Return what came of a request that was answered with an error.

    Args:
        failure: The error.
        said: The same, fit to be shown.
        headers: Headers of the answer.
        advice: What is to be done about it.
        is_final: Whether the server will not say anything else.
    """
    status, text = failure.status, failure.text
    told = told_pause(headers, text) if status in (402, *TOO_OFTEN) else None
    if is_spent(status, text, told):
        return RemoteError(f"{said}\nIts quota is spent: {advice.spent}.", is_final=True)
    is_passing = status in (408, 429) or (status >= 500 and status != 501)
    if status == 429 or told:
        return LimitedError(said, advice.by_status(429, text), told)
    if is_passing and not is_final:
        return FailedTryError(said, advice.by_status(status, text), is_too_often=status in TOO_OFTEN)
    return RefusedError(f"{said}\n{advice.by_status(status, text)}", status, text)


def innermost_reason(error: BaseException) -> str:
    """Return the innermost cause: urllib3 wraps the system's errors, some of them twice."""
    within = [each for each in (error.__cause__, *error.args) if isinstance(each, BaseException)]
    return innermost_reason(within[0]) if within else str(error)


def waited_for(error: HTTPError, connecting: float, answering: float) -> float | None:
    """Return the seconds that an answer was waited for in vain; None where something else went wrong."""
    # A connection that is refused is a time-out, too, in this library.
    if not isinstance(error, TimedOut) or isinstance(error, NewConnectionError):
        return None
    return connecting if isinstance(error, ConnectTimeoutError) else answering
