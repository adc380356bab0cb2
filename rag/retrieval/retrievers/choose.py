"""The retriever that a pipeline's settings name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Document
from rag_evals.rag.retrieval.embedder import AnyEmbedder
from rag_evals.rag.retrieval.retrievers.auto_merging import AutoMergingRetriever, mean
from rag_evals.rag.retrieval.retrievers.bm25 import BM25Search, BM25Settings
from rag_evals.rag.retrieval.retrievers.fusion import FusedRetriever
from rag_evals.rag.retrieval.retrievers.protocol import Retriever, Search
from rag_evals.rag.retrieval.retrievers.sentence_window import SentenceWindowRetriever
from rag_evals.rag.retrieval.retrievers.vector import SentenceVectorSearch, VectorSearch
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.protocol import Store


def retriever_for(
    config: PipelineConfig,
    chunks: ChunkTable,
    store: Store,
    embedder: AnyEmbedder,
    documents: Mapping[str, Document],
    place: Path | None = None,
) -> Retriever:
    """Return the retriever of `config` over an index.

    Args:
        config: The settings.
        chunks: The chunks of the index.
        store: Their vectors.
        embedder: What made these.
        documents: The documents by their names.
        place: The folder of the index; what is made of it lies beside it.
    """
    has_pieces = config.has_sentences and config.retriever != "sentence_window"
    searches: list[tuple[Search, float]] = []
    if config.search != "bm25":
        vectors = SentenceVectorSearch if has_pieces else VectorSearch
        searches.append((vectors(chunks, store, embedder), config.vector_weight))
    if config.search != "vector":
        settings = BM25Settings(config.bm25_k1, config.bm25_b, config.bm25_language)
        words = BM25Search(chunks, settings, of_sentences=has_pieces, kept=place)
        searches.append((words, config.bm25_weight))
    if len(searches) == 1:
        searches = [(searches[0][0], 1.0)]
    candidates = FusedRetriever(
        searches, constant=config.rrf_constant, depth=config.fusion_depth, top_k=config.top_k
    )
    if config.retriever == "auto_merging":
        score = mean if config.search == "vector" and not config.expansion else max
        return AutoMergingRetriever(candidates, chunks, config.merge_ratio, score)
    if config.retriever == "sentence_window":
        return SentenceWindowRetriever(candidates, chunks, documents, config.window)
    return candidates
