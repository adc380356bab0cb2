"""Merging: the same passages with the same scores as LlamaIndex's own retriever."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document as LlamaDocument
from llama_index.core import StorageContext
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceSplitter
from llama_index.core.retrievers import AutoMergingRetriever as TheirRetriever
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Document
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.retrieval.chunks import Chunk, Hit, leaves, split
from rag_evals.rag.retrieval.retrievers.auto_merging import AutoMergingRetriever
from rag_evals.rag.retrieval.retrievers.protocol import Found
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable

ROOT = Path(__file__).parents[2]
SIZES = [(512, 160, 64), (2048, 512, 128), (160, 60)]


class Ranking:
    """A retriever that has found something."""

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = tuple(hits)

    def retrieve(self, question: str, wordings: Sequence[str] = ()) -> Found:
        return Found(self.hits, self.hits)


class TheirRanking(BaseRetriever):
    """The same for LlamaIndex."""

    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return list(self._nodes)


@pytest.fixture(scope="module")
def primer() -> Document:
    return read_documents(ROOT / "fixtures/corpus/primer.pdf").documents[0]


def their_nodes(document: Document, sizes: tuple[int, ...], chunks: list[Chunk]) -> dict[str, Any]:
    """Split as LlamaIndex does; return its nodes by the ids of our chunks, which come in the same order."""
    parsers = {str(size): SentenceSplitter(chunk_size=size, chunk_overlap=5) for size in sizes}
    parser = HierarchicalNodeParser.from_defaults(node_parser_ids=list(parsers), node_parser_map=parsers)
    nodes = parser.get_nodes_from_documents([LlamaDocument(text=document.text)])
    assert [node.text for node in nodes] == [chunk.text for chunk in chunks]
    return {chunk.id: node for chunk, node in zip(chunks, nodes, strict=True)}


def ranking(chunks: list[Chunk], seed: int) -> list[Hit]:
    """Draw a ranking of chunks that mostly stand near each other."""
    draw = random.Random(seed)
    near = draw.randrange(len(chunks))
    window = chunks[max(0, near - 8) : near + 8]
    some = draw.sample(window, min(len(window), draw.randint(1, 12))) + draw.sample(chunks, 3)
    hits = [Hit(chunk, draw.random()) for chunk in dict.fromkeys(some)]
    return sorted(hits, key=lambda hit: hit.score, reverse=True)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9])
def test_as_llamaindex_merges(primer, sizes, ratio, tmp_path):
    """Of any ranking of leaves, and of large chunks, the same is merged in the same order."""
    config = PipelineConfig("x", retriever="auto_merging", chunk_sizes=sizes, chunk_overlap=5)
    chunks = split(primer, config)
    nodes = their_nodes(primer, sizes, chunks)
    ours = {node.node_id: id for id, node in nodes.items()}
    storage = StorageContext.from_defaults()
    storage.docstore.add_documents(list(nodes.values()))
    table = ChunkTable(tmp_path, writable=True)
    table.put(primer.name, "", chunks)
    changed = 0
    whole = [chunk for chunk in chunks if chunk.level == 0]
    for seed in range(100):
        hits = ranking(leaves(chunks) if seed % 5 or len(whole) < 3 else whole, seed)
        theirs = TheirRetriever(
            TheirRanking([NodeWithScore(node=nodes[hit.chunk.id], score=hit.score) for hit in hits]),
            storage,
            simple_ratio_thresh=ratio,
        ).retrieve("x")
        found = AutoMergingRetriever(Ranking(hits), table, ratio).retrieve("x").passages
        assert [(h.chunk.id, h.score) for h in found] == [(ours[n.node.node_id], n.score) for n in theirs]
        changed += len(found) != len(hits)
    assert changed > 5
