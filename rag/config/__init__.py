"""Pipeline settings: frozen, read from TOML, and their fingerprint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from rag_evals.rag.config.llm import LLMConfig, at_least, one_of
from rag_evals.rag.config.service import ServiceConfig, service_config
from rag_evals.rag.config.tables import check_keys, check_table, checked, read_toml
from rag_evals.rag.errors import ConfigError

Retriever = Literal["vector", "bm25", "hybrid", "auto_merging", "sentence_window"]
Search = Literal["vector", "bm25", "hybrid"]
Language = Literal[
    "auto", "none", "arabic", "czech", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "italian", "norwegian", "persian", "polish", "portuguese", "romanian",
    "russian", "spanish", "swedish", "turkish",
]  # fmt: skip
PassageOrder = Literal["best_first", "best_last"]
StoreIndex = Literal["hnsw", "ivfflat", "none"]
MOST_WORDINGS = 10


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Every knob of a pipeline.

    Attributes:
        name: The pipeline's name, also the name of its pytest fixture.
        retriever: What is made of candidates: `vector`, `bm25` and `hybrid` take chunks as they are found,
            `auto_merging` merges leaves into their parents, `sentence_window` takes what is around sentences.
        candidates: How chunks, leaves or sentences are found: by their `vector`, by their words (`bm25`), or
            by both (`hybrid`). Empty for what the retriever is called, and for `vector` where that says
            nothing of it.
        chunk_sizes: Tokens per chunk, one number; parents to leaves for `auto_merging`; of the longest
            sentence that is searched as it is for `sentence_window`.
        chunk_overlap: Tokens shared by neighbouring chunks.
        top_k: How many candidates are found.
        vector_weight: Weight of the ranking by vectors in `hybrid`.
        bm25_weight: Weight of the ranking by words in `hybrid`.
        rrf_constant: How little the first ranks of what is fused count above those behind them.
        fusion_depth: How many candidates of each ranking are fused; at least `top_k`.
        bm25_k1: How much a word of the question counts that is in a chunk again.
        bm25_b: How much a long chunk counts less: from 0, not at all, to 1, by its length.
        bm25_language: Whose endings and function words do not count: `none` for no language's, `auto` for
            that of most chunks.
        sentence_vectors: Whether each sentence of a chunk has a vector of its own beside that of the whole: a
            chunk is as near as the nearest of them. An index has three to five times as many vectors.
        window: Sentences on either side of the one that was found.
        expansion: How many other wordings of the question the language model writes, to search for as well.
        merge_ratio: Share of a parent's children that must be exceeded for the parent to take their place.
        reranker: `none`, `llm`, `auto`, or the name or path of a cross-encoder. `auto` is the
            cross-encoder `ms-marco-minilm-l-6-v2` where it is in the cache, else `none`.
        rerank_top_n: Passages kept after reranking.
        context_tokens: Token budget for passages; what does not fit is left out whole.
        passage_order: `best_first` or `best_last`: the order in which the model sees the passages. A small
            model leans to what stands nearest to the question.
        max_answer_tokens: Bound on the answer's length.
        instruction: What the model is told behind the passages and the question.
        cite: Whether the model is told to cite the passages by their numbers as well.
        embedder: A name of the catalogue or a path.
        store: Where the vectors are searched: `local`, `pgvector:ADDRESS`, `qdrant:FOLDER` or `qdrant:URL`,
            or `NAME:REST` of an installed plugin.
        store_index: How a server searches them: `hnsw` and `ivfflat` are approximate, `none` is exact.
        ef_search: Candidates that `hnsw` keeps while it searches: more find more, and take longer.
        probes: Lists that `ivfflat` searches: more find more, and take longer.
        llm: The answering model.
    """

    name: str
    retriever: Retriever = "vector"
    candidates: Search | Literal[""] = ""
    chunk_sizes: tuple[int, ...] = (200,)
    chunk_overlap: int = 20
    top_k: int = 3
    vector_weight: float = 0.45
    bm25_weight: float = 0.55
    rrf_constant: float = 10.0
    fusion_depth: int = 50
    bm25_k1: float = 1.5
    bm25_b: float = 0.75
    bm25_language: Language = "auto"
    sentence_vectors: bool = False
    window: int = 2
    expansion: int = 0
    merge_ratio: float = 0.5
    reranker: str = "none"
    rerank_top_n: int = 4
    context_tokens: int = 1100
    passage_order: PassageOrder = "best_first"
    max_answer_tokens: int = 160
    instruction: str = ""
    cite: bool = False
    embedder: str = "all-minilm-l6-v2"
    store: str = field(default="local", repr=False)  # it may have a password in it
    store_index: StoreIndex = "hnsw"
    ef_search: int = 100
    probes: int = 10
    llm: LLMConfig = LLMConfig()

    def __post_init__(self) -> None:
        at_least(self, top_k=1, chunk_overlap=0, rerank_top_n=1, context_tokens=1, max_answer_tokens=1)
        at_least(self, fusion_depth=1, window=0, expansion=0, vector_weight=0, bm25_weight=0, rrf_constant=0)
        at_least(self, bm25_k1=0)
        at_least(self, ef_search=1, probes=1)
        one_of(self, "retriever", get_args(Retriever))
        if self.candidates:
            one_of(self, "candidates", get_args(Search))
        one_of(self, "passage_order", get_args(PassageOrder))
        one_of(self, "bm25_language", get_args(Language))
        one_of(self, "store_index", get_args(StoreIndex))
        if self.candidates and self.retriever in get_args(Search) and self.candidates != self.retriever:
            raise ConfigError(
                f"candidates = {self.candidates!r}: retriever = {self.retriever!r} says how they are found, "
                "take one of them out"
            )
        if self.expansion > MOST_WORDINGS:
            raise ConfigError(f"expansion = {self.expansion}: at most {MOST_WORDINGS}")
        if not self.vector_weight + self.bm25_weight > 0:
            raise ConfigError("vector_weight = 0.0 and bm25_weight = 0.0: one of them above 0")
        for key in ("vector_weight", "bm25_weight", "rrf_constant", "bm25_k1"):
            if getattr(self, key) == math.inf:
                raise ConfigError(f"{key} = inf: wants a finite number")
        if not 0 <= self.bm25_b <= 1:
            raise ConfigError(f"bm25_b = {self.bm25_b}: from 0 to 1")
        if self.retriever != "auto_merging" and len(self.chunk_sizes) != 1:
            raise ConfigError(
                f"chunk_sizes = {list(self.chunk_sizes)}: the {self.retriever} retriever takes one size"
            )
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

    @property
    def search(self) -> Search:
        """How candidates are found."""
        if self.retriever == "auto_merging" or self.retriever == "sentence_window":
            return self.candidates or "vector"
        return self.retriever

    @property
    def has_sentences(self) -> bool:
        """Whether sentences are searched."""
        return self.retriever == "sentence_window" or (self.sentence_vectors and self.search != "bm25")

    @property
    def passages(self) -> int:
        """How many passages are kept at most: what is made of candidates is fewer and longer."""
        return self.top_k if self.retriever in get_args(Search) else self.rerank_top_n


def without_effect(config: PipelineConfig) -> set[str]:
    """Return the knobs that change nothing beside the others: two that differ in them alone are the same."""
    is_fused = config.search == "hybrid" or config.expansion > 0
    unused: dict[str, bool] = {
        "candidates": config.search in ("vector", config.retriever),
        "vector_weight bm25_weight": config.search != "hybrid",
        "bm25_k1 bm25_b bm25_language": config.search == "vector",
        "rrf_constant fusion_depth": not is_fused,
        "sentence_vectors": config.retriever == "sentence_window" or not config.has_sentences,
        "window": config.retriever != "sentence_window",
        "expansion": config.expansion == 0,
        "cite": not config.cite,
    }
    return {name for names, is_unused in unused.items() if is_unused for name in names.split()}


def load_configs(path: Path | None = None) -> dict[str, PipelineConfig]:
    """Read pipelines from a TOML file; without one, those that come with the package.

    The file has a table `[llm]`, a table `[judge]`, a table `[defaults]` and a table `[pipelines.NAME]` each;
    a key in a pipeline's own table wins. Those with a key `service` are left to `load_services`.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    where, data = _tables(path)
    tables = _pipeline_tables(where, data)
    return {name: _pipeline(where, name, data) for name, table in tables.items() if "service" not in table}


def load_services(path: Path | None = None) -> dict[str, ServiceConfig]:
    """Read the services among the pipelines of a TOML file.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    where, data = _tables(path)
    tables = _pipeline_tables(where, data)
    return {name: service_config(where, name, table) for name, table in tables.items() if "service" in table}


def shared_config(path: Path | None = None, *, model: str | None = None) -> PipelineConfig:
    """Return the settings of the pipeline whose models others share: of the first.

    Where all are services, they are those of `[llm]` and `[defaults]` alone.

    Args:
        path: The TOML file of pipelines; None for the one that comes with the package.
        model: Another language model.

    Raises:
        ConfigError: The file is missing or not TOML, or a key or value in it is wrong.
    """
    if configs := load_configs(path):
        return _with_model(next(iter(configs.values())), model)
    where, data = _tables(path)
    return _with_model(_pipeline(where, "shared", {**data, "pipelines": {"shared": {}}}), model)


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
    own = checked(where, "judge", data.get("judge", {}), LLMConfig)
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
    data = read_toml(path or Path(__file__).parents[1] / "pipelines.toml", where)
    check_keys(where, "", data, ("llm", "judge", "defaults", "pipelines"))
    for section in data:
        check_table(where, section, data[section])
    return where, data


def _pipeline_tables(where: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tables of the pipelines, with what there may be beside them looked at."""
    checked(where, "judge", data.get("judge", {}), LLMConfig)
    if not data.get("pipelines"):
        raise ConfigError(f"{where}: no [pipelines.NAME] table in it")
    tables: Mapping[str, Any] = data["pipelines"]
    for name, table in tables.items():
        check_table(where, f"pipelines.{name}", table)
    return tables


def config_for(name: str, *, path: Path | None = None, model: str | None = None) -> PipelineConfig:
    """Return the settings of the pipeline `name`, with another language model where `model` is given.

    Raises:
        ConfigError: There is no such pipeline, or the file is wrong.
    """
    configs = load_configs(path)
    if name not in configs:
        known = sorted({*configs, *load_services(path)})
        raise ConfigError(f"unknown pipeline {name!r}: known are {', '.join(known)}")
    return _with_model(configs[name], model)


def _with_model(config: PipelineConfig, model: str | None) -> PipelineConfig:
    return replace(config, llm=replace(config.llm, model=model)) if model else config


def _pipeline(where: str, name: str, data: Mapping[str, Any]) -> PipelineConfig:
    own = data["pipelines"][name]
    table = {**data.get("defaults", {}), **own}
    own_llm = table.pop("llm", {})
    check_table(where, f"pipelines.{name}.llm", own_llm)
    llm = {**data.get("llm", {}), **own_llm}
    try:
        return PipelineConfig(
            name=name,
            llm=LLMConfig(**checked(where, "llm", llm, LLMConfig)),
            **checked(where, f"pipelines.{name}", table, PipelineConfig),
        )
    except ConfigError as error:
        if str(error).startswith(where):
            raise
        raise ConfigError(f"{where}: [pipelines.{name}] {error}") from None
