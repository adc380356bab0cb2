"""Whole pipelines on real models: from a folder of documents to an answer, ours and LlamaIndex's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rag_evals.rag.answer import context_parts, question_part
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.pipelines.adapters import pipeline_from_query_engine
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import build_pipeline
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding, LlamaIndexLLM

from tests.integration.conftest import SMALL

pytestmark = pytest.mark.model

QUESTION = "How many experts does the router send each token to?"
CONFIG = PipelineConfig(
    "mine",
    chunk_sizes=(64,),
    top_k=2,
    context_tokens=300,
    max_answer_tokens=8,
    instruction="Answer.",
    llm=SMALL,
)
MERGING = replace(CONFIG, retriever="auto_merging", chunk_sizes=(256, 64), top_k=4, rerank_top_n=1)


class Loaded(Resources):
    """Resources that give the models this session has loaded already."""

    def __init__(self, llm: LocalLLM, embedder: Embedder) -> None:
        super().__init__(offline=True)
        self._llms[SMALL] = llm
        self._embedders[CONFIG.embedder] = embedder


@pytest.fixture
def resources(llm, embedder):
    return Loaded(llm, embedder)


@pytest.mark.parametrize("config", [CONFIG, MERGING], ids=["vector", "auto_merging"])
async def test_from_documents_to_an_answer(config, paged, resources, tmp_path):
    """A pipeline built from documents answers from the right page, and the same each time."""
    pipeline = build_pipeline(config, paged, resources, tmp_path)
    first, again = await pipeline.answer(QUESTION), await pipeline.answer(QUESTION)
    assert first.text
    assert first.contexts[0].page == 1
    assert len(first.contexts) <= (config.top_k if config is CONFIG else config.rerank_top_n)
    assert (again.text, again.contexts) == (first.text, first.contexts)
    assert first.total.generated <= 8
    text = paged.documents[0].text
    assert all(text[context.start : context.end] == context.text for context in first.contexts)


async def test_a_verdict_on_an_answer_reads_its_passages_no_more(paged, resources, llm, tmp_path):
    """Behind an answer, a prompt on the same passages and question evaluates nothing but its own task."""
    answer = await build_pipeline(CONFIG, paged, resources, tmp_path).answer(QUESTION)
    shared = (*context_parts(answer.contexts), question_part(QUESTION))
    tokens = llm.choose(Prompt((*shared, "Answer yes or no.")), ("yes", "no")).tokens
    assert tokens.reused > sum(map(llm.count_tokens, shared))
    assert tokens.evaluated < 20


def test_models_are_loaded_once(smollm2):
    """Two pipelines on the same settings share one model."""
    resources = Resources(offline=True)
    config = replace(SMALL, n_ctx=256)
    llm = resources.llm(config)
    assert resources.llm(replace(config)) is llm
    assert resources.embedder(CONFIG.embedder) is resources.embedder(CONFIG.embedder)
    llm.close()


def query_engine(llm: LocalLLM, embedder: Embedder, corpus: Corpus) -> Any:
    """Make LlamaIndex's own query engine over pages, as its readers hand them over."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.query_engine import RetrieverQueryEngine

    (document,) = corpus.documents
    ends = [*document.page_starts[1:], len(document.text)]
    pages = [
        Document(
            text=document.text[start:end].strip(),
            metadata={"file_name": document.name, "page_label": str(number)},
        )
        for number, (start, end) in enumerate(zip(document.page_starts, ends, strict=True), 1)
    ]
    index = VectorStoreIndex.from_documents(pages, embed_model=LlamaIndexEmbedding(embedder))
    return RetrieverQueryEngine.from_args(
        index.as_retriever(similarity_top_k=2), llm=LlamaIndexLLM(llm, max_tokens=8)
    )


async def test_llamaindexs_query_engine(llm, embedder, paged):
    """A RetrieverQueryEngine on our models is a pipeline: text, passages, files, pages, scores."""
    pipeline = pipeline_from_query_engine(query_engine(llm, embedder, paged), name="theirs")
    answer = await pipeline.answer(QUESTION)
    assert answer.text
    assert answer.contexts[0].page == 1
    assert {context.document for context in answer.contexts} == {"topics.pdf"}
    assert all(context.text in paged.documents[0].text for context in answer.contexts)
    scores = [context.score for context in answer.contexts]
    assert scores == sorted(scores, reverse=True)


def test_the_query_engine_reads_its_passages(llm, embedder, paged, monkeypatch):
    """The prompt that LlamaIndex writes reaches our model whole, as one user turn."""
    prompts: list[Prompt] = []
    complete = llm.complete

    def recorded(prompt: Prompt, *, max_tokens: int) -> Any:
        prompts.append(prompt)
        return complete(prompt, max_tokens=max_tokens)

    monkeypatch.setattr(llm, "complete", recorded)
    response = query_engine(llm, embedder, paged).query(QUESTION)
    ((text,),) = [prompt.parts for prompt in prompts]
    assert QUESTION in text
    assert all(found.node.get_content() in text for found in response.source_nodes)
