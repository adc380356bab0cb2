"""Language models behind an OpenAI-compatible server: llama-server, llama_cpp.server, vLLM, Ollama, hosted.

A server renders the chat template itself and reads special tokens in all of the rendered text, so
`without_template_tokens` spoils those that a document may hold. What a server gives is read defensively:
it is a stranger's program.
"""

from __future__ import annotations

import json
import math
import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.config.llm import DEFAULT_WINDOW, THOUGHT_TOKENS, LLMConfig
from rag_evals.rag.errors import ModelError, RemoteError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.deadline import unbounded
from rag_evals.rag.llm.http.connections import connections_to
from rag_evals.rag.llm.http.secrets import is_harmless
from rag_evals.rag.llm.http.server import Patience, Server
from rag_evals.rag.llm.http.throttle import Throttle
from rag_evals.rag.llm.http.trouble import RefusedError
from rag_evals.rag.llm.protocol import Choice, Completion, Prompt
from rag_evals.rag.llm.remote.address import PREFIX, headers_for, misspelled, parse_address
from rag_evals.rag.llm.remote.advice import advice_for
from rag_evals.rag.llm.remote.bodies import parsed_body
from rag_evals.rag.llm.remote.failures import failure_in
from rag_evals.rag.llm.remote.quirks import (
    Form,
    form_after,
    is_about_a_cut,
    is_about_logprobs,
    is_final,
    most_logprobs,
)
from rag_evals.rag.llm.remote.replies import (
    Reply,
    graded_choice,
    object_or_empty,
    option_said,
    parsed_reply,
)
from rag_evals.rag.llm.remote.served_model import served_weights
from rag_evals.rag.llm.weights import Weights

TOP_LOGPROBS = 20  # as many as OpenAI and, by default, vLLM give
FIRST_WORD_TOKENS = 4  # in which an answer begins behind blanks and marks of a layout
REPLY_TOKENS = 16
CHECK = Prompt(("Say yes.",))

# Control tokens of the common chat templates; the test of `without_template_tokens` names the family of each.
_BEHIND_ANGLE = (
    r"[|\uff5c]|\w+[|\uff5c]>|</?SYS>>|/?(?:s|bos|eos|pad|unk|think|tool_call|start_of_turn|end_of_turn)>"
)
_BEHIND_BRACKET = r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]"
# The first characters are matched, not looked back at: so the search leaps from one to the next.
_TEMPLATE_TOKEN = re.compile(rf"<(?={_BEHIND_ANGLE})|\[(?={_BEHIND_BRACKET})")


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
        raise misspelled(config.model)
    throttle = Throttle(
        requests_per_minute=config.requests_per_minute, tokens_per_minute=config.tokens_per_minute
    )
    effort = {"reasoning_effort": config.reasoning_effort} if config.reasoning_effort else {}
    return RemoteLLM(
        *match.groups(),
        offline=offline,
        patience=Patience(answering=config.request_timeout),
        throttle=throttle,
        thought_tokens=config.thought_tokens,
        extra_body={**effort, **config.extra_body},
        headers=config.headers,
        ca_file=config.ca_file,
        context_size=config.n_ctx,
    )


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
        extra_body: Further fields of each request.
        headers: Further headers; `$NAME` in one is an environment variable.
        ca_file: A file with certificates that are trusted as well; empty for none.
        context_size: Tokens that its context window holds, for those who pack prompts by that.

    Raises:
        ModelError: The URL is none, has credentials in it, or leaves this machine although `offline` is set;
            or the API key is none, a header, `ca_file` or the proxy of the environment.
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
        extra_body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str = "",
        context_size: int = DEFAULT_WINDOW,
    ) -> None:
        address = parse_address(model, url)
        self.name = f"{PREFIX}{model}@{address.host}"
        if offline and not address.is_near:
            raise ModelError(
                f"{self.name} is not on this machine, and offline nothing beyond it is asked\n"
                "Use a server on 127.0.0.1 or a local model, or leave offline out."
            )
        self.context_size = context_size
        self._model = model
        self._address = address
        self._extra_body = dict(extra_body or {})
        self._harmless = {name: value for name, value in (headers or {}).items() if is_harmless(name, value)}
        self._top_logprobs = TOP_LOGPROBS
        self._first_tokens = 1
        self._loading = threading.Lock()
        self._is_loaded = False
        self._thought_tokens = thought_tokens
        self._form = Form()
        patience = patience or Patience()
        self._throttle = throttle or Throttle(clock=patience.clock, sleep=patience.sleep)
        self._headers = headers_for(address, headers or {})
        self._connections = connections_to(address.url, is_near=address.is_near, ca_file=ca_file)
        url = f"{address.url}/chat/completions{address.query}"
        self._server = Server(
            url,
            self._headers,
            patience=patience,
            throttle=self._throttle,
            is_final=is_final,
            connections=self._connections,
            advice=advice_for(url),
            fails=failure_in,
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
        """SHA-256 over what is sent to which model at which URL: what the server does then cannot be seen.

        Credentials are left out, and what is as it is by default, so that earlier results stay valid.
        """
        is_default = self._thought_tokens == THOUGHT_TOKENS
        own = {
            "body": self._extra_body,
            "headers": self._harmless,
            "thought_tokens": None if is_default else self._thought_tokens,
        }
        named = {name: value for name, value in own.items() if value}
        url = self._address.url + self._address.query
        return digest(["openai", self._model, url, *([named] if named else [])])

    def load(self) -> None:
        """Ask one tiny question, once: what is wrong is said before the first real one, and quirks are known.

        It is for all questions, so that none of them bounds it.

        Raises:
            RemoteError: The server cannot be reached, refuses, or answers something else.
        """
        with self._loading, unbounded():
            if not self._is_loaded:
                self._ask(CHECK, max_tokens=REPLY_TOKENS)
                self._is_loaded = True

    def weights(self) -> Weights:
        """Ask the server what the model's weights are known by: at least by the name that it has here."""
        return served_weights(self._address, self._headers, self._connections)

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
            if not is_about_logprobs(refused.status, refused.body):
                raise
            fewer = most_logprobs(refused.body.replace(self._model, ""), below=top)
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
        form = self._form
        while True:
            # The joined parts are seen: a token could be spelled across a border.
            messages = [
                {"role": role, "content": without_template_tokens(text)} for role, text in form.turns(prompt)
            ]
            size = sum(len(message["content"]) for message in messages) // 4
            body = {"model": self._model, "messages": messages, **form.fields(max_tokens), **fields}
            body |= {**form.constraint(schema), **self._extra_body}
            try:
                reply = self._reply(body, size, max_tokens)
            except RefusedError as refused:
                if is_about_a_cut(refused):
                    reply = Reply("", "", finished=False, tokens=Tokens(), thinks=True)
                elif (other := form_after(form, refused)) != form:
                    form = other
                    continue
                else:
                    raise
            # Remembered only now that the server takes the rest of the request.
            self._form = form
            return reply

    def _reply(self, body: dict[str, Any], size: int, max_tokens: int) -> Reply:
        """Ask; `size` is an estimate of the prompt's tokens."""
        estimated = size + max_tokens
        data = self._server.post(json.dumps(body).encode(), tokens=estimated)
        try:
            table = object_or_empty(parsed_body(data))
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
