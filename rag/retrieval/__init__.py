"""Retrieval: embedder, reranker, entailment, vector index."""
