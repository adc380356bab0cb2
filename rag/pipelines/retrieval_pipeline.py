"""The bundled pipelines: retrieve, rerank, fit, answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import (
    Answer,
    Context,
    Message,
    Retrieval,
    Tokens,
    context_parts,
    history_part,
    question_part,
    searched_text,
)
from rag_evals.rag.config import PipelineConfig, without_effect
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.errors import ConfigError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.http.secrets import is_harmless
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.pipelines.resources import AUTO_RERANKER, Resources, reranker_name
from rag_evals.rag.profile import load, profile_of_model
from rag_evals.rag.retrieval.embedder import NoEmbedder
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.reranker import LLMReranker, NoReranker, Reranker
from rag_evals.rag.retrieval.retrievers.bm25 import bm25_identity
from rag_evals.rag.retrieval.retrievers.expansion import LONGEST, TASK, expand
from rag_evals.rag.retrieval.stores.setting import shown_store, store_identity, store_setting
from rag_evals.rag.tracing.conventions import INPUT, reranked, retrieved, spoken
from rag_evals.rag.tracing.spans import OpenSpan, SpanKind, span


def describe(config: PipelineConfig) -> str:
    """Return in one line what `config` comes to on this machine."""
    pieces = f"chunks of {'/'.join(map(str, config.chunk_sizes))} tokens"
    if config.retriever == "sentence_window":
        pieces = f"{config.window} sentences around each"
    elif config.has_sentences:
        pieces += " with vectors of their sentences"
    reranker = reranker_name(config)
    is_cut = config.retriever in ("auto_merging", "sentence_window")
    kept = f", reranker {reranker} keeps {config.passages}" if is_cut else ""
    if is_cut and config.reranker == "auto" and reranker == "none":
        kept += f" ({AUTO_RERANKER} is not here)"
    leaves = f" of {config.search} candidates" if config.search not in ("vector", config.retriever) else ""
    wordings = f" for {config.expansion + 1} wordings" if config.expansion else ""
    embedder = f"embedder {config.embedder}, " if config.search != "bm25" else ""
    store = "" if config.store == "local" else f"store {shown_store(config.store)}, "
    return (
        f"{config.name}: {config.retriever}{leaves}, {pieces}, top {config.top_k}{wordings}{kept}, "
        f"{embedder}{store}llm {_without_user(config.llm.model)}"
    )


def _without_user(model: str) -> str:
    """Leave out user and password of a URL: they are refused when the model is loaded, but said before."""
    return re.sub(r"//[^/@]*@", "//", model)


class RetrievalPipeline:
    """Retrieve from the index, rerank, fit the token budget, and answer in one call of the model.

    Nothing is loaded before it is wanted: what has been answered before needs neither model nor index.

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
        prompt += [CITE] if config.cite else []
        self.identity: Mapping[str, Any] = {
            # The models count by their weights, not by the names they were asked for.
            "knobs": _knobs(config),
            "index": index.identity,
            "llm": llm.fingerprint,
            "reranker": reranker.fingerprint,
            "prompt": prompt,
            **({"expansion": TASK} if config.expansion else {}),
            **({"bm25": bm25_identity()} if config.search != "vector" else {}),
            **_store(config),
        }
        self.fingerprint = digest(self.identity)
        knobs = {key: getattr(config, key) for key in _WRITING_KNOBS}
        self.writing = digest({"knobs": knobs, "llm": llm.fingerprint, "prompt": prompt})
        self._search_reranker = NoReranker() if isinstance(reranker, LLMReranker) else reranker
        self.searching = digest(
            {
                "knobs": {
                    name: value
                    for name, value in _knobs(replace(config, expansion=0)).items()
                    if name not in (*_WRITING_KNOBS, "cite", "name", "llm")
                },
                "index": index.identity,
                "reranker": self._search_reranker.fingerprint,
                **({"bm25": bm25_identity()} if config.search != "vector" else {}),
            }
        )
        self.profile = replace(
            profile_of_model(llm),
            expected=self._expected(),
            identity=self.identity,
            # Every knob and the models in use.
            settings={**_shown(config), "reranker": reranker.name, "index": index.fingerprint},
            remarks=lambda: index.remarks,
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

    async def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Answer `question` in a thread of its own, so that an event loop is never blocked."""
        return await asyncio.to_thread(self.answer_now, question, history)

    async def retrieve(self, question: str, history: Sequence[Message] = ()) -> Retrieval:
        """Find the passages for `question`, in a thread of its own."""
        return await asyncio.to_thread(self.retrieve_now, question, history)

    async def search(self, question: str, history: Sequence[Message] = ()) -> Retrieval:
        """Find the passages for `question` without a language model, in a thread of its own."""
        return await asyncio.to_thread(self.search_now, question, history)

    async def write(self, question: str, retrieval: Retrieval, history: Sequence[Message] = ()) -> Answer:
        """Write the answer from what was retrieved, in a thread of its own."""
        return await asyncio.to_thread(self.write_now, question, retrieval, history)

    def answer_now(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """Answer `question`.

        Raises:
            ConfigError: Not one of the passages fits `context_tokens`.
            ContextWindowError: The prompt does not fit the model's context window.
            ModelError: A model or the index cannot be loaded.
        """
        return self.write_now(question, self.retrieve_now(question, history), history)

    def retrieve_now(self, question: str, history: Sequence[Message] = ()) -> Retrieval:
        """Retrieve and rerank, as many passages as are kept."""
        seconds: dict[str, float] = {}
        searched = searched_text(question, history)
        if not self.config.expansion:
            return self._retrieved(searched, self.reranker, seconds)
        with _timed(seconds, "expand", "LLM") as step:
            wordings, tokens = expand(self._llm, searched, self.config.expansion, step)
        found = self._retrieved(searched, self.reranker, seconds, wordings)
        return replace(found, tokens={"expand": tokens, **found.tokens})

    def search_now(self, question: str, history: Sequence[Message] = ()) -> Retrieval:
        """Retrieve for the question itself, and rerank where that takes no language model."""
        return self._retrieved(searched_text(question, history), self._search_reranker, {})

    def _retrieved(
        self, question: str, reranker: Reranker, seconds: dict[str, float], wordings: Sequence[str] = ()
    ) -> Retrieval:
        with _timed(seconds, "retrieve", "RETRIEVER") as step:
            step.set({INPUT: question})
            found = self.index.retrieve(question, wordings)
            step.set_from(retrieved, question, found.contexts)
        with _timed(seconds, "rerank", "RERANKER") as step:
            step.set({INPUT: question})
            top = self.config.passages
            ranking = reranker.rerank(question, found.contexts)
            # Of what nothing put in order there is no best part.
            is_left = reranker is not self.reranker
            kept = ranking.contexts if is_left else ranking.contexts[:top]
            step.set_from(reranked, question, found.contexts, kept, name=reranker.name, top=top)
        stages = dict(found.stages)
        if not isinstance(reranker, NoReranker):
            stages["reranked"] = tuple(context.places[0] for context in ranking.contexts)
        return Retrieval(kept, seconds, {"rerank": ranking.tokens}, stages)

    def write_now(self, question: str, retrieval: Retrieval, history: Sequence[Message] = ()) -> Answer:
        """Fit the passages to the token budget and write the answer."""
        contexts = self._within_budget(retrieval.contexts)
        if self.config.passage_order == "best_last":
            contexts = contexts[::-1]
        asked = f"{history_part(history)}{question_part(question)}"
        prompt = Prompt((*context_parts(contexts), asked, _instruction(self.config)))
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
            retrieval.stages,
            cites=self.config.cite,
        )

    def _expected(self) -> Tokens:
        """Return what an answer may take: the passages and half of the longest answer."""
        longest, shortest = self.config.chunk_sizes[0], self.config.chunk_sizes[-1]
        if self.config.retriever == "sentence_window":
            longest = shortest = min(longest, _SENTENCE) * (2 * self.config.window + 1)
        passages = min(self.config.context_tokens, self.config.passages * longest)
        ranked = self.config.top_k * shortest * isinstance(self.reranker, LLMReranker)
        written = self.config.max_answer_tokens // 2 + self.config.expansion * LONGEST // 2
        return Tokens(evaluated=passages + ranked, generated=written)

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


# The request for citations, in a form that is read back from the answer.
CITE = "Behind each sentence give the numbers of the passages that it is from, such as [1] or [2, 3]."

# Settings of servers, which came later than the fingerprints of many kept runs.
_OF_SERVERS = ("thought_tokens", "reasoning_effort", "extra_body", "headers", "ca_file")
# Settings of stores, which change nothing where the vectors lie here.
_OF_STORES = ("store", "store_index", "ef_search", "probes")


def _instruction(config: PipelineConfig) -> str:
    """Return what the model is told behind the passages, which have their numbers, and the question."""
    return " ".join(filter(None, (config.instruction, CITE))) if config.cite else config.instruction


def _shown(config: PipelineConfig) -> dict[str, Any]:
    """Return every knob; what may be a credential among the headers is not shown."""
    shown = asdict(config)
    if not config.cite:
        del shown["cite"]  # it came later than the settings of many kept runs
    for name, value in config.llm.headers.items():
        shown["llm"]["headers"][name] = value if is_harmless(name, value) else "***"
    for name in _OF_STORES:
        del shown[name]
    told = store_identity(config)
    return {**shown, **told, "store": shown_store(config.store)} if told else shown


def _store(config: PipelineConfig) -> dict[str, Any]:
    """Return how another store than the local one is searched; where it is changes no result."""
    told = store_identity(config)
    return {"store": told} if told else {}


def _knobs(config: PipelineConfig) -> dict[str, Any]:
    knobs = asdict(replace(config, llm=LLMConfig(), embedder="", reranker=""))
    for name in _OF_STORES:
        del knobs[name]
    for name in _OF_SERVERS:
        del knobs["llm"][name]
    return {name: value for name, value in knobs.items() if name not in without_effect(config)}


# Tokens of a sentence, for the plan: of English papers the mean.
_SENTENCE = 30

# Of a pipeline's knobs those that say what is made of the passages once they are found.
_WRITING_KNOBS = ("context_tokens", "passage_order", "max_answer_tokens", "instruction")


def build_pipeline(
    config: PipelineConfig, corpus: Corpus, resources: Resources, index_folder: Path
) -> RetrievalPipeline:
    """Put a retrieval pipeline together; models and index are loaded when they are wanted.

    Raises:
        ConfigError: The store of vectors is none, or not on this machine in an offline run.
        ModelError: A model cannot be found, fetched or verified.
    """
    embedder = NoEmbedder() if config.search == "bm25" else resources.embedder(config.embedder)
    store = store_setting(config)
    if resources.offline and not store.is_near:
        # The library of PostgreSQL opens connections that nothing in Python sees.
        raise ConfigError(
            f"pipeline {config.name}: store = {store.kind}: {store.place} is not on this machine, and this "
            "run is offline"
        )
    index = Index(corpus, config, embedder, index_folder)
    return RetrievalPipeline(config, index, resources.llm(config.llm), resources.reranker(config))


@contextmanager
def _timed(seconds: dict[str, float], stage: str, kind: SpanKind) -> Iterator[OpenSpan]:
    """Take the time of a stage, and make a span of it where there are traces."""
    start = time.perf_counter()
    with span(stage, kind) as step:
        yield step
    seconds[stage] = time.perf_counter() - start
