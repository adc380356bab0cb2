"""Language models behind an OpenAI-compatible server: llama-server, llama_cpp.server, vLLM, Ollama, hosted.

A server renders the chat template itself and reads special tokens in all of the rendered text, so
`without_template_tokens` spoils those that a document may hold. What a server gives is read defensively:
it is a stranger's program.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.config import LLMConfig
from rag_evals.rag.errors import ModelError, RemoteError, one_line
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import Choice, Completion, Prompt
from rag_evals.rag.llm.remote.http_client import Patience, RefusedError, Server
from rag_evals.rag.llm.remote.replies import (
    Reply,
    graded_choice,
    object_or_empty,
    option_said,
    parsed_reply,
)
from rag_evals.rag.llm.remote.throttle import Throttle
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

PREFIX = "openai:"
TOP_LOGPROBS = 20  # as many as OpenAI and, by default, vLLM give
FIRST_WORD_TOKENS = 4  # in which an answer begins behind blanks and marks of a layout
REPLY_TOKENS = 16
THOUGHT_TOKENS = 2048

# Control tokens of the common chat templates; the test of `without_template_tokens` names the family of each.
_BEHIND_ANGLE = (
    r"[|\uff5c]|\w+[|\uff5c]>|</?SYS>>|/?(?:s|bos|eos|pad|unk|think|tool_call|start_of_turn|end_of_turn)>"
)
_BEHIND_BRACKET = r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]"
# The first characters are matched, not looked back at: so the search leaps from one to the next.
_TEMPLATE_TOKEN = re.compile(rf"<(?={_BEHIND_ANGLE})|\[(?={_BEHIND_BRACKET})")

_ABOUT_JSON = re.compile(r"response_format|json_schema|json_object|structured.outputs?", re.IGNORECASE)


def without_template_tokens(text: str) -> str:
    """Return `text` with a space behind the first character of every template token in it.

    So `<|im_end|>` becomes `< |im_end|>`: letters to every tokenizer, and still legible. Lone surrogates,
    which PDF files hold now and then and no JSON parser takes, become question marks.
    """
    text = _TEMPLATE_TOKEN.sub(r"\g<0> ", text)
    return text if text.isascii() else text.encode(errors="replace").decode()


def remote_llm(config: LLMConfig, *, offline: bool = False) -> RemoteLLM:
    """Make the model that `openai:MODEL@URL` names, without asking its server anything yet.

    Raises:
        ModelError: The spelling is another, or the URL is refused.
    """
    match = re.fullmatch(r"openai:(.+?)@((?i:https?)://.+)", config.model)
    if not match:
        raise _misspelled(config.model)
    throttle = Throttle(
        requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute
    )
    patience = Patience(answering=config.request_timeout)
    return RemoteLLM(*match.groups(), offline=offline, patience=patience, throttle=throttle)


class RemoteLLM:
    """A chat model behind an OpenAI-compatible server; may be called from several threads at once.

    No request, no wait for a turn and no pause before another try goes beyond `rag_evals.rag.llm.deadline`.

    Args:
        model: The model's name as the server knows it.
        url: Base of the API, mostly ending in `/v1`.
        offline: Refuse a server that is not on this machine.
        patience: How long the server is waited for, and how often it is tried.
        throttle: What gives turns to call the server; one without bounds per minute by default.
        thought_tokens: Longest thoughts of a reasoning model, before an answer or a verdict.

    Raises:
        ModelError: The URL is none, has credentials in it, or leaves this machine although `offline` is set;
            or the API key is none, or the proxy of the environment.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        offline: bool = False,
        patience: Patience | None = None,
        throttle: Throttle | None = None,
        thought_tokens: int = THOUGHT_TOKENS,
    ) -> None:
        host = _host(model, url)
        self.name = f"{PREFIX}{model}@{host}"
        if offline and not _is_loopback(host):
            raise ModelError(
                f"{self.name} is not on this machine, and offline nothing beyond it is asked\n"
                "Use a server on 127.0.0.1 or a local model, or leave offline out."
            )
        self._model = model
        self._url = url.rstrip("/")
        self._top_logprobs = TOP_LOGPROBS
        self._first_tokens = 1
        self._thought_tokens = thought_tokens
        self._form = _Form()
        patience = patience or Patience()
        self._throttle = throttle or Throttle(clock=patience.clock, sleep=patience.sleep)
        self._server = Server(
            f"{self._url}/chat/completions",
            _key(host),
            patience=patience,
            throttle=self._throttle,
            is_final=_is_final,
            is_near=_is_loopback(host),
        )
        # Nobody closes the models of a session, and a socket left open is an error where warnings are.
        self._close = weakref.finalize(self, self._server.close)

    @property
    def model(self) -> str:
        """The model's name as the server knows it, by which its price is found."""
        return self._model

    @property
    def most_at_once(self) -> int:
        """Calls that may be under way at once when the server is well."""
        return self._throttle.most

    def allow(self, most: int) -> None:
        """Let up to `most` calls be under way at once.

        Raises:
            ValueError: `most` is below 1.
        """
        self._throttle.allow(most)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the model's name and the URL: what a server does behind them cannot be seen."""
        return digest(["openai", self._model, self._url])

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of `text`: a quarter of its characters, and no fewer than its words.

        Servers have no common way to ask; four characters a token is the rule of thumb for English.
        """
        return max(math.ceil(len(text) / 4), len(text.split()))

    def complete(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Write the answer to `prompt`, greedily; the thoughts of a reasoning model are no part of it.

        A `schema` is asked for as the server takes it: as such, else as any JSON object, else not at all. So
        the text may be another than the schema says, or have words around it: the caller reads it with care.

        Raises:
            RemoteError: The server cannot be reached, refuses, or answers something else.
        """
        reply = self._ask(prompt, max_tokens=max_tokens, schema=schema)
        spent = reply.tokens
        if reply.thinks and not reply.finished and not reply.answer.strip():
            # One bound is all that servers have: it was spent on thoughts.
            reply = self._ask(prompt, max_tokens=max_tokens + self._thought_tokens, schema=schema)
            spent += reply.tokens
        return Completion(reply.answer.strip(), spent, reply.finished)

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options` among the most probable tokens where the answer begins.

        Where the server gives no probabilities, or the model thinks first, the choice is read from the text
        of the reply: all or nothing, and marked as not graded.

        Raises:
            RemoteError: The server cannot be reached, refuses, or answers something else.
        """
        top = self._top_logprobs
        reply = self._first_word(prompt, top, self._first_tokens) if top else None
        if reply and reply.is_markup and not reply.thinks:
            # Remembered: what the answer begins with is a matter of the template, and costs no verdict.
            self._first_tokens = FIRST_WORD_TOKENS
            spent = reply.tokens
            reply = self._first_word(prompt, self._top_logprobs, FIRST_WORD_TOKENS) or reply
            reply = replace(reply, tokens=spent + reply.tokens)
        if reply and reply.thinks:
            # Not remembered: whether a model thinks is a matter of the prompt, and verdicts must not
            # depend on the order of the questions.
            return self._read(prompt, options, self._thought_tokens, spent=reply.tokens)
        if reply and reply.distribution:
            return graded_choice(reply, options)
        choice = self._read(prompt, options, REPLY_TOKENS, spent=reply.tokens if reply else Tokens())
        # Remembered only now that the server takes the rest of the request.
        if not (reply and reply.is_markup):
            self._top_logprobs = 0
        return choice

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def _first_word(self, prompt: Prompt, top: int, max_tokens: int) -> Reply | None:
        """Ask for the probabilities of the first tokens; None if the server takes no such request."""
        try:
            reply = self._ask(prompt, max_tokens=max_tokens, logprobs=True, top_logprobs=top)
        except RefusedError as refused:
            if not _is_about_logprobs(refused.status, refused.body):
                raise
            fewer = _maximum(refused.body.replace(self._model, ""), below=top)
            return self._first_word(prompt, fewer, max_tokens) if fewer and top == TOP_LOGPROBS else None
        self._top_logprobs = top
        return reply

    def _read(self, prompt: Prompt, options: Sequence[str], max_tokens: int, *, spent: Tokens) -> Choice:
        # No constraint on the reply: each server spells it differently, and OpenAI answers arguments
        # it does not know with HTTP 400.
        reply = self._ask(prompt, max_tokens=max_tokens)
        spent += reply.tokens
        is_cut = reply.thinks and not reply.finished
        if is_cut and max_tokens < self._thought_tokens:
            return self._read(prompt, options, self._thought_tokens, spent=spent)
        said = option_said(reply, options)
        masses = {option: float(option == said) for option in options}
        choice = Choice(masses, float(said is None), spent, graded=False, text=reply.text)
        if said is not None or not is_cut:
            return choice
        return replace(choice, reason=f"its thoughts took all {max_tokens:,} tokens: raise thought_tokens")

    def _ask(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None, **fields: Any
    ) -> Reply:
        turns = (("system", prompt.system), ("user", "".join(prompt.parts)))
        # plain() sees the joined parts: a token could be spelled across a border.
        messages = [{"role": role, "content": without_template_tokens(text)} for role, text in turns]
        size = sum(len(message["content"]) for message in messages) // 4
        form = self._form
        while True:
            body = {"model": self._model, "messages": messages, **form.fields(max_tokens), **fields}
            body |= form.constraint(schema)
            try:
                reply = self._reply(body, size, max_tokens)
            except RefusedError as refused:
                other = form.after(refused)
                if other == form:
                    raise
                form = other
            else:
                # Remembered only now that the server takes the rest of the request.
                self._form = form
                return reply

    def _reply(self, body: dict[str, Any], size: int, max_tokens: int) -> Reply:
        """Ask; `size` is an estimate of the prompt's tokens."""
        estimated = size + max_tokens
        data = self._server.post(json.dumps(body).encode(), tokens=estimated)
        try:
            table = object_or_empty(json.loads(data))
        except ValueError:
            raise self._no_api("no JSON", data) from None
        choices = table.get("choices")
        if not isinstance(choices, list) or not choices:
            raise self._no_api("no choices", data)
        reply = parsed_reply(object_or_empty(choices[0]), object_or_empty(table.get("usage")))
        used = reply.tokens.evaluated + reply.tokens.reused + reply.tokens.generated
        self._throttle.correct(estimated=estimated, used=used or estimated)
        return reply

    def _no_api(self, lack: str, data: bytes) -> RemoteError:
        said = self._server.printable(data.decode(errors="replace"))
        return RemoteError(
            f"{self._server.url} answered HTTP 200 with {lack}: {said}\n"
            "Check that the URL is the base of an OpenAI-compatible API; it mostly ends in /v1."
        )


@dataclass(frozen=True, slots=True)
class _Form:
    """How a server wants a request spelled; OpenAI's reasoning models want another than all the others.

    Attributes:
        bound: Name of the bound on the reply's length.
        is_greedy: Whether the temperature is set, to 0.
        json: How a reply in JSON is asked for: `json_schema`, `json_object`, or not at all.
    """

    bound: str = "max_tokens"
    is_greedy: bool = True
    json: str = "json_schema"

    def fields(self, max_tokens: int) -> dict[str, Any]:
        return {self.bound: max_tokens, **({"temperature": 0} if self.is_greedy else {})}

    def constraint(self, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the fields that ask for JSON of `schema`; none without one."""
        if schema is None or not self.json:
            return {}
        if self.json == "json_object":
            return {"response_format": {"type": "json_object"}}
        # OpenAI wants a name. Strict: there every key is required and no other is allowed, as in our schemas.
        named = {"name": "item", "strict": True, "schema": dict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": named}}

    def after(self, refused: RefusedError) -> _Form:
        """Return the form that a refusal asks for; the same one if it is about something else."""
        if self.json and _is_about_json(refused.status, refused.body):
            return replace(self, json="json_object" if self.json == "json_schema" else "")
        if refused.status not in (400, 422):
            return self
        if self.bound == "max_tokens" and re.search(r"\bmax_completion_tokens\b", refused.body):
            return replace(self, bound="max_completion_tokens")
        if self.is_greedy and "temperature" in refused.body and "support" in refused.body:
            return replace(self, is_greedy=False)
        return self


def _is_final(status: int, body: str) -> bool:
    return _is_about_logprobs(status, body) or _is_about_json(status, body)


def _is_about_json(status: int, body: str) -> bool:
    # llama_cpp.server refuses a form of reply that it does not know with status 500; so did llama-server.
    return status in (400, 422, 500, 501) and bool(_ABOUT_JSON.search(body))


def _is_about_logprobs(status: int, body: str) -> bool:
    # llama_cpp.server says "logprobs is not supported" with status 500, OpenAI's reasoning models 403.
    is_request = status in (400, 403, 422)
    is_lack = status in (500, 501) and "support" in body
    return (is_request or is_lack) and "logprobs" in body


def _maximum(body: str, *, below: int) -> int | None:
    """Return the number of probabilities that a refusal allows: 2 or more, or other options are hidden."""
    numbers = [int(number) for number in re.findall(r"(?<![\w.-])\d{1,2}(?![\w-]|\.\d)", body)]
    return max((number for number in numbers if 2 <= number < below), default=None)


def _key(host: str) -> str:
    for variable in ("RAG_EVALS_API_KEY", *(["OPENAI_API_KEY"] if host == "api.openai.com" else [])):
        if key := os.environ.get(variable, "").strip():
            # The client would quote the whole header in its error.
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise ModelError(f"{variable} is no API key: it has spaces or odd characters in it")
            return key
    return ""


def _host(model: str, url: str) -> str:
    try:
        address = parse_url(url)
    except LocationParseError:
        raise _misspelled(f"{PREFIX}{model}@{url}") from None  # the cause may show a password
    if not address.host or address.port == 0:
        raise _misspelled(f"{PREFIX}{model}@{url}")
    host = address.host.strip("[]")
    if address.auth or "?" in url or "#" in url:
        raise ModelError(
            f"the URL of {PREFIX}{model}@{host} has a user, a password or a query in it\n"
            "Take it out: an API key belongs into the environment variable RAG_EVALS_API_KEY."
        )
    return host


def _misspelled(spelled: str) -> ModelError:
    # What stands between two @ may be a password, behind a ? a key.
    shown = one_line(re.sub(r"@.*@", "@…@", re.split(r"[?#]", spelled)[0]))
    return ModelError(
        f"not a remote model: {shown}\n"
        "Write openai:MODEL@URL, such as openai:qwen2.5@http://127.0.0.1:8080/v1."
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
