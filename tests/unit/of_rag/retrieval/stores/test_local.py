"""The local store: exact, and the same whatever was added and removed before."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import similarity
from rag_evals.rag.retrieval.chunks import Chunk
from rag_evals.rag.retrieval.stores.local import FILES, LocalStore
from rag_evals.rag.retrieval.stores.protocol import Entry


def entry(name: str, count: int, *, dimension: int = 16, version: str = "") -> Entry:
    """Return a made-up document of so many chunks; its vectors are drawn from its name."""
    ids = [hashlib.sha256(f"{name}/{version}/{n}".encode()).hexdigest() for n in range(count)]
    chunks = [Chunk(id, f"{name} {n}", name, None, n, n + 1) for n, id in enumerate(ids)]
    seed = int.from_bytes(hashlib.sha256(f"{name}{version}".encode()).digest()[:8])
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype("<f4")
    return Entry(name, f"digest of {name}", chunks, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def question(seed: int = 0) -> np.ndarray:
    return entry(f"question {seed}", 1).vectors[0]


def exact(entries: list[Entry], vector: np.ndarray, k: int) -> list[tuple[str, float]]:
    """Search as LlamaIndex's simple store does: the cosine of each vector in a loop."""
    scored = [
        (similarity(vector.tolist(), row.tolist()), chunk.id)
        for each in entries
        for chunk, row in zip(each.chunks, each.vectors, strict=True)
    ]
    return [(id, score) for score, id in sorted(scored, reverse=True)[:k]]


def filled(folder, *entries: Entry) -> LocalStore:
    store = LocalStore(folder)
    store.add(entries)
    store.save()
    return store


DOCUMENTS = [entry(f"{n}.txt", n) for n in range(12)]


def test_search_is_exact(tmp_path):
    """Ids and scores are those of a loop over all vectors, to the last digit."""
    filled(tmp_path, *DOCUMENTS)
    store = LocalStore(tmp_path)
    for seed in range(20):
        for k in (1, 5, 66, 1000):
            assert store.nearest(question(seed), k) == exact(DOCUMENTS, question(seed), k)


def test_equal_vectors_come_by_their_ids(tmp_path):
    """Wherever in the array they lie."""
    one = entry("a", 40)
    same = Entry("a", "", one.chunks, np.tile(one.vectors[:1], (40, 1)))
    others = [filled(tmp_path, same, entry("b", 5))]
    (tmp_path / "other").mkdir()
    others.append(filled(tmp_path / "other", entry("b", 5), same))
    found = [store.nearest(one.vectors[0], 7) for store in others]
    assert found[0] == found[1]
    assert [id for id, _ in found[0]] == sorted((chunk.id for chunk in one.chunks), reverse=True)[:7]


def test_adding_writes_behind_the_rest(tmp_path):
    """What is there stays where it is; the new document is found."""
    filled(tmp_path, *DOCUMENTS)
    before = (tmp_path / "vectors.f32").read_bytes()
    store = LocalStore(tmp_path)
    store.add([entry("new.txt", 3)])
    store.save()
    after = (tmp_path / "vectors.f32").read_bytes()
    assert after.startswith(before)
    assert len(after) - len(before) == 3 * 16 * 4
    everything = [*DOCUMENTS, entry("new.txt", 3)]
    assert LocalStore(tmp_path).nearest(question(), 70) == exact(everything, question(), 70)


def test_what_is_removed_is_not_found(tmp_path):
    """Its room stays until it is the larger half; then it is given back."""
    filled(tmp_path, *DOCUMENTS)
    store = LocalStore(tmp_path)
    store.remove(["11.txt", "unknown"])
    store.save()
    assert (tmp_path / "ids.bin").stat().st_size == 66 * 32
    assert LocalStore(tmp_path).nearest(question(), 70) == exact(DOCUMENTS[:-1], question(), 70)
    store = LocalStore(tmp_path)
    store.remove(["10.txt", "9.txt", "8.txt"])
    store.save()
    assert (tmp_path / "ids.bin").stat().st_size == 28 * 32
    for opened in (store, LocalStore(tmp_path)):
        assert opened.nearest(question(), 70) == exact(DOCUMENTS[:8], question(), 70)
        assert opened.documents() == {each.document: each.digest for each in DOCUMENTS[:8]}
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FILES)


def test_a_document_in_place_of_another(tmp_path):
    filled(tmp_path, *DOCUMENTS)
    store = LocalStore(tmp_path)
    store.remove(["5.txt"])
    changed = entry("5.txt", 2, version="second")
    store.add([changed])
    store.save()
    everything = [*DOCUMENTS[:5], *DOCUMENTS[6:], changed]
    assert LocalStore(tmp_path).nearest(question(), 70) == exact(everything, question(), 70)
    assert np.array_equal(LocalStore(tmp_path).vectors_of("5.txt"), changed.vectors)


def test_an_empty_store(tmp_path):
    """Documents without chunks are held, and nothing is found."""
    store = filled(tmp_path, entry("a", 0))
    assert store.documents() == {"a": "digest of a"}
    for opened in (store, LocalStore(tmp_path)):
        assert opened.nearest(question(), 3) == []


def test_another_dimension(tmp_path):
    with pytest.raises(ValueError, match=r"^vectors of 8 dimensions, not 16$"):
        filled(tmp_path, entry("a", 2), entry("b", 2, dimension=8))


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["vectors.f32", "ids.bin"])
def test_files_that_do_not_fit_each_other(name, tmp_path):
    """Rows that are cut off, and rows that are named and not there, are damage."""
    filled(tmp_path, *DOCUMENTS)
    cut(tmp_path / name)
    with pytest.raises(ValueError, match=r"vectors.f32 and ids.bin have [\d,]+ and [\d,]+ bytes"):
        LocalStore(tmp_path)


def test_rows_that_are_not_there(tmp_path):
    filled(tmp_path, *DOCUMENTS)
    told = json.loads((tmp_path / "rows.json").read_bytes())
    told["documents"][-1][-1] += 1
    (tmp_path / "rows.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"^rows.json names rows beyond 66$"):
        LocalStore(tmp_path)


def test_a_vector_of_nothing_but_zeros(tmp_path):
    """It is as far from everything as what stands at right angles."""
    zero = Entry("z", "", entry("z", 1).chunks, np.zeros((1, 16), "<f4"))
    assert filled(tmp_path, zero).nearest(question(), 1) == [(zero.chunks[0].id, 0.0)]
