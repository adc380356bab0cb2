"""The embedder: unit vectors, the same each time, and folders that are no embedder."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.resolve import Model, resolve
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.llamaindex import LlamaIndexEmbedding

from tests.integration.conftest import MODELS

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("torch_stays")]

TEXTS = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose again."]


def test_one_unit_vector_a_text(embedder):
    """The vectors are of length 1 and as many as the texts."""
    vectors = embedder.embed(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)


def test_near_in_meaning_is_near(embedder):
    """Texts of one meaning are nearer to each other than to one of another."""
    sofa, couch, rates = embedder.embed(TEXTS)
    assert sofa @ couch > 0.5 > sofa @ rates


def test_the_same_texts_the_same_vectors(embedder):
    """Embedding again gives the same vectors to the last bit, over several batches too."""
    texts = [f"{text} {n}" for n in range(14) for text in TEXTS]
    assert np.array_equal(embedder.embed(texts), embedder.embed(texts))


def test_a_vector_does_not_depend_on_its_neighbours(embedder):
    """Embedded alone or among longer texts, a text has the same vector to the last bit."""
    among = embedder.embed([TEXTS[0], "word " * 200, TEXTS[1]])
    assert np.array_equal(embedder.embed(TEXTS[:2]), among[[0, 2]])


def test_what_is_remembered_is_not_computed(embedder):
    """Vectors come from the memory where it has them, bit by bit; only the others are computed and kept."""

    class Memory(dict):
        def recall(self, kind, keys):
            return {key: self[kind, key] for key in keys if (kind, key) in self}

        def keep(self, kind, items):
            self.update({(kind, key): data for key, data in items.items()})

    memory = Memory()
    model = resolve("all-minilm-l6-v2")
    first = Embedder(model, memory, models_folder=MODELS).embed(TEXTS[:2])
    assert len(memory) == 2
    unloaded = Embedder(Model(model.name, Path("gone"), model.sha256, "path"), memory)
    assert np.array_equal(unloaded.embed(TEXTS[1::-1]), first[::-1])
    with pytest.raises(ModelError):
        unloaded.embed(TEXTS)


def test_no_texts(embedder):
    """Of no texts there are no vectors."""
    assert embedder.embed([]).shape == (0, 0)


def test_no_bar_where_nobody_looks(embedder, capfd):
    """The progress bar shows on a terminal only."""
    embedder.embed(TEXTS, progress="embedding")
    assert capfd.readouterr() == ("", "")


def test_through_llamaindex(embedder):
    """LlamaIndex gets the same vectors for a query and for texts."""
    bridge = LlamaIndexEmbedding(embedder)
    assert bridge.get_query_embedding(TEXTS[0]) == embedder.embed(TEXTS[:1])[0].tolist()
    assert bridge.get_text_embedding_batch(TEXTS) == embedder.embed(TEXTS).tolist()


async def test_through_llamaindex_from_async_code(embedder):
    """The same from async code."""
    assert await LlamaIndexEmbedding(embedder).aget_query_embedding(TEXTS[0]) == (
        embedder.embed(TEXTS[:1])[0].tolist()
    )


def test_the_identity_is_the_weights(embedder):
    """Another embedder has another fingerprint; the name does not count."""
    model = resolve("all-minilm-l6-v2")
    renamed = Embedder(Model("renamed", model.path, model.sha256, "path"))
    changed = Embedder(Model(model.name, model.path, "0" * 64, "path"))
    assert renamed.fingerprint == embedder.fingerprint != changed.fingerprint


def no_vocabulary(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            nothing,
            "is not an embedding model: Unrecognized model in {path}. Should have a `model_type` key in its "
            "config.json. Give a sentence-transformers folder or a name from `rag-evals models list`.",
        ),
        (
            lambda folder: os.truncate(folder / "model.safetensors", 1_000_000),
            "is not an embedding model: Error while deserializing header: incomplete metadata, file not "
            "fully covered. Give a sentence-transformers folder or a name from `rag-evals models list`.",
        ),
        (
            no_vocabulary,
            "has no vocabulary (tokenizer.json): every word would be unknown. Give the whole folder.",
        ),
    ],
    ids=["empty", "truncated", "no vocabulary"],
)
def test_a_folder_that_is_no_embedder(damage: Callable[[Path], None], message, tmp_path):
    """An empty folder, cut weights and a missing vocabulary are refused in words."""
    path = tmp_path / "model"
    shutil.copytree(resolve("all-minilm-l6-v2").path, path)
    damage(path)
    with pytest.raises(ModelError) as caught:
        Embedder(Model("mine", path, "0" * 64, "path"), models_folder=MODELS).load()
    assert str(caught.value) == f"{path} {message.format(path=path)}"


class Trap:
    """What a pickle opens is a call: this one leaves a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_beside_the_weights_is_not_opened(tmp_path):
    """Where there are safetensors too, they are what is loaded."""
    path, trap = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(resolve("all-minilm-l6-v2").path, path)
    (path / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(trap)))
    Embedder(Model("mine", path, "0" * 64, "path"), models_folder=MODELS).load()
    assert not trap.exists()


def test_code_of_a_folder_is_not_run(tmp_path):
    """A module that the folder brings along is refused before anything is imported."""
    path, trap = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(resolve("all-minilm-l6-v2").path, path)
    (path / "evil.py").write_text(
        f"open({str(trap)!r}, 'w')\nfrom sentence_transformers.models import Normalize"
    )
    modules = json.loads((path / "modules.json").read_text())
    (path / "modules.json").write_text(json.dumps([*modules[:2], modules[2] | {"type": "evil.Normalize"}]))
    with pytest.raises(ModelError) as caught:
        Embedder(Model("mine", path, "0" * 64, "path"), models_folder=MODELS).load()
    assert str(caught.value) == (
        f"the model in {path} is refused: modules.json names evil.Normalize, which is code that "
        "sentence-transformers does not have: use a model whose modules are all sentence_transformers.*."
    )
    assert not trap.exists()
