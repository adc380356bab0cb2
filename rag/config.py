"""Pipeline settings: frozen, read from TOML, and their fingerprint."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from rag_evals.rag.errors import ConfigError

Retriever = Literal["vector", "auto_merging"]
PassageOrder = Literal["best_first", "best_last"]
CacheType = Literal["f16", "q8_0"]


def _at_least(config: Any, **bounds: int) -> None:
    for key, bound in bounds.items():
        if getattr(config, key) < bound:
            raise ConfigError(f"{key} = {getattr(config, key)}: at least {bound}")


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


def _check_headers(headers: Mapping[str, str]) -> None:
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
        _at_least(self, n_ctx=64, n_batch=8, n_threads=0, n_gpu_layers=-1, kept_tokens=0)
        _at_least(self, requests_per_minute=0, tokens_per_minute=0, thought_tokens=1)
        _check_body(self.extra_body)
        _check_headers(self.headers)
        if not 0 < self.request_timeout < math.inf:
            raise ConfigError(f"request_timeout = {self.request_timeout}: above 0")
        if self.cache_type not in get_args(CacheType):
            raise ConfigError(f"cache_type = {self.cache_type!r}: one of {', '.join(get_args(CacheType))}")
        if self.cache_type != "f16" and not self.flash_attn:
            raise ConfigError(f"cache_type = {self.cache_type!r}: needs flash_attn = true")

    @property
    def threads(self) -> int:
        """Threads to use: as set, or the cores this process may use."""
        return self.n_threads or len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Every knob of a pipeline.

    Attributes:
        name: The pipeline's name, also the name of its pytest fixture.
        retriever: `vector` takes the nearest chunks; `auto_merging` merges leaves into their parents.
        chunk_sizes: Tokens per chunk; one number for `vector`, parents to leaves for `auto_merging`.
        chunk_overlap: Tokens shared by neighbouring chunks.
        top_k: Chunks the vector index gives.
        merge_ratio: Share of a parent's children that must be exceeded for the parent to take their place.
        reranker: `none`, `llm`, `auto`, or the name or path of a cross-encoder. `auto` is the
            cross-encoder `ms-marco-minilm-l-6-v2` where it is in the cache, else `llm`.
        rerank_top_n: Passages kept after reranking.
        context_tokens: Token budget for passages; what does not fit is left out whole.
        passage_order: `best_first` or `best_last`: the order in which the model sees the passages. A small
            model leans to what stands nearest to the question.
        max_answer_tokens: Bound on the answer's length.
        instruction: What the model is told behind the passages and the question.
        embedder: A name of the catalogue or a path.
        llm: The answering model.
    """

    name: str
    retriever: Retriever = "vector"
    chunk_sizes: tuple[int, ...] = (200,)
    chunk_overlap: int = 20
    top_k: int = 3
    merge_ratio: float = 0.5
    reranker: str = "none"
    rerank_top_n: int = 4
    context_tokens: int = 1100
    passage_order: PassageOrder = "best_first"
    max_answer_tokens: int = 160
    instruction: str = ""
    embedder: str = "all-minilm-l6-v2"
    llm: LLMConfig = LLMConfig()

    def __post_init__(self) -> None:
        _at_least(self, top_k=1, chunk_overlap=0, rerank_top_n=1, context_tokens=1, max_answer_tokens=1)
        if self.retriever not in get_args(Retriever):
            raise ConfigError(f"retriever = {self.retriever!r}: one of {', '.join(get_args(Retriever))}")
        if self.passage_order not in get_args(PassageOrder):
            raise ConfigError(
                f"passage_order = {self.passage_order!r}: one of {', '.join(get_args(PassageOrder))}"
            )
        if self.retriever == "vector" and len(self.chunk_sizes) != 1:
            raise ConfigError(f"chunk_sizes = {list(self.chunk_sizes)}: the vector retriever takes one size")
        if self.retriever == "auto_merging" and len(self.chunk_sizes) < 2:
            raise ConfigError(
                f"chunk_sizes = {list(self.chunk_sizes)}: the auto_merging retriever takes two sizes or more"
            )
        if min(self.chunk_sizes) < 16:
            raise ConfigError(f"chunk_sizes = {list(self.chunk_sizes)}: at least 16 each")
        if list(self.chunk_sizes) != sorted(set(self.chunk_sizes), reverse=True):
            raise ConfigError(f"chunk_sizes = {list(self.chunk_sizes)}: from large to small")
        if not 0 < self.merge_ratio <= 1:
            raise ConfigError(f"merge_ratio = {self.merge_ratio}: above 0, at most 1")


def load_configs(path: Path | None = None) -> dict[str, PipelineConfig]:
    """Read pipelines from a TOML file; without one, those that come with the package.

    The file has a table `[llm]`, a table `[judge]`, a table `[defaults]` and a table `[pipelines.NAME]` each;
    a key in a pipeline's own table wins.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    where, data = _tables(path)
    _checked(where, "judge", data.get("judge", {}), LLMConfig)
    if not data.get("pipelines"):
        raise ConfigError(f"{where}: no [pipelines.NAME] table in it")
    return {name: _pipeline(where, name, data) for name in data["pipelines"]}


def judge_llm_for(path: Path | None, answering: LLMConfig, model: str | None) -> LLMConfig:
    """Return the settings of the judging model: those of the answering one, those of `[judge]` over them.

    Headers, further fields and the effort are for the model that they were written for: a judge on another
    model has those of `[judge]` alone.

    Args:
        path: The TOML file of pipelines; None for the one that comes with the package.
        answering: The settings of the answering model.
        model: The judging model in place of the file's.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    where, data = _tables(path)
    own = _checked(where, "judge", data.get("judge", {}), LLMConfig)
    model = model or own.get("model") or answering.model
    is_other = model != answering.model
    shared = replace(answering, headers={}, extra_body={}, reasoning_effort="") if is_other else answering
    try:
        return replace(shared, **{**own, "model": model})
    except ConfigError as error:
        raise ConfigError(f"{where}: [judge] {error}") from None


def _tables(path: Path | None) -> tuple[str, dict[str, Any]]:
    """Return what messages call the file, and its tables."""
    where = str(path) if path else "pipelines.toml"
    data = read_toml(path or Path(__file__).with_name("pipelines.toml"), where)
    _check_keys(where, "", data, ("llm", "judge", "defaults", "pipelines"))
    for section in data:
        _check_table(where, section, data[section])
    return where, data


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """Read a TOML file that messages call `where`.

    Raises:
        ConfigError: It is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: not TOML: nested too deeply") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error


def config_for(name: str, *, path: Path | None = None, model: str | None = None) -> PipelineConfig:
    """Return the settings of the pipeline `name`, with another language model where `model` is given.

    Raises:
        ConfigError: There is no such pipeline, or the file is wrong.
    """
    configs = load_configs(path)
    if name not in configs:
        raise ConfigError(f"unknown pipeline {name!r}: known are {', '.join(sorted(configs))}")
    config = configs[name]
    return replace(config, llm=replace(config.llm, model=model)) if model else config


def _pipeline(where: str, name: str, data: Mapping[str, Any]) -> PipelineConfig:
    own = data["pipelines"][name]
    _check_table(where, f"pipelines.{name}", own)
    table = {**data.get("defaults", {}), **own}
    own_llm = table.pop("llm", {})
    _check_table(where, f"pipelines.{name}.llm", own_llm)
    llm = {**data.get("llm", {}), **own_llm}
    try:
        return PipelineConfig(
            name=name,
            llm=LLMConfig(**_checked(where, "llm", llm, LLMConfig)),
            **_checked(where, f"pipelines.{name}", table, PipelineConfig),
        )
    except ConfigError as error:
        if str(error).startswith(where):
            raise
        raise ConfigError(f"{where}: [pipelines.{name}] {error}") from None


def _checked(where: str, section: str, table: Mapping[str, Any], into: type) -> dict[str, Any]:
    """Check the keys and types of `table` against the fields of the dataclass `into`."""
    named = [each for each in fields(into) if each.name not in ("name", "llm")]
    defaults = {each.name: {} if each.default is MISSING else each.default for each in named}
    _check_keys(where, section, table, defaults)
    return {key: _typed(where, section, key, value, defaults[key]) for key, value in table.items()}


def _typed(where: str, section: str, key: str, value: Any, default: Any) -> Any:
    if (
        isinstance(default, tuple)
        and isinstance(value, list)
        and all(type(v) is int and v > 0 for v in value)
    ):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default):
        return value
    kind = "a list of whole numbers above 0" if isinstance(default, tuple) else f"{_KINDS[type(default)]}"
    raise ConfigError(f"{where}: [{section}] {key} = {value!r}: wants {kind}")


_KINDS = {dict: "a table", bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _check_table(where: str, section: str, table: Any) -> None:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: [{section}] is not a table")


def _check_keys(where: str, section: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            hint = get_close_matches(key, list(known), 1)
            tail = f", did you mean {hint[0]!r}?" if hint else f": known are {', '.join(known)}"
            raise ConfigError(f"{where}: {f'[{section}] ' if section else ''}unknown key {key!r}{tail}")
