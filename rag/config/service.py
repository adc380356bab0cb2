"""Settings of a service that is asked over HTTP: where it is, what it is sent, what of its reply is what."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rag_evals.rag.config.llm import at_least, check_headers, one_of
from rag_evals.rag.config.tables import checked
from rag_evals.rag.errors import ConfigError

PREFIX = "http:"
Method = Literal["POST", "GET"]
# What of a passage there may be a path to, and where it is looked for.
PARTS_OF_A_PASSAGE = {
    "text": "text",
    "document": "document",
    "page": "page",
    "page_end": "page_end",
    "start": "start",
    "end": "end",
    "score": "score",
}
COUNTS_OF_TOKENS = ("read", "reused", "written")
QUESTION, HISTORY, MESSAGES = "{question}", "{history}", "{messages}"
_FROM_ENVIRONMENT = re.compile(r"env:([A-Za-z_]\w*)\Z")


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service and how it is asked. Paths are JMESPath; an empty one is looked for nowhere.

    Attributes:
        name: The pipeline's name, also the name of its pytest fixture.
        service: `http:` and its URL.
        method: `POST` sends `request` as JSON, `GET` sends `params` alone.
        request: The body; in its texts `{question}` is the question. A text that is `{history}` alone becomes
            the messages before it in a conversation, `{messages}` those and the question.
        params: What stands behind the `?` of the URL; without any a `GET` sends `question`.
        headers: Headers of each request; `$NAME` in one is an environment variable. So is, here and in
            `request` and `params`, a text `env:NAME`.
        answer: Path of the answer.
        contexts: Path of the list of passages, texts or tables.
        context: Paths in a passage that is a table, by what they lead to: `text`, `document`, `page`,
            `page_end`, `start`, `end`, `score`. Each is looked for under its own name where nothing is said.
        citations: Path of a list of what the answer cites: tables with the fields of a `Citation`, numbers of
            passages counted from 1, or names of documents; empty where that is not told beside the text.
        cites: Whether it is asked to cite: an answer without a citation is at fault then.
        stages: Paths of lists of passages that earlier stages found, by the name of the stage: `candidates`.
        seconds: Path of the seconds that the answer took, or of a table of them by stage; empty for what the
            request took.
        tokens: Paths of counts: `read`, `reused`, `written`.
        priced_as: Name of its model in the table of prices; empty where nothing is paid.
        fingerprint: Anything that changes when the answers do, such as its version; with none no answer is
            reused from an earlier run.
        most_at_once: How many questions may be under way at once.
        request_timeout: Seconds that one request may take.
        requests_per_minute: Bound on the requests; 0 for none.
        ca_file: File with certificates that are trusted as well, of a private authority; empty for none.
    """

    name: str
    service: str = ""
    method: Method = "POST"
    request: Mapping[str, Any] = field(default_factory=lambda: {"question": QUESTION}, hash=False)
    params: Mapping[str, str] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    answer: str = "answer"
    contexts: str = "contexts"
    context: Mapping[str, str] = field(default_factory=dict, hash=False)
    citations: str = ""
    cites: bool = False
    stages: Mapping[str, str] = field(default_factory=dict, hash=False)
    seconds: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, hash=False)
    priced_as: str = ""
    fingerprint: str = ""
    most_at_once: int = 4
    request_timeout: float = 120.0
    requests_per_minute: int = 0
    ca_file: str = ""

    def __post_init__(self) -> None:
        at_least(self, most_at_once=1, requests_per_minute=0)
        one_of(self, "method", get_args(Method))
        check_headers(self.headers)
        if not 0 < self.request_timeout < math.inf:
            raise ConfigError(f"request_timeout = {self.request_timeout}: above 0")
        if not self.answer:
            raise ConfigError("answer = '': wants the path of the answer in the reply")
        _check_texts("params", self.params)
        _check_texts("stages", self.stages)
        _check_texts("context", self.context, tuple(PARTS_OF_A_PASSAGE))
        _check_texts("tokens", self.tokens, COUNTS_OF_TOKENS)
        _check_template(self)

    @property
    def url(self) -> str:
        """Its URL."""
        url = self.service.removeprefix(PREFIX)
        return self.service if url.startswith("//") else url

    @property
    def sent_params(self) -> Mapping[str, str]:
        """What stands behind the `?` of the URL."""
        return self.params or ({"question": QUESTION} if self.method == "GET" else {})

    @property
    def takes_history(self) -> bool:
        """Whether it is sent what was said before a question."""
        return self.method == "POST" and any(text in (HISTORY, MESSAGES) for text in texts_in(self.request))

    @property
    def paths(self) -> Mapping[str, str]:
        """The paths in the reply, by what messages call them."""
        named = {
            "answer": self.answer,
            "contexts": self.contexts,
            "citations": self.citations,
            "seconds": self.seconds,
        }
        stages = {f"stages.{name}": path for name, path in self.stages.items()}
        return {**named, **stages, **{f"tokens.{name}": path for name, path in self.tokens.items()}}


def service_config(where: str, name: str, table: Mapping[str, Any]) -> ServiceConfig:
    """Return the settings of the service `name` in a table that messages say is in `where`.

    Raises:
        ConfigError: A key or a value in it is wrong.
    """
    known = checked(where, f"pipelines.{name}", table, ServiceConfig)
    try:
        return ServiceConfig(name=name, **known)
    except ConfigError as error:
        raise ConfigError(f"{where}: [pipelines.{name}] {error}") from None


def variable_in(text: str) -> str | None:
    """Return the environment variable that a text `env:NAME` names; None for any other text."""
    found = _FROM_ENVIRONMENT.match(text)
    return found[1] if found else None


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in nested tables and lists, but for the names in tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


def _check_texts(key: str, table: Mapping[str, Any], known: tuple[str, ...] = ()) -> None:
    for name, value in table.items():
        if known and name not in known:
            raise ConfigError(f"{key}: unknown key {name!r}: known are {', '.join(known)}")
        if not isinstance(value, str):
            raise ConfigError(f"{key}: {name} = {value!r}: wants a text")


def _check_template(config: ServiceConfig) -> None:
    key, sent = ("request", config.request) if config.method == "POST" else ("params", config.sent_params)
    try:
        json.dumps(sent, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} cannot be sent as JSON: {error}") from None
    texts = [*texts_in(sent), *texts_in(config.sent_params)]
    if not any(QUESTION in text or text == MESSAGES for text in texts):
        raise ConfigError(f"{key}: the question is nowhere in it: write {QUESTION} where it is to stand")
    for text in texts:
        for whole in (HISTORY, MESSAGES):
            if whole in text and (text != whole or text not in texts_in(config.request)):
                raise ConfigError(
                    f"{key}: {text!r}: {whole} is a list of messages, and stands alone in a text of request"
                )
