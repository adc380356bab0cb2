"""A service that is asked over HTTP, as a pipeline."""

from __future__ import annotations

import asyncio
import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack

from rag_evals.rag.answer import Answer, Message, Pipeline
from rag_evals.rag.config.service import ServiceConfig, service_config, variable_in
from rag_evals.rag.errors import ConfigError, RemoteError, one_line
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.deadline import unbounded
from rag_evals.rag.llm.http.connections import connections_to, is_near
from rag_evals.rag.llm.http.secrets import is_harmless
from rag_evals.rag.llm.http.server import Patience, Server
from rag_evals.rag.llm.http.throttle import Throttle
from rag_evals.rag.llm.http.trouble import Advice
from rag_evals.rag.pipelines.services.reply import Reply, UnusableReplyError
from rag_evals.rag.pipelines.services.request import Request
from rag_evals.rag.profile import Profile
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

# What a service is asked before the first question: whether it is there, lets us in, and replies as is said.
CHECK = "What can I ask you about?"
MOST_BYTES = 16 * 10**6  # of a reply: a thousand long passages
# Settings that change no answer.
_NOT_OF_ANSWERS = ("name", "priced_as", "most_at_once", "request_timeout", "requests_per_minute", "ca_file")


class ServiceSettings(TypedDict, total=False):
    """The settings of a service, as `ServiceConfig` says what each is."""

    method: Literal["POST", "GET"]
    request: Mapping[str, Any]
    params: Mapping[str, str]
    headers: Mapping[str, str]
    answer: str
    contexts: str
    context: Mapping[str, str]
    citations: str
    cites: bool
    stages: Mapping[str, str]
    seconds: str
    tokens: Mapping[str, str]
    priced_as: str
    fingerprint: str
    most_at_once: int
    request_timeout: float
    requests_per_minute: int
    ca_file: str


class Service:
    """A service as a pipeline; may be asked from several threads at once.

    No request and no pause before another try goes beyond `rag_evals.rag.llm.deadline`.

    Args:
        config: The settings.
        offline: Refuse a service that is not on this machine.
        patience: How long it is waited for, and how often it is tried.

    Attributes:
        fingerprint: SHA-256 over what is sent where and read of the reply: what the service does is not seen.
        profile: What the harness may know of it.

    Raises:
        ConfigError: The URL is none, or a path.
        ModelError: An environment variable is not set; a header, `ca_file` or the proxy cannot be used.
    """

    def __init__(
        self, config: ServiceConfig, *, offline: bool = False, patience: Patience | None = None
    ) -> None:
        self.name = config.name
        self.config = config
        host = _host(config.url)
        if offline and not is_near(host):
            raise ConfigError(
                f"the service of {config.name} at {host} is not on this machine, and offline nothing beyond "
                "it is asked\nUse a service on 127.0.0.1, or leave offline out."
            )
        self._reply = Reply(config)
        self._request = Request(config)
        patience = patience or Patience(answering=config.request_timeout)
        self._throttle = Throttle(
            config.most_at_once,
            requests_per_minute=config.requests_per_minute,
            clock=patience.clock,
            sleep=patience.sleep,
        )
        self._server = Server(
            config.url,
            self._request.headers,
            patience=patience,
            throttle=self._throttle,
            is_final=lambda *_: False,
            connections=connections_to(config.url, is_near=is_near(host), ca_file=config.ca_file),
            advice=_ADVICE,
            method=config.method,
            secrets=self._request.secrets,
            most_bytes=MOST_BYTES,
        )
        identity = _identity(config)
        self.fingerprint = digest({"service": identity})
        self.profile = Profile(
            most_at_once=config.most_at_once,
            priced_as=config.priced_as or None,
            identity=identity,
            settings=identity,
            is_cacheable=bool(config.fingerprint),
        )
        self._loading = threading.Lock()
        self._is_loaded = False
        # Nobody closes the pipelines of a session, and a socket left open is an error where warnings are.
        self._close = weakref.finalize(self, self._server.close)

    @property
    def description(self) -> str:
        """In one line what it is."""
        config = self.config
        shown = f"answer at {config.answer}, contexts at {config.contexts or 'no path'}"
        return f"{self.name}: {config.method} {config.url}, {shown}, {self.profile.most_at_once} at once"

    def allow(self, most: int) -> None:
        """Let up to `most` questions be under way at once."""
        self._throttle.allow(most)
        self.profile = replace(self.profile, most_at_once=most)

    def load(self) -> None:
        """Ask one question, once: what is wrong is said before the first real one.

        Raises:
            RemoteError: It cannot be reached, refuses, or replies something else than is said.
        """
        with self._loading, unbounded():
            if not self._is_loaded:
                self.answer_now(CHECK)
                self._is_loaded = True

    async def answer(self, question: str) -> Answer:
        """Answer `question` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.answer_now, question)

    def answer_now(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Answer `question`.

        Raises:
            RemoteError: It cannot be reached, refuses, or replies something else than is said.
        """
        answered = self._server.ask(self._request.sending(question, history))
        try:
            return self._reply.answer(answered.data, answered.seconds)
        except UnusableReplyError as error:
            what, _, remedy = str(error).partition("\n")
            said = self._server.printable(answered.data.decode(errors="replace"))
            what = self._server.printable(what)
            raise RemoteError(f"{self._server.url} answered HTTP 200, but {what}: {said}\n{remedy}") from None

    def close(self) -> None:
        """Close the connections."""
        self._close()


class ServiceWithHistory(Service):
    """A service that is sent what was said before a question in a conversation."""

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Answer `question` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.answer_now, question, history)


def service_for(config: ServiceConfig, *, offline: bool = False) -> Service:
    """Make the pipeline of a service, without asking it anything yet.

    Raises:
        RagError: The settings are wrong, or offline it is not on this machine.
    """
    kind = ServiceWithHistory if config.takes_history else Service
    return kind(config, offline=offline)


def pipeline_from_http(
    url: str, *, name: str = "service", offline: bool = False, **settings: Unpack[ServiceSettings]
) -> Pipeline:
    """Make a pipeline of a service that is asked over HTTP.

    Args:
        url: Its address, whole but for a query.
        name: Name for people.
        offline: Refuse a service that is not on this machine.
        settings: What it is sent and what of its reply is what, under the names that they have in a TOML file
            of pipelines: `method`, `request`, `params`, `headers`, `answer`, `contexts`, `context`,
            `citations`, `cites`, `stages`, `seconds`, `tokens`, `priced_as`, `fingerprint`, `most_at_once`,
            `request_timeout`, `requests_per_minute`, `ca_file`.

    Raises:
        RagError: The settings are wrong, or offline it is not on this machine.
    """
    config = service_config("pipeline_from_http", name, {"service": url, **settings})
    return service_for(config, offline=offline)


def _identity(config: ServiceConfig) -> dict[str, Any]:
    """Return what changes an answer, but for credentials."""
    known = {name: getattr(config, name) for name in config.__slots__}
    named = {name: value for name, value in known.items() if value and name not in _NOT_OF_ANSWERS}
    harmless = {name: value for name, value in config.headers.items() if _is_shown(name, value)}
    return {**named, "service": config.url, "headers": harmless}


def _is_shown(name: str, value: str) -> bool:
    return is_harmless(name, value) and variable_in(value) is None


def _host(url: str) -> str:
    """Return the host of a URL.

    Raises:
        ConfigError: It is none, or has something in it that would be shown.
    """
    # What stands before an @ may be a password, behind a ? a key.
    shown = one_line(re.sub(r"//.*@", "//…@", re.split(r"[?#]", url)[0]))
    try:
        address = parse_url(url)
    except LocationParseError:
        raise _no_address(shown) from None
    if address.scheme not in ("http", "https") or not address.host or address.port == 0:
        raise _no_address(shown)
    if address.auth or address.query is not None or address.fragment is not None:
        raise ConfigError(
            f"service = {shown!r}: there is a user, a password or a query in it\nTake it out: headers = "
            '{ Authorization = "Bearer $TOKEN" } lets us in, and params = { NAME = "VALUE" } is the query.'
        )
    return address.host.strip("[]")


def _no_address(shown: str) -> ConfigError:
    return ConfigError(f"service = {shown!r}: no address of a service; write http:https://HOST/PATH")


def _remedy(status: int, _text: str) -> str:
    if status in (401, 403):
        return 'Have a header let us in: headers = { Authorization = "Bearer $NAME" }, from the environment.'
    if 300 <= status < 400:
        return "No redirect is followed, since the headers would go along: write the address that is meant."
    if status == 404:
        return "Correct the path of the URL."
    if status == 405:
        return 'It takes another method: method = "GET" or "POST".'
    if status == 429:
        return "The service is asked too often: try again later, or set requests_per_minute."
    if status == 408 or status >= 500:
        return "See the service's log."
    return "Correct what it is sent: method, request, params and headers say that."


_ADVICE = Advice(_remedy, "ca_file in its table", "see what it is bound by")
