"""The retriever that a pipeline's settings name."""

from __future__ import annotations

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.retrievers.auto_merging import AutoMergingRetriever
from rag_evals.rag.retrieval.retrievers.protocol import Retriever
from rag_evals.rag.retrieval.retrievers.vector import VectorRetriever
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.protocol import Store


def retriever_for(config: PipelineConfig, chunks: ChunkTable, store: Store, embedder: Embedder) -> Retriever:
    """Return the retriever of `config` over the chunks of an index and their vectors."""
    nearest = VectorRetriever(chunks, store, embedder, config.top_k)
    if config.retriever == "auto_merging":
        return AutoMergingRetriever(nearest, chunks, config.merge_ratio)
    return nearest
