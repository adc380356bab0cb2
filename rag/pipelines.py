"""The pipelines: the protocol, the retrieval pipeline in its profiles, and adapters for anyone's own."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rag.answer import Answer, Context, Pipeline, Retrieval, Tokens, context_parts, question_part
from rag.config import LLMConfig, PipelineConfig
from rag.conventions import INPUT, reranked, retrieved, spoken
from rag.documents import Corpus
from rag.embedding import Embedder, load_embedder
from rag.errors import ConfigError
from rag.identity import digest
from rag.index import Index
from rag.llm.load import load_llm
from rag.llm.protocol import LLM, Prompt
from rag.llm.remote.remote_llm import RemoteLLM
from rag.loading import load
from rag.memory import Memory
from rag.models import is_cached, resolve
from rag.native.hosting.models_folder import models_folder as folder_for
from rag.profile import Profile, profile_of_model
from rag.reranking import CrossEncoderReranker, LLMReranker, NoReranker, Reranker
from rag.tracing import Kind, OpenSpan, is_tracing, span

# What `auto` takes where it can be had.
AUTO_RERANKER = "ms-marco-minilm-l-6-v2"


class Resources:
    """Models, found once and shared by the pipelines and the judge of a session.

    Args:
        offline: Fetch nothing; use only what is on this machine.
        memory: Keeps vectors from one run to the next; None computes each anew.
        concurrency: How many requests may be under way at once to a server; 0 leaves it to the model.
        models_folder: Where the processes of a session share local models; by default one of this object's.
    """

    def __init__(
        self,
        *,
        offline: bool = False,
        memory: Memory | None = None,
        concurrency: int = 0,
        models_folder: Path | None = None,
    ) -> None:
        self.offline = offline
        self.models_folder = models_folder or folder_for()
        self._concurrency = concurrency
        self._memory = memory
        self._llms: dict[LLMConfig, LLM] = {}
        self._embedders: dict[str, Embedder] = {}
        self._cross_encoders: dict[str, Reranker] = {}

    def llm(self, config: LLMConfig) -> LLM:
        """Give the language model of `config`."""
        if config not in self._llms:
            self._llms[config] = llm = load_llm(
                config, offline=self.offline, models_folder=self.models_folder
            )
            if self._concurrency and isinstance(llm, RemoteLLM):
                llm.allow(self._concurrency)
        return self._llms[config]

    def embedder(self, name: str) -> Embedder:
        """Give the embedder `name`."""
        if name not in self._embedders:
            self._embedders[name] = load_embedder(
                name, offline=self.offline, memory=self._memory, models_folder=self.models_folder
            )
        return self._embedders[name]

    def reranker(self, config: PipelineConfig) -> Reranker:
        """Give the reranker of `config`."""
        name = reranker_name(config)
        if name == "none":
            return NoReranker()
        if name == "llm":
            return LLMReranker(self.llm(config.llm))
        return self._cross_encoder(name)

    def _cross_encoder(self, name: str) -> Reranker:
        if name not in self._cross_encoders:
            model = resolve(name, offline=self.offline)
            self._cross_encoders[name] = CrossEncoderReranker(
                model.path, name=model.name, sha256=model.sha256, models_folder=self.models_folder
            )
        return self._cross_encoders[name]


def reranker_name(config: PipelineConfig) -> str:
    """Give the reranker that `config` comes to on this machine: `auto` is decided by what is in the cache."""
    if config.reranker != "auto":
        return config.reranker
    return AUTO_RERANKER if is_cached(AUTO_RERANKER) else "llm"


def describe(config: PipelineConfig) -> str:
    """Say in one line what `config` comes to on this machine."""
    sizes = "/".join(map(str, config.chunk_sizes))
    reranker = reranker_name(config)
    kept = f", reranker {reranker} keeps {config.rerank_top_n}" if config.retriever == "auto_merging" else ""
    if config.reranker == "auto" and reranker == "llm":
        kept += f" ({AUTO_RERANKER} is not here)"
    return (
        f"{config.name}: {config.retriever}, chunks of {sizes} tokens, top {config.top_k}{kept}, "
        f"embedder {config.embedder}, llm {_without_user(config.llm.model)}"
    )


def _without_user(model: str) -> str:
    """Leave out user and password of a URL: they are refused when the model is loaded, but said before."""
    return re.sub(r"//[^/@]*@", "//", model)


class RetrievalPipeline:
    """Retrieve, rerank, fit the token budget, and answer in one call of the model.

    Nothing is loaded before it is wanted: what has been answered before needs neither model nor index.

    Args:
        config: Every knob.
        index: The index to retrieve from.
        llm: The answering model.
        reranker: Orders what was retrieved.

    Attributes:
        identity: Everything that changes an answer.
        fingerprint: SHA-256 over it.
        profile: What is known of it before anything is loaded.
    """

    def __init__(self, config: PipelineConfig, index: Index, llm: LLM, reranker: Reranker) -> None:
        self.name = config.name
        self.config = config
        self.index = index
        self.reranker = reranker
        self._llm = llm
        prompt = [Prompt(()).system, *context_parts([Context("")]), question_part("")]
        self.identity: Mapping[str, Any] = {
            # The models count by their weights, not by the names they were asked for.
            "knobs": asdict(replace(config, llm=LLMConfig(), embedder="", reranker="")),
            "index": index.identity,
            "llm": llm.fingerprint,
            "reranker": reranker.fingerprint,
            "prompt": prompt,
        }
        self.fingerprint = digest(self.identity)
        knobs = {key: getattr(config, key) for key in _WRITING_KNOBS}
        self.writing = digest({"knobs": knobs, "llm": llm.fingerprint, "prompt": prompt})
        self.profile = replace(
            profile_of_model(llm),
            expected=self._expected(),
            identity=self.identity,
            # Every knob and the models in use.
            settings={**asdict(config), "reranker": reranker.name, "index": index.fingerprint},
        )

    @property
    def description(self) -> str:
        """One line for people: what is in use."""
        return describe(self.config)

    def load(self) -> None:
        """Load index and models now: what is wrong with them is said before the first question.

        Raises:
            ModelError: One of them cannot be loaded.
        """
        load(self.index, self._llm, self.reranker)

    async def answer(self, question: str) -> Answer:
        """Answer `question` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.answer_now, question)

    async def retrieve(self, question: str) -> Retrieval:
        """Find the passages for `question`, in a thread of its own."""
        return await asyncio.to_thread(self.retrieve_now, question)

    async def write(self, question: str, retrieval: Retrieval) -> Answer:
        """Write the answer from what was retrieved, in a thread of its own."""
        return await asyncio.to_thread(self.write_now, question, retrieval)

    def answer_now(self, question: str) -> Answer:
        """Answer `question`.

        Raises:
            ConfigError: Not one of the passages fits `context_tokens`.
            ContextWindowError: The prompt does not fit the model's context window.
            ModelError: A model or the index cannot be loaded.
        """
        return self.write_now(question, self.retrieve_now(question))

    def retrieve_now(self, question: str) -> Retrieval:
        """Retrieve and rerank, as many passages as are kept."""
        seconds: dict[str, float] = {}
        with _timed(seconds, "retrieve", "RETRIEVER") as step:
            step.set({INPUT: question})
            found = self.index.retrieve(question)
            step.set_from(retrieved, question, found.contexts)
        with _timed(seconds, "rerank", "RERANKER") as step:
            step.set({INPUT: question})
            ranking = self.reranker.rerank(question, found.contexts)
            kept = ranking.contexts[: self._kept]
            step.set_from(reranked, question, found.contexts, kept, name=self.reranker.name, top=self._kept)
        return Retrieval(kept, seconds, {"rerank": ranking.tokens}, found.candidates)

    def write_now(self, question: str, retrieval: Retrieval) -> Answer:
        """Fit the passages to the token budget and write the answer."""
        contexts = self._within_budget(retrieval.contexts)
        if self.config.passage_order == "best_last":
            contexts = contexts[::-1]
        prompt = Prompt((*context_parts(contexts), question_part(question), self.config.instruction))
        seconds = dict(retrieval.seconds)
        with _timed(seconds, "generate", "LLM") as step:
            written = self._llm.complete(prompt, max_tokens=self.config.max_answer_tokens)
            step.set_from(spoken, self._llm.name, written.tokens, prompt.parts, written.text)
        return Answer(
            written.text,
            contexts,
            seconds,
            {**retrieval.tokens, "generate": written.tokens},
            len(retrieval.contexts) - len(contexts),
            written.finished,
            retrieval.candidates,
        )

    def _expected(self) -> Tokens:
        """Return what an answer may take: the passages and half of the longest answer."""
        passages = min(self.config.context_tokens, self._kept * self.config.chunk_sizes[0])
        is_read_twice = isinstance(self.reranker, LLMReranker)
        ranked = self.config.top_k * self.config.chunk_sizes[-1] * is_read_twice
        return Tokens(evaluated=passages + ranked, generated=self.config.max_answer_tokens // 2)

    @property
    def _kept(self) -> int:
        return self.config.rerank_top_n if self.config.retriever == "auto_merging" else self.config.top_k

    def _within_budget(self, ranked: Sequence[Context]) -> tuple[Context, ...]:
        """Leave out whole passages until the budget holds: those too long by themselves, then the lowest."""
        budget = self.config.context_tokens
        sizes = {context: self._llm.count_tokens(context_parts([context])[0]) for context in ranked}
        kept = [context for context in ranked if sizes[context] <= budget]
        while sum(sizes[context] for context in kept) > budget:
            kept.pop()
        if ranked and not kept:
            raise ConfigError(
                f"pipeline {self.name}: context_tokens = {budget}, but the shortest passage has "
                f"{min(sizes.values())} tokens: raise context_tokens or use smaller chunk_sizes"
            )
        return tuple(kept)


# Of a pipeline's knobs those that say what is made of the passages once they are found.
_WRITING_KNOBS = ("context_tokens", "passage_order", "max_answer_tokens", "instruction")


def build_pipeline(
    config: PipelineConfig, corpus: Corpus, resources: Resources, index_folder: Path
) -> RetrievalPipeline:
    """Put a retrieval pipeline together; models and index are loaded when they are wanted.

    Raises:
        ModelError: A model cannot be found, fetched or verified.
    """
    index = Index(corpus, config, resources.embedder(config.embedder), index_folder)
    return RetrievalPipeline(config, index, resources.llm(config.llm), resources.reranker(config))


AnswerFunction = Callable[[str], Any]


class FunctionPipeline:
    """Anyone's own function as a pipeline; see `pipeline_from`."""

    def __init__(self, function: AnswerFunction, name: str, fingerprint: str | None) -> None:
        self.name = name
        self.fingerprint = digest({"function": fingerprint or name})
        self.profile = Profile(is_cacheable=fingerprint is not None)
        self._function = function

    async def answer(self, question: str) -> Answer:
        """Answer `question` with the function; one that is not async runs in a thread."""
        start = time.perf_counter()
        with _llama_index_heard():
            if inspect.iscoroutinefunction(self._function):
                given = await self._function(question)
            else:
                given = await asyncio.to_thread(self._function, question)
                given = await given if isinstance(given, Awaitable) else given
        seconds = time.perf_counter() - start
        return given if isinstance(given, Answer) else _answer_from(self.name, given, seconds)


def pipeline_from(
    function: AnswerFunction, *, name: str | None = None, fingerprint: str | None = None
) -> Pipeline:
    """Make a pipeline of an async or plain function.

    Args:
        function: Takes a question (text); gives `(text, contexts)`, where a context is a text or a
            `Context`, or gives an `Answer`.
        name: Name for people; the function's own by default.
        fingerprint: Anything that changes when the answers do, such as a version. Without one no answer is
            reused from an earlier run: a function's name does not tell that its code has changed.

    Raises:
        TypeError: `function` cannot be called, or (when asked) gives something else.
    """
    if not callable(function):
        raise TypeError(f"pipeline_from wants a function of a question, not {type(function).__name__}")
    name = name or str(getattr(function, "__name__", type(function).__name__))
    return FunctionPipeline(function, name, fingerprint)


def pipeline_from_query_engine(
    engine: Any, *, name: str = "query_engine", fingerprint: str | None = None
) -> Pipeline:
    """Make a pipeline of a LlamaIndex query engine.

    Args:
        engine: Anything with LlamaIndex's `aquery`, whose response carries its source nodes.
        name: Name for people.
        fingerprint: Anything that changes when the answers do; without one no answer is reused.
    """

    async def ask(question: str) -> Answer:
        start = time.perf_counter()
        response = await engine.aquery(question)
        contexts = tuple(_context_from_node(found) for found in response.source_nodes)
        return Answer(str(response), contexts, {"answer": time.perf_counter() - start})

    return pipeline_from(ask, name=name, fingerprint=fingerprint)


def _llama_index_heard() -> AbstractContextManager[None]:
    """Give what makes spans of LlamaIndex's steps, where there is a trace and it is used at all."""
    if not is_tracing() or "llama_index.core" not in sys.modules:
        return nullcontext()
    from rag.bridge_tracing import heard

    return heard()


def _answer_from(name: str, given: Any, seconds: float) -> Answer:
    match given:
        case (str() as text, [*contexts]) if all(isinstance(c, str | Context) for c in contexts):
            made = tuple(c if isinstance(c, Context) else Context(c) for c in contexts)
            return Answer(text, made, {"answer": seconds})
    raise TypeError(
        f"pipeline {name} gave {_shape(given)}: it must give (text, contexts) or an Answer, "
        "where contexts is a list of texts or Context objects"
    )


def _shape(given: Any) -> str:
    """Name the type of `given`, and what is in it where it is a tuple or a list."""
    if isinstance(given, tuple | list) and given:
        inside = dict.fromkeys(_shape(item) for item in given)
        return f"{type(given).__name__} of {', '.join(inside)}"
    return type(given).__name__


def _context_from_node(found: Any) -> Context:
    metadata = found.node.metadata
    page = metadata.get("page_label", metadata.get("page"))
    return Context(
        text=found.node.get_content(),
        document=str(metadata.get("file_name", metadata.get("document", ""))),
        page=int(page) if str(page).isdecimal() else None,
        start=getattr(found.node, "start_char_idx", None),
        end=getattr(found.node, "end_char_idx", None),
        score=found.score,
    )


@contextmanager
def _timed(seconds: dict[str, float], stage: str, kind: Kind) -> Iterator[OpenSpan]:
    """Take the time of a stage, and make a span of it where there are traces."""
    start = time.perf_counter()
    with span(stage, kind) as step:
        yield step
    seconds[stage] = time.perf_counter() - start
