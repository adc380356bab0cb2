"""Language models behind an OpenAI-compatible server: llama-server, llama_cpp.server, vLLM, Ollama, hosted.

A server renders the chat template itself and reads special tokens in all of the rendered text, so `plain`
spoils those that a document may hold. What a server gives is read defensively: it is a stranger's program.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rag.answer import Tokens
from rag.errors import ModelError
from rag.fetching import one_line
from rag.identity import digest
from rag.llm import Choice, Completion, Prompt
from rag.replies import Reply, graded_choice, option_said, parsed_reply, table_of, without_thoughts

if TYPE_CHECKING:
    import httpx

PREFIX = "openai:"
TOP_LOGPROBS = 20  # as many as OpenAI and, by default, vLLM give
REPLY_TOKENS = 16
THOUGHT_TOKENS = 512

# Control tokens of the common chat templates; the test of `plain` names the family of each.
_BEHIND_ANGLE = (
    r"[|\uff5c]|\w+[|\uff5c]>|</?SYS>>|/?(?:s|bos|eos|pad|unk|think|tool_call|start_of_turn|end_of_turn)>"
)
_BEHIND_BRACKET = r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]"
_TEMPLATE_TOKEN = re.compile(rf"(?<=<)(?={_BEHIND_ANGLE})|(?<=\[)(?={_BEHIND_BRACKET})")


def plain(text: str) -> str:
    """Give `text` with a space behind the first character of every template token in it.

    So `<|im_end|>` becomes `< |im_end|>`: letters to every tokenizer, and still legible. Lone surrogates,
    which PDF files hold now and then and no JSON parser takes, become question marks.
    """
    return _TEMPLATE_TOKEN.sub(" ", text).encode(errors="replace").decode()


def remote_llm(spelled: str, *, offline: bool = False) -> RemoteLLM:
    """Make the model that `openai:MODEL@URL` names, without asking its server anything yet.

    Raises:
        ModelError: The spelling is another, or the URL is refused.
    """
    match = re.fullmatch(r"openai:(.+?)@((?i:https?)://.+)", spelled)
    if not match:
        raise _misspelled(spelled)
    return RemoteLLM(*match.groups(), offline=offline)


class RemoteLLM:
    """A chat model behind an OpenAI-compatible server; may be called from several threads at once.

    Args:
        model: The model's name as the server knows it.
        url: Base of the API, mostly ending in `/v1`.
        offline: Refuse a server that is not on this machine.
        seconds: Longest waits, for a connection and for an answer.

    Raises:
        ModelError: The URL is none, has credentials in it, or leaves this machine although `offline` is set;
            or the API key is none.
    """

    def __init__(
        self, model: str, url: str, *, offline: bool = False, seconds: tuple[float, float] = (10.0, 120.0)
    ) -> None:
        import httpx

        host = _host(model, url)
        self.name = f"{PREFIX}{model}@{host}"
        if offline and not _is_loopback(host):
            raise ModelError(
                f"{self.name} is not on this machine, and offline nothing beyond it is asked\n"
                "Use a server on 127.0.0.1 or a local model, or leave offline out."
            )
        self._model = model
        self._url = url.rstrip("/")
        self._endpoint = f"{self._url}/chat/completions"
        self._top_logprobs = TOP_LOGPROBS
        # The key lives in the client's headers only, and httpx never shows that one.
        self._client = httpx.Client(
            headers=_authorization(host),
            timeout=httpx.Timeout(seconds[1], connect=seconds[0]),
            trust_env=not _is_loopback(host),  # a proxy knows nothing of this machine's own servers
        )
        # Nobody closes the models of a session, and a socket left open is an error where warnings are.
        self._close = weakref.finalize(self, self._client.close)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the model's name and the URL: what a server does behind them cannot be seen."""
        return digest(["openai", self._model, self._url])

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of `text`: a quarter of its characters, and no fewer than its words.

        Servers have no common way to ask; four characters a token is the rule of thumb for English.
        """
        return max(math.ceil(len(text) / 4), len(text.split()))

    def complete(self, prompt: Prompt, *, max_tokens: int) -> Completion:
        """Write the answer to `prompt`, greedily; the thoughts of a reasoning model are no part of it.

        Raises:
            ModelError: The server cannot be reached, refuses, or answers something else.
        """
        reply = self._ask(prompt, max_tokens=max_tokens)
        return Completion(without_thoughts(reply.text).strip(), reply.tokens, reply.finished)

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options` among the most probable tokens at the first position.

        Where the server gives no probabilities, or the model thinks first, the choice is read from the text
        of the reply: all or nothing, and marked as not graded.

        Raises:
            ModelError: The server cannot be reached, refuses, or answers something else.
        """
        top = self._top_logprobs
        reply = self._first_position(prompt, top) if top else None
        if reply and reply.thinks:
            # Not remembered: whether a model thinks is a matter of the prompt, and verdicts must not
            # depend on the order of the questions.
            return self._read(prompt, options, THOUGHT_TOKENS, spent=reply.tokens)
        if reply and reply.distribution:
            return graded_choice(reply, options)
        choice = self._read(prompt, options, REPLY_TOKENS, spent=reply.tokens if reply else Tokens())
        # Remembered only now that the server takes the rest of the request.
        self._top_logprobs = 0
        return choice

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def _first_position(self, prompt: Prompt, top: int) -> Reply | None:
        """Ask for the first position's probabilities; None if the server does not take such a request."""
        try:
            reply = self._ask(prompt, max_tokens=1, logprobs=True, top_logprobs=top)
        except _RefusedError as refused:
            if not refused.is_about_logprobs:
                raise
            fewer = _maximum(refused.body.replace(self._model, ""), below=top)
            return self._first_position(prompt, fewer) if fewer and top == TOP_LOGPROBS else None
        self._top_logprobs = top
        return reply

    def _read(self, prompt: Prompt, options: Sequence[str], max_tokens: int, *, spent: Tokens) -> Choice:
        # No constraint on the reply: each server spells it differently, and OpenAI answers arguments
        # it does not know with HTTP 400.
        reply = self._ask(prompt, max_tokens=max_tokens)
        spent += reply.tokens
        if reply.thinks and not reply.finished and max_tokens < THOUGHT_TOKENS:
            return self._read(prompt, options, THOUGHT_TOKENS, spent=spent)
        said = option_said(reply, options)
        masses = {option: float(option == said) for option in options}
        return Choice(masses, float(said is None), spent, graded=False, text=reply.text)

    def _ask(self, prompt: Prompt, **fields: Any) -> Reply:
        turns = (("system", prompt.system), ("user", "".join(prompt.parts)))
        # plain() sees the joined parts: a token could be spelled across a border.
        messages = [{"role": role, "content": plain(text)} for role, text in turns]
        response = self._post({"model": self._model, "messages": messages, "temperature": 0, **fields})
        if not response.is_success:
            said = f"{self._endpoint} answered HTTP {response.status_code}: {self._printable(response.text)}"
            raise _RefusedError(f"{said}\n{_remedy(response.status_code)}", response)
        try:
            data = response.json()
        except ValueError as error:
            raise self._no_api("no JSON", response) from error
        choices = table_of(data).get("choices")
        if not isinstance(choices, list) or not choices:
            raise self._no_api("no choices", response)
        return parsed_reply(table_of(choices[0]), table_of(table_of(data).get("usage")))

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        import httpx

        try:
            return self._client.post(self._endpoint, json=body)
        except (httpx.HTTPError, UnicodeError) as error:  # UnicodeError: no name server could know the host
            reason = self._printable(str(error))
            if isinstance(error, httpx.TimeoutException):
                timeout, is_connect = self._client.timeout, isinstance(error, httpx.ConnectTimeout)
                reason = f"no answer within {timeout.connect if is_connect else timeout.read:g} s"
            raise ModelError(
                f"{self._endpoint} cannot be used: {reason}\n"
                "Start the server, see whether it is overloaded, or correct the URL."
            ) from error

    def _no_api(self, lack: str, response: httpx.Response) -> ModelError:
        return ModelError(
            f"{self._endpoint} answered HTTP {response.status_code} with {lack}: "
            f"{self._printable(response.text)}\n"
            "Check that the URL is the base of an OpenAI-compatible API; it mostly ends in /v1."
        )

    def _printable(self, text: str) -> str:
        """Give the first 200 characters fit for a terminal, without the API key that a server may echo."""
        key = self._client.headers.get("authorization", "").removeprefix("Bearer ")
        return one_line(text.replace(key, "***") if key else text) or "(nothing)"


class _RefusedError(ModelError):
    """Raised when a server answers with an HTTP error."""

    def __init__(self, message: str, response: httpx.Response) -> None:
        super().__init__(message)
        self.body = response.text
        # llama_cpp.server says "logprobs is not supported" with status 500.
        is_request = response.status_code in (400, 422)
        is_lack = response.status_code in (500, 501) and "support" in self.body
        self.is_about_logprobs = (is_request or is_lack) and "logprobs" in self.body


def _maximum(body: str, *, below: int) -> int | None:
    """Give the number of probabilities that a refusal allows: 2 or more, or the other options are hidden."""
    numbers = [int(number) for number in re.findall(r"(?<![\w.-])\d{1,2}(?![\w-]|\.\d)", body)]
    return max((number for number in numbers if 2 <= number < below), default=None)


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "Put the server's API key into the environment variable RAG_EVALS_API_KEY."
    if status == 404:
        return "Check the model's name, and the URL: it mostly ends in /v1."
    if status == 429:
        return "The server is asked too often: try again later."
    if status >= 500:
        return "See the server's log; it may still be loading the model."
    return "Check the URL, the model's name, and that the prompt fits the server's context window."


def _authorization(host: str) -> dict[str, str]:
    for variable in ("RAG_EVALS_API_KEY", *(["OPENAI_API_KEY"] if host == "api.openai.com" else [])):
        if key := os.environ.get(variable, "").strip():
            # httpx would quote the whole header in its error.
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise ModelError(f"{variable} is no API key: it has spaces or odd characters in it")
            return {"Authorization": f"Bearer {key}"}
    return {}


def _host(model: str, url: str) -> str:
    import httpx

    try:
        address = httpx.URL(url)
        if not address.host or address.port not in (None, *range(1, 1 << 16)):
            raise httpx.InvalidURL("no host, or no port")
    except httpx.InvalidURL:
        raise _misspelled(f"{PREFIX}{model}@{url}") from None  # the cause may show a password
    if address.userinfo or "?" in url or "#" in url:
        raise ModelError(
            f"the URL of {PREFIX}{model}@{address.host} has a user, a password or a query in it\n"
            "Take it out: an API key belongs into the environment variable RAG_EVALS_API_KEY."
        )
    return address.host


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
