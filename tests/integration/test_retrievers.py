"""Retrievers over an index of real documents: what they find, where it stands, and that it stays the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import CANDIDATES, Context, Span
from rag_evals.rag.config import LLMConfig, PipelineConfig, config_for
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline, build_pipeline, describe
from rag_evals.rag.retrieval.embedder import NoEmbedder
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.reranker import NoReranker
from rag_evals.rag.retrieval.retrievers.bm25 import LEAST_KEPT

from tests.integration.test_index import EXPERTS, HashEmbedder, corpus_of

ROOT = Path(__file__).parents[2]
CHUNKS = PipelineConfig("chunks", chunk_sizes=(128,), top_k=5)
LEAVES = PipelineConfig("leaves", retriever="auto_merging", chunk_sizes=(512, 128), top_k=8)
SENTENCES = PipelineConfig("sentences", retriever="sentence_window", chunk_sizes=(128,), top_k=8)
CONFIGS = [
    CHUNKS,
    replace(CHUNKS, retriever="bm25"),
    replace(CHUNKS, retriever="hybrid"),
    replace(CHUNKS, sentence_vectors=True),
    replace(CHUNKS, retriever="hybrid", sentence_vectors=True),
    LEAVES,
    replace(LEAVES, candidates="bm25"),
    replace(LEAVES, candidates="hybrid"),
    replace(LEAVES, candidates="hybrid", sentence_vectors=True),
    SENTENCES,
    replace(SENTENCES, candidates="bm25"),
    replace(SENTENCES, candidates="hybrid"),
]


def name_of(config: PipelineConfig) -> str:
    return f"{config.name}-{config.search}{'-by-sentence' * config.sentence_vectors}"


EVERY = pytest.mark.parametrize("config", CONFIGS, ids=name_of)


@pytest.fixture(scope="module")
def primer() -> Corpus:
    return read_documents(ROOT / "fixtures/corpus/primer.pdf")


def index_of(corpus: Corpus, config: PipelineConfig, folder: Path, embedder: Any = None) -> Index:
    none = NoEmbedder() if config.search == "bm25" else HashEmbedder()
    return Index(corpus, config, embedder or none, folder)


def assert_in_place(corpus: Corpus, places: tuple[Context | Span, ...]) -> None:
    """Check that every place is one of its document, on its pages."""
    documents = {document.name: document for document in corpus.documents}
    for place in places:
        document = documents[place.document]
        assert 0 <= place.start < place.end <= len(document.text)
        assert (place.page, place.page_end) == document.pages_at(place.start, place.end)
        if isinstance(place, Context):
            assert document.text[place.start : place.end] == place.text


@EVERY
def test_every_passage_knows_its_place(primer, config, tmp_path):
    """Offsets are exact, candidates lie in passages, scores fall, and no passage lies in another."""
    index = index_of(primer, config, tmp_path)
    for question in (EXPERTS, "What is BM25?", "Which batch size did DPR use?"):
        found = index.retrieve(question)
        candidates = found.stages[CANDIDATES]
        assert 0 < len(candidates) <= config.top_k
        assert_in_place(primer, candidates)
        assert_in_place(primer, found.contexts)
        scores = [context.score for context in found.contexts]
        assert scores == sorted(scores, reverse=True)
        spans = [(context.start, context.end) for context in found.contexts]
        for place in candidates:
            assert any(start <= place.start and place.end <= end for start, end in spans)
        assert not [a for a in spans for b in spans if a != b and b[0] <= a[0] and a[1] <= b[1]]


@EVERY
def test_the_same_when_it_is_opened_again(primer, config, tmp_path):
    first = index_of(primer, config, tmp_path).retrieve(EXPERTS)
    again = index_of(primer, config, tmp_path)
    assert again.retrieve(EXPERTS) == first
    assert not again.built


@EVERY
@pytest.mark.parametrize("text", ["", " \n ", "---"], ids=["empty", "blank", "rule"])
def test_documents_with_next_to_nothing(config, text, tmp_path):
    """A corpus without words is searched, and nothing or only that is found."""
    corpus = corpus_of(text, text)
    assert {context.text for context in index_of(corpus, config, tmp_path).retrieve("x").contexts} <= {"---"}


@EVERY
def test_no_documents_at_all(config, tmp_path):
    found = index_of(Corpus(()), config, tmp_path).retrieve("x")
    assert (found.contexts, set(found.stages.values())) == ((), {()})


@EVERY
def test_more_candidates_than_there_are(config, tmp_path):
    """`top_k` may exceed what the documents have."""
    corpus = corpus_of("The router sends each token to two of eight experts.")
    index = index_of(corpus, replace(config, top_k=1000, fusion_depth=1000), tmp_path)
    assert [context.text for context in index.retrieve("Which experts?").contexts] == [
        "The router sends each token to two of eight experts."
    ]


@pytest.mark.parametrize("config", [CHUNKS, LEAVES], ids=name_of)
def test_one_index_for_each_way_of_searching(primer, config, tmp_path):
    """How candidates are found shapes no index; that sentences have vectors does."""
    index_of(primer, config, tmp_path).load()
    by_both = {"retriever": "hybrid"} if config is CHUNKS else {"candidates": "hybrid"}
    index = index_of(primer, replace(config, **by_both, bm25_k1=1.2, vector_weight=1.0), tmp_path)
    index.load()
    assert not index.built
    of_sentences = index_of(primer, replace(config, sentence_vectors=True), tmp_path)
    of_sentences.load()
    assert of_sentences.built


def test_a_width_of_the_window_shapes_no_index(primer, tmp_path):
    index_of(primer, SENTENCES, tmp_path).load()
    index = index_of(primer, replace(SENTENCES, window=7), tmp_path)
    index.load()
    assert not index.built


def test_long_sentences_are_cut(tmp_path):
    """A sentence of more tokens than `chunk_sizes` says is searched in parts, each in its place."""
    corpus = corpus_of(
        "Short ones stay as they are, whole. " + " and ".join(f"word{n}" for n in range(400)) + "."
    )
    found = index_of(corpus, replace(SENTENCES, top_k=50, window=0), tmp_path).retrieve("word")
    assert_in_place(corpus, found.contexts)
    assert len(found.contexts) > 5
    assert max(len(context.text.split()) for context in found.contexts) <= 128


VALVES = "The valve closes at 5 bar. It was changed after the accident in the summer."


def test_a_sentence_that_stands_in_several_documents(tmp_path):
    """What is around it tells them apart: a copy is left out where that is the same, too."""
    others = [
        "Of the first plant the manual speaks here in full. ",
        "Of the second plant we know much less. ",
    ]
    corpus = corpus_of(*(other + VALVES for other in others), others[0] + VALVES)
    for config in (replace(SENTENCES, candidates="bm25"), replace(CHUNKS, sentence_vectors=True)):
        found = index_of(corpus, replace(config, top_k=20), tmp_path).retrieve("valve")
        assert {context.document for context in found.contexts} == {"0.txt", "1.txt"}
        assert {span.document for span in found.stages[CANDIDATES]} == {"0.txt", "1.txt", "2.txt"}


@pytest.mark.parametrize("config", [CHUNKS, LEAVES], ids=name_of)
def test_a_chunk_is_as_near_as_its_nearest_piece(primer, config, tmp_path):
    """The words of a sentence find the chunk that it stands in first, whatever else is in it."""
    index = index_of(primer, replace(config, sentence_vectors=True, top_k=3), tmp_path)
    sentence = "The batch size was 128."
    assert sentence not in {" ".join(span.text.split()) for span in index.load().chunks.searched()}
    asked = next(chunk.text for chunk in index.load().chunks.searched() if "batch size was 128" in chunk.text)
    first = index.retrieve(asked).contexts[0]
    assert sentence in first.text
    assert first.score == pytest.approx(1.0)


class Exact(HashEmbedder):
    """An embedder that must not be asked."""

    def embed(self, texts: Any, *, progress: str | None = None) -> Any:
        raise AssertionError("nothing is found by vectors here")


class Scripted(Resources):
    """Models of which the language model says what a test has it say."""

    def llm(self, config: LLMConfig) -> LLM:
        return ScriptedLLM("Two.")


@pytest.mark.parametrize("config", [replace(CHUNKS, retriever="bm25"), replace(LEAVES, candidates="bm25")])
def test_words_alone_need_no_embedder(primer, config, tmp_path):
    """Neither to build an index nor to search it, and none is looked for."""
    resources = Scripted(offline=True)
    unknown = replace(config, embedder="nowhere", context_tokens=2000)
    pipeline = build_pipeline(unknown, primer, resources, tmp_path)
    assert pipeline.answer_now(EXPERTS).contexts
    assert "embedder" not in describe(unknown)


MANY = [f"Valve {n} of pump {n % 7} closes at {n * 3} bar." for n in range(LEAST_KEPT + 5)]


@pytest.mark.parametrize("sentences", [False, True])
def test_the_table_of_many_chunks_is_kept(sentences, tmp_path, capsys):
    """It lies beside the index, is read the next time, and made anew where it is damaged."""
    config = replace(CHUNKS, retriever="hybrid", sentence_vectors=sentences)
    corpus = corpus_of(*MANY)

    def tables() -> dict[str, int]:
        return {file.name: file.stat().st_ino for file in tmp_path.glob("*.bm25")}

    first = index_of(corpus, config, tmp_path).retrieve("valve 77")
    kept = tables()
    (file,) = tmp_path.glob("*.bm25")
    assert first.contexts[0].text == MANY[77]
    assert index_of(corpus, config, tmp_path).retrieve("valve 77") == first
    assert tables() == kept
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    for damaged in (bytes(data), data[: len(data) // 2], b"", b"{}"):
        file.write_bytes(damaged)
        assert index_of(corpus, config, tmp_path).retrieve("valve 77") == first
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"rag-evals: {file} is damaged (")
        assert said.endswith("): it is made anew")
    index_of(corpus, replace(config, bm25_k1=1.2), tmp_path).retrieve("valve 77")
    assert len(tables()) == 2


def test_a_full_disk_loses_the_table_only(tmp_path, capsys, monkeypatch):
    """What was found is found; one line says that the table was not written."""

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    index = index_of(corpus_of(*MANY), replace(CHUNKS, retriever="bm25"), tmp_path)
    index.load()
    monkeypatch.setattr(np, "savez", full)
    assert index.retrieve("valve 77").contexts[0].text == MANY[77]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(".bm25 was not written (No space left on device): it is made anew the next time")
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".lock"]
    assert not list(tmp_path.glob("building-*"))


def test_the_table_of_few_chunks_is_not_kept(primer, tmp_path):
    index_of(primer, replace(CHUNKS, retriever="bm25"), tmp_path).retrieve("valve")
    assert list(tmp_path.glob("*.bm25")) == []


def pipeline_over(index: Index, config: PipelineConfig, *replies: str) -> RetrievalPipeline:
    return RetrievalPipeline(config, index, ScriptedLLM(*replies), NoReranker())


def test_other_wordings_are_a_stage(primer, tmp_path):
    """The model is asked for them first; what they find is fused with what the question finds."""
    config = replace(CHUNKS, retriever="bm25", expansion=2, top_k=2, context_tokens=2000)
    index = index_of(primer, config, tmp_path)
    answer = pipeline_over(index, config, "ColBERT MaxSim\nlate interaction", "Two.").answer_now("batch size")
    assert list(answer.seconds) == ["expand", "retrieve", "rerank", "generate"]
    assert answer.tokens["expand"].generated == 4
    plain = pipeline_over(index, replace(config, expansion=0), "Two.").answer_now("batch size")
    assert list(plain.seconds) == ["retrieve", "rerank", "generate"]
    assert "ColBERT" in "".join(context.text for context in answer.contexts)
    assert "ColBERT" not in "".join(context.text for context in plain.contexts)
    alone = pipeline_over(index, config).search_now("batch size")
    assert alone.contexts == plain.contexts


def test_what_changes_a_fingerprint(primer, tmp_path):
    """Knobs that change nothing do not; wordings and the way of searching do, by names that are shown."""

    def made(config: PipelineConfig) -> RetrievalPipeline:
        return pipeline_over(index_of(primer, config, tmp_path, HashEmbedder()), config)

    plain = made(CHUNKS)
    assert set(plain.identity) == {"knobs", "index", "llm", "reranker", "prompt"}
    idle = made(replace(CHUNKS, bm25_k1=1.2, window=5, fusion_depth=9, candidates="vector"))
    assert idle.fingerprint == plain.fingerprint
    different = [
        replace(CHUNKS, expansion=2),
        replace(CHUNKS, expansion=3),
        replace(CHUNKS, sentence_vectors=True),
        replace(CHUNKS, retriever="hybrid"),
        replace(CHUNKS, retriever="hybrid", vector_weight=1.0),
        replace(CHUNKS, retriever="hybrid", bm25_language="german"),
        replace(CHUNKS, retriever="bm25"),
        SENTENCES,
        replace(SENTENCES, window=1),
        replace(SENTENCES, candidates="hybrid"),
    ]
    assert len({plain.fingerprint, *(made(config).fingerprint for config in different)}) == 11
    assert "expansion" in made(different[0]).identity
    assert set(made(different[3]).identity["bm25"]) == {"terms", "bm25s", "PyStemmer"}


def test_what_changes_a_search(primer, tmp_path):
    """Whatever finds other passages does; what is made of them does not, nor wordings, which take a model."""

    def searching(**changed: Any) -> str:
        config = replace(LEAVES, **{"candidates": "hybrid", **changed})
        return pipeline_over(index_of(primer, config, tmp_path), config).searching

    same = [
        {"name": "other"},
        {"context_tokens": 9, "max_answer_tokens": 9, "passage_order": "best_last", "instruction": "Answer."},
        {"expansion": 3},
        {"llm": replace(LEAVES.llm, n_ctx=512)},
    ]
    assert {searching(**changed) for changed in same} == {searching()}
    other = [
        {"top_k": 9},
        {"merge_ratio": 0.4},
        {"rerank_top_n": 2},
        {"chunk_overlap": 9},
        {"sentence_vectors": True},
        {"candidates": "bm25"},
        {"bm25_b": 0.5},
        {"fusion_depth": 9},
    ]
    found = [searching(**changed) for changed in other]
    assert len({searching(), *found}) == 9


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (CHUNKS, "chunks: vector, chunks of 128 tokens, top 5, embedder all-minilm-l6-v2, llm m"),
        (replace(CHUNKS, retriever="bm25"), "chunks: bm25, chunks of 128 tokens, top 5, llm m"),
        (
            replace(LEAVES, candidates="hybrid", sentence_vectors=True, expansion=3),
            "leaves: auto_merging of hybrid candidates, chunks of 512/128 tokens with vectors of their "
            "sentences, top 8 for 4 wordings, reranker none keeps 4, embedder all-minilm-l6-v2, llm m",
        ),
        (
            replace(SENTENCES, top_k=4),
            "sentences: sentence_window, 2 sentences around each, top 4, reranker none keeps 4, "
            "embedder all-minilm-l6-v2, llm m",
        ),
    ],
)
def test_a_pipeline_says_what_it_is(config, line):
    assert describe(replace(config, llm=replace(config.llm, model="m"))) == line


@pytest.mark.model
def test_words_and_meaning(primer, embedder, tmp_path):
    """With a real embedder each way of searching finds what it is good at, and `hybrid` finds both."""
    asked = {
        "What is the expert capacity of a mixture-of-experts layer?": "divided by the number of experts",
        "Which techniques keep the work evenly spread over the specialists?": "Load Balancing",
    }
    found = {}
    for retriever in ("vector", "bm25", "hybrid"):
        config = replace(config_for("baseline"), retriever=retriever, top_k=4)
        index = index_of(primer, config, tmp_path, embedder if retriever != "bm25" else None)
        found[retriever] = [
            any(words in " ".join(context.text.split()) for context in index.retrieve(question).contexts)
            for question, words in asked.items()
        ]
    assert found == {"vector": [False, True], "bm25": [True, False], "hybrid": [True, True]}
