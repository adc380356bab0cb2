"""The vectors of an index in another store, filled from the local one, and what its search does not find."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.documents.document import Remark
from rag_evals.rag.errors import StoreError
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.stores.chunk_table import ChunkTable
from rag_evals.rag.retrieval.stores.llamaindex_store import AT_ONCE, LlamaIndexStore, Server, mark
from rag_evals.rag.retrieval.stores.local import LocalStore
from rag_evals.rag.retrieval.stores.pgvector import PgVector
from rag_evals.rag.retrieval.stores.plugin import PluginStore
from rag_evals.rag.retrieval.stores.protocol import Entry
from rag_evals.rag.retrieval.stores.qdrant import Qdrant
from rag_evals.rag.retrieval.stores.setting import PGVECTOR, QDRANT, StoreSetting, store_identity

# So many of the stored vectors are searched for to measure what is found.
SAMPLE = 50
# Two scores of a vector differ by less, whatever computed them.
_ALIKE = 1e-5


@dataclass(frozen=True, slots=True)
class MirrorNotes:
    """What is known of an index in another store; kept beside the index.

    Attributes:
        place: Where it is, without credentials.
        search: How it is searched.
        recall: The share of the nearest passages that it finds; None for exact search.
        top_k: Of so many.
        sample: Measured with so many of its vectors.
        held: How many vectors were put in of each mark, for a store that does not tell.
    """

    place: str
    search: str
    recall: float | None = None
    top_k: int = 0
    sample: int = 0
    held: Mapping[str, int] = field(default_factory=dict)

    def remarks(self) -> list[Remark]:
        """Return what approximate search does not find."""
        if self.recall is None:
            return []
        return [
            Remark(
                "not found",
                f"{self.place} ({self.search}) finds {self.recall:.1%} of the {self.top_k} nearest passages "
                f"that exact search finds, measured with {self.sample} of its own{_remedy(self)}",
            )
        ]


def _remedy(notes: MirrorNotes) -> str:
    for kind, knob in (("hnsw", "ef_search"), ("ivfflat", "probes")):
        if notes.search.startswith(kind) and notes.recall != 1:
            return f': raise {knob}, or set store_index = "none" for exact search'
    return ""


def mirror_file(index: Path, config: PipelineConfig, setting: StoreSetting) -> Path:
    """Return where the notes on an index in another store lie: beside those of the index."""
    about = {**store_identity(config), "place": setting.place, "top_k": config.top_k}
    return index.with_name(f"{index.name}.{digest(about)[:8]}.store.json")


def read_mirror_notes(file: Path) -> MirrorNotes | None:
    """Read the notes; None where there are none, or they are damaged."""
    try:
        return MirrorNotes(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def mirrored(
    config: PipelineConfig,
    setting: StoreSetting,
    file: Path,
    chunks: ChunkTable,
    local: LocalStore,
) -> tuple[LlamaIndexStore, MirrorNotes, bool]:
    """Open the store that a pipeline names, and bring it to hold what the local one holds.

    Returns:
        The store, what is known of it, and whether anything was added.

    Raises:
        StoreError: It cannot be reached, refuses, or holds something else.
    """
    notes = read_mirror_notes(file)
    server = _server(config, setting, f"rag_evals_{file.name.partition('.')[0]}", notes.held if notes else {})
    documents = {name: known for name, known in local.documents().items() if local.count(name)}
    store = LlamaIndexStore(server, local, documents)
    with store.alone():
        added = _fill(store, documents, chunks, local)
        if added or notes is None:
            store.finish()
    if added or notes is None:
        recall, sample = (None, 0) if store.is_exact else _recall(store, documents, local, config.top_k)
        counts = {name: local.count(name) for name in ([] if server.is_told else documents)}
        held = {mark(name, documents[name], count): count for name, count in counts.items()}
        notes = MirrorNotes(store.place, _search(config, setting), recall, config.top_k, sample, held)
        file.write_text(json.dumps(asdict(notes)), "utf-8")
    return store, notes, added


def _server(config: PipelineConfig, setting: StoreSetting, name: str, known: Mapping[str, int]) -> Server:
    if setting.kind == PGVECTOR:
        return PgVector(setting, config, name)
    if setting.kind == QDRANT:
        return Qdrant(setting, config, name)
    return PluginStore(setting, name, known)


def _search(config: PipelineConfig, setting: StoreSetting) -> str:
    if setting.plugin is not None:
        return "as its plugin searches"
    width = {"hnsw": f", ef_search {config.ef_search}", "ivfflat": f", probes {config.probes}"}
    return config.store_index + width.get(config.store_index, "")


def _fill(
    store: LlamaIndexStore, documents: Mapping[str, str], chunks: ChunkTable, local: LocalStore
) -> bool:
    """Add what the store does not hold; return whether there was something."""
    from tqdm import tqdm

    held = store.documents()
    missing = [name for name, known in documents.items() if held.get(name) != known]
    if not missing and documents and not _is_there(store, next(iter(documents)), local):
        missing = list(documents)  # what was put in once is not there any more
    groups = list(_groups(missing, local))
    for some in tqdm(groups, desc=f"filling {store.place}", unit="group", disable=None, leave=False):
        store.add(
            [
                Entry(name, documents[name], chunks.get(local.ids_of(name)), local.vectors_of(name))
                for name in some
            ]
        )
    return bool(missing)


def _is_there(store: LlamaIndexStore, document: str, local: LocalStore) -> bool:
    try:
        found = store.nearest(local.vectors_of(document)[0], 1)
    except StoreError:  # of a collection that is not there; of anything else that adding tells
        return False
    return bool(found) and found[0][1] > 1 - _ALIKE


def _groups(names: Sequence[str], local: LocalStore) -> Iterator[list[str]]:
    """Yield documents in groups that fill a transaction or request; what is larger stands alone."""
    group: list[str] = []
    size = 0
    for name in names:
        if group and size + local.count(name) > AT_ONCE:
            yield group
            group, size = [], 0
        group.append(name)
        size += local.count(name)
    if group:
        yield group


def _recall(
    store: LlamaIndexStore, documents: Collection[str], local: LocalStore, top_k: int
) -> tuple[float, int]:
    """Return the share of the `top_k` nearest that the store finds, and how many vectors it was asked for."""
    rows = ((name, row) for name in documents for row in range(local.count(name)))
    step = max(1, sum(map(local.count, documents)) // SAMPLE)
    sample = islice(rows, 0, SAMPLE * step, step)
    shares = []
    for name, row in sample:
        vector, own = local.vectors_of(name)[row], local.ids_of(name)[row]
        nearest = [score for id, score in local.nearest(vector, top_k + 1) if id != own][:top_k]
        if nearest:
            found = [score for id, score in store.nearest(vector, top_k + 1) if id != own]
            # By their scores: of equal ones it may find others.
            hits = sum(score > nearest[-1] - _ALIKE for score in found)
            shares.append(min(1.0, hits / len(nearest)))
    return (fmean(shares), len(shares)) if shares else (1.0, 0)
