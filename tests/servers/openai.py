"""An OpenAI-compatible server on 127.0.0.1 that says what a test scripts, and keeps what it was asked.

`python -m tests.servers.openai --delay 0.1` runs one in a process of its own, for benchmarks: it prints its
URL, answers every question alike, and ends by a signal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USAGE = {"prompt_tokens": 20, "completion_tokens": 1}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the server: a table goes out as JSON, a text as it is, piece by piece a tuple of texts.

    Attributes:
        body: What is sent.
        status: HTTP status.
        seconds: Wait before the answer, and before each further piece of it.
        headers: Headers beside Content-Length, which they may replace.
        is_dropped: Close the connection behind the body; without any answer if that is empty.
    """

    body: Any
    status: int = 200
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with answers, beside what is scripted.

    Attributes:
        delay: Seconds before every answer.
        failing: Share of the requests that fail with `status`, at once.
        status: HTTP status of those.
        retry_after: Their Retry-After header; empty for none.
        dropped: Share of the requests whose connection is closed in place of an answer.
        room: Requests that are served at full speed; n times as many take n times the delay. 0 for no bound.
        most: Requests under way beyond which further ones get `status`, as a full queue does. 0 for no bound.
        allowance: Requests that are answered in each window; further ones get `status`. 0 for no bound.
        window: Seconds of a window, which begins with its first request.
    """

    delay: float = 0.0
    failing: float = 0.0
    status: int = 429
    retry_after: str = ""
    dropped: float = 0.0
    room: int = 0
    most: int = 0
    allowance: int = 0
    window: float = 60.0


def reply(text: Any, *, finish: str | None = "stop", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion with this text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    return {"choices": [{**choice, "finish_reason": finish}], "usage": usage}


def graded(top: Mapping[str, float], *, usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion of one token, with the probabilities of the first position."""
    entries = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in top.items()]
    body = reply(entries[0]["token"], finish="length", usage=usage, **message)
    body["choices"][0]["logprobs"] = {"content": [{**entries[0], "top_logprobs": entries}]}
    return body


@dataclass
class LoopbackOpenAI:
    """Answers each request with what `answer` makes of its body; one event loop serves all connections.

    Attributes:
        answer: Called on the loop, one request at a time.
        faults: What goes wrong; may be replaced at any time.
        keeps: Whether `asked` is filled.
        tls: Files of a certificate and its key, to be asked by https.
        about: What is said to requests without a body, by path; 404 to others.
        asked: The requests in the order in which they came.
        told: The paths of those without a body.
        under_way: Requests being answered now.
        peak: Most requests that were ever under way.
    """

    answer: Callable[[dict[str, Any]], Said | dict[str, Any] | str]
    faults: Faults = Faults()
    keeps: bool = True
    tls: tuple[Path, Path] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    under_way: int = 0
    peak: int = 0
    _window_began: float = -math.inf
    _in_window: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(7))
    _connections: set[_Connection] = field(default_factory=set)

    def __enter__(self) -> LoopbackOpenAI:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self.listen(0))
        self.url = url_of(self._server)
        if self.tls:
            self.url = self.url.replace("http://127.0.0.1", "https://localhost")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def listen(self, port: int) -> asyncio.Server:
        """Listen on a port of 127.0.0.1, 0 for a free one."""
        loop = asyncio.get_running_loop()
        context = None
        if self.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.tls)
        return await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", port, backlog=512, ssl=context
        )

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [one.body for one in self.asked]

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def drop_connections(self) -> None:
        """Close every connection, as a server that is started anew."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(5)

    async def _drop(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # an aborted connection is lost in the next round of the loop

    async def _stop(self) -> None:
        self._server.close()
        await self._drop()
        await self._server.wait_closed()

    async def respond(self, asked: Asked) -> Said:
        """Return what is to be sent, after its delay."""
        if self.keeps:
            self.asked.append(asked)
        faults = self.faults
        if self._happens(faults.dropped):
            return Said("", is_dropped=True)
        is_refused = 0 < faults.most < self.under_way or self._is_beyond_allowance(faults)
        if self._happens(faults.failing) or is_refused:
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            return Said('{"error": {"message": "not now"}}', faults.status, headers=headers)
        said = self.answer(asked.body)
        said = said if isinstance(said, Said) else Said(said)
        crowd = max(1.0, self.under_way / faults.room) if faults.room else 1.0
        await asyncio.sleep(faults.delay * crowd + said.seconds)
        return said

    def _is_beyond_allowance(self, faults: Faults) -> bool:
        if not faults.allowance:
            return False
        now = time.monotonic()
        if now - self._window_began >= faults.window:
            self._window_began, self._in_window = now, 0
        self._in_window += 1
        return self._in_window > faults.allowance

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests on it come one behind the other, as our clients send them."""

    def __init__(self, server: LoopbackOpenAI) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, path, _ = first.split(" ")
        if method == "GET":
            self._task = asyncio.get_running_loop().create_task(self._tell(path))
            return
        asked = Asked(path, headers, json.loads(rest[:length]))
        # The task is kept alive by the connection.
        self._task = asyncio.get_running_loop().create_task(self._answer(asked))

    async def _tell(self, path: str) -> None:
        """Answer a request without a body: what the server says of itself at that path, or 404."""
        self._server.told.append(path)
        said = self._server.about.get(path)
        body = _encoded({} if said is None else said)
        head = f"HTTP/1.1 {404 if said is None else 200} Said\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    async def _answer(self, asked: Asked) -> None:
        server = self._server
        server.under_way += 1
        server.peak = max(server.peak, server.under_way)
        # Unless there is an answer: a script that has come to its end leaves no client waiting.
        said = Said("", is_dropped=True)
        try:
            said = await server.respond(asked)
        finally:
            server.under_way -= 1
            if said.is_dropped and not said.body:
                self.abort()
        if said.is_dropped and not said.body:
            return
        first, *others = [_encoded(piece) for piece in _pieces(said.body)]
        length = len(first) + sum(map(len, others))
        headers = {"Content-Length": str(length), **said.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        # One write: a head and a body sent apart would wait for the client's delayed acknowledgement.
        self._transport.write(f"HTTP/1.1 {said.status} Said\r\n{lines}\r\n".encode() + first)
        for piece in others:
            await asyncio.sleep(said.seconds)
            self._transport.write(piece)
        if said.is_dropped:
            self._transport.close()


def _pieces(body: Any) -> tuple[Any, ...]:
    return body if isinstance(body, tuple) else (body,)


def _encoded(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def url_of(server: asyncio.Server) -> str:
    """The base of the API on a listening server."""
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


YES = json.dumps(graded({"yes": 0.9, "no": 0.1})).encode()
RAIN = json.dumps(reply("It rained.")).encode()


def yes(body: dict[str, Any]) -> Said:
    """The same answer to everything: a verdict where probabilities are asked for, else a sentence."""
    return Said(YES if "logprobs" in body else RAIN)


async def _serve(port: int, faults: Faults) -> None:
    server = LoopbackOpenAI(yes, faults, keeps=False)
    listening = await server.listen(port)
    print(url_of(listening), flush=True)  # noqa: T201 - whoever started the process reads it
    await listening.serve_forever()


def main(arguments: list[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.openai", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    for name, default in (("delay", 0.0), ("failing", 0.0), ("dropped", 0.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--status", type=int, default=429)
    parser.add_argument("--retry-after", default="")
    parser.add_argument("--room", type=int, default=0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--allowance", type=int, default=0)
    parser.add_argument("--window", type=float, default=60.0)
    settings = vars(parser.parse_args(arguments))
    port = settings.pop("port")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, Faults(**settings)))


if __name__ == "__main__":
    main()
