"""Answers of servers that nobody here knows, within bounds: where they lead, how much they send, how fast."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

from rag_evals.rag.errors import one_line
from rag_evals.rag.models.sources import SourceFailed, human_size

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
MOST_REDIRECTS = 5
# Bytes of a list of files; the hub's longest have about one megabyte.
MOST_LISTED = 16_000_000
# What a body brings at least in such a time, or nobody waits for the rest.
PACE_SECONDS = 60.0
PACE_BYTES = 60_000
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


def hub_library() -> Any:
    """Return the hub's library, which is not to tell anybody of us."""
    import huggingface_hub
    from huggingface_hub import constants

    # Without this every request also asks the public hub for a registry of AI agents and reports the one
    # found in the environment (huggingface_hub 2.4, utils/_detect_agent.py), whatever HF_ENDPOINT says.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def hub_headers() -> dict[str, str]:
    """Return the headers of a request to the hub, with the user's token if there is one."""
    hub_library()  # tells nobody of us, before anything of it runs
    # Imported by its name: the library has its modules as attributes only once something imported them.
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined, unused-ignore]

    headers: dict[str, str] = build_hf_headers()
    return headers


def transport_error() -> type[Exception]:
    """Return the base of what the HTTP client raises."""
    # The base of what the HTTP client raises: httpx's or httpx2's, as the hub library was built.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined, unused-ignore]

    error: type[Exception] = HTTPError
    return error


def response_status(response: Any) -> str:
    """Return the status of a response in words."""
    return one_line(f"HTTP {response.status_code} {response.reason_phrase}")


def reason_of(exc: Exception) -> str:
    """Return an error's text as part of a sentence."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(exc)) or type(exc).__name__
    return one_line(text[:1].lower() + text[1:])


def shown_url(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    return one_line(re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url)[0]))


@contextmanager
def opened(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Open the answer to a GET request, whose body is not read yet, behind its redirects.

    What a user gave for one server goes to no other, and from https nothing leads to http.

    Raises:
        SourceFailed: It leads elsewhere than to http(s), or on and on, or sends its body compressed, which
            was not asked for.
    """
    asked = {**headers, "accept-encoding": "identity"}
    timeout = (CONNECT_SECONDS, READ_SECONDS, READ_SECONDS, CONNECT_SECONDS)
    for _ in range(MOST_REDIRECTS + 1):
        with _session().stream(
            "GET", url, headers=asked, timeout=timeout, follow_redirects=False
        ) as response:
            if not response.has_redirect_location:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise SourceFailed("the server sends the file compressed, which was not asked for")
                yield response
                return
            location = response.headers["location"]
        try:
            target = urljoin(url, location)
            if not may_follow(url, target):
                raise ValueError(target)
        except ValueError as exc:
            raise SourceFailed(f"the server leads to another kind of address: {shown_url(location)}") from exc
        if _place(target) != _place(url):
            asked = {name: value for name, value in asked.items() if name.lower() not in _CREDENTIALS}
        url = target
    raise SourceFailed(f"the server leads on and on: {MOST_REDIRECTS} redirects and more")


def _session() -> Any:
    return hub_library().get_session()


def may_follow(url: str, target: str) -> bool:
    """Return whether a redirect is one between web addresses, and none from https to http."""
    schemes = {"https"} if urlsplit(url).scheme == "https" else {"http", "https"}
    return urlsplit(target).scheme in schemes and bool(urlsplit(target).hostname)


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def at_pace(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a body while they come fast enough.

    Raises:
        SourceFailed: They do not.
    """
    since, received = time.monotonic(), 0
    for chunk in chunks:
        received += len(chunk)
        passed = time.monotonic() - since
        if passed >= PACE_SECONDS:
            if received < PACE_BYTES:
                sent = f"{human_size(received)} in {passed:.0f} s"
                raise SourceFailed(
                    f"the server sends too slowly to wait for the rest ({sent}): try again later"
                )
            since, received = time.monotonic(), 0
        yield chunk


def read_whole(response: Any, most: int) -> bytes:
    """Return the body of an answer that is read in one piece.

    Raises:
        SourceFailed: It has more than `most` bytes, or comes too slowly.
    """
    body = b""
    for chunk in at_pace(response.iter_bytes()):
        body += chunk
        if len(body) > most:
            raise SourceFailed(f"the server's answer has more than {human_size(most)}")
    return body
