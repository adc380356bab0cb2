"""Settings of a language model, and what every table of settings is checked for."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, get_args

from rag_evals.rag.errors import ConfigError

CacheType = Literal["f16", "q8_0"]
DEFAULT_WINDOW = 4096  # tokens
# More than most models think about a question with its passages; a bound costs nothing that is not used.
THOUGHT_TOKENS = 2048
# Fields of a request that are the harness's own.
_OWN_FIELDS = (
    "model",
    "messages",
    "stream",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "response_format",
)


def _check_body(body: Mapping[str, Any]) -> None:
    if own := [name for name in body if name in _OWN_FIELDS]:
        raise ConfigError(f"extra_body: {own[0]} is set by the harness itself, take it out")
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"extra_body cannot be sent as JSON: {error}") from None


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse a header that is none.

    Raises:
        ConfigError: There is one.
    """
    for name, value in headers.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not isinstance(value, str):
            raise ConfigError(
                f'headers: {name} is no header with a text: write headers = {{ NAME = "VALUE" }}'
            )


@dataclass(frozen=True, slots=True)
class LLMConfig:
    """A language model and how to run it.

    Attributes:
        model: A name of the catalogue, a path of a GGUF file, or a URL of one; `openai:MODEL@URL` asks an
            OpenAI-compatible server, to which only the settings from `request_timeout` on mean anything.
        n_ctx: Tokens of the context window; of a model on a server what the `llamaindex` judge packs its
            prompts for.
        n_batch: Tokens evaluated in one pass.
        n_threads: Threads; 0 takes as many as were measured to be fastest, at most one a core.
        n_gpu_layers: Layers on the GPU; -1 for all, 0 for none.
        kept_tokens: Tokens of earlier prompts whose keys and values are kept in memory, so that what begins
            alike is not read again; 0 keeps the last prompt only. Changes no result.
        flash_attn: Whether attention is computed block by block. Changes results in the last digits, as
            does `cache_type`; `benchmarks/tuning.py` measures what they bring.
        cache_type: Type of the keys and values, `f16` or `q8_0`, which takes half the memory and needs
            `flash_attn`.
        request_timeout: Seconds that one request to a server may take.
        requests_per_minute: Bound on the requests to a server; 0 for none.
        tokens_per_minute: Bound on the tokens that they cost, read and written; 0 for none.
        thought_tokens: Tokens that a reasoning model may think before an answer or a verdict.
        reasoning_effort: How hard it is to think, in the words of the server; empty leaves it to the server.
        extra_body: Further fields of each request.
        headers: Further headers of each request; `$NAME` in one is an environment variable.
        ca_file: File with certificates that are trusted as well, of a private authority; empty for none.
    """

    model: str = "qwen2.5-coder-1.5b-instruct"
    n_ctx: int = DEFAULT_WINDOW
    n_batch: int = 512
    n_threads: int = 0
    n_gpu_layers: int = 0
    kept_tokens: int = 4096
    flash_attn: bool = False
    cache_type: CacheType = "f16"
    request_timeout: float = 120.0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    thought_tokens: int = THOUGHT_TOKENS
    reasoning_effort: str = ""
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    ca_file: str = ""

    def __post_init__(self) -> None:
        at_least(self, n_ctx=64, n_batch=8, n_threads=0, n_gpu_layers=-1, kept_tokens=0)
        at_least(self, requests_per_minute=0, tokens_per_minute=0, thought_tokens=1)
        _check_body(self.extra_body)
        check_headers(self.headers)
        if not 0 < self.request_timeout < math.inf:
            raise ConfigError(f"request_timeout = {self.request_timeout}: above 0")
        one_of(self, "cache_type", get_args(CacheType))
        if self.cache_type != "f16" and not self.flash_attn:
            raise ConfigError(f"cache_type = {self.cache_type!r}: needs flash_attn = true")

    @property
    def threads(self) -> int:
        """Threads to use: as set, or the cores this process may use."""
        return self.n_threads or len(os.sched_getaffinity(0))


def at_least(config: Any, **bounds: int) -> None:
    """Refuse values below their bound.

    Raises:
        ConfigError: There is one.
    """
    for key, bound in bounds.items():
        if not getattr(config, key) >= bound:
            raise ConfigError(f"{key} = {getattr(config, key)}: at least {bound}")


def one_of(config: Any, key: str, known: Sequence[str]) -> None:
    """Refuse a value that is none of the known ones, with the nearest of them.

    Raises:
        ConfigError: It is none of them.
    """
    value = getattr(config, key)
    if value not in known:
        hint = get_close_matches(value, known, 1)
        tail = f"; did you mean {hint[0]!r}?" if hint else ""
        raise ConfigError(f"{key} = {value!r}: one of {', '.join(known)}{tail}")
