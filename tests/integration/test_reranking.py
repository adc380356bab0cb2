"""The cross-encoder, with a small one that is trained here; and the language model as a reranker."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rag_evals.rag.answer import Context
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.errors import ModelError
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.retrieval.reranker import CrossEncoderReranker, LLMReranker

from tests.integration.conftest import MODELS

pytestmark = pytest.mark.usefixtures("torch_stays")

ANIMALS = ("cat", "dog", "bird", "fish")
FOODS = ("milk", "bone", "seed", "fly")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = (*SPECIAL, "what", "eats", "the", *ANIMALS, *FOODS)


def tokenizer() -> Any:
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={word: n for n, word in enumerate(VOCABULARY)})


def bert(labels: int = 1) -> Any:
    """Make a tiny BERT with random weights and a classification head."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=16,
        num_labels=labels,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    return BertForSequenceClassification(config)


def trained() -> Any:
    """Train a cross-encoder until it knows which passage speaks of the animal that was asked about."""
    import torch

    model = bert()
    pairs = list(product(ANIMALS, ANIMALS, FOODS))
    questions = [f"what eats the {asked}" for asked, _, _ in pairs]
    passages = [f"the {animal} eats {food}" for _, animal, food in pairs]
    batch = tokenizer()(questions, passages, padding=True, return_tensors="pt")
    wanted = torch.tensor([float(asked == animal) for asked, animal, _ in pairs])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = torch.tensor(1.0)
    for _ in range(300):
        if loss < 0.02:
            return model
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(**batch).logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"the cross-encoder did not learn: loss {loss:.3f}")


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small cross-encoder that ranks right."""
    return saved(trained(), tmp_path_factory.mktemp("models") / "trained")


@pytest.fixture
def copy(cross_encoder, tmp_path):
    """Return a copy of it to damage."""
    return Path(shutil.copytree(cross_encoder, tmp_path / "copy"))


def load(path: Path) -> CrossEncoderReranker:
    reranker = CrossEncoderReranker(path, name="mine", sha256="0" * 64, models_folder=MODELS)
    reranker.load()
    return reranker


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    return str(caught.value)


def test_a_trained_cross_encoder_ranks_right(cross_encoder):
    """The passage on the question's subject comes first, with its place and a new score."""
    reranker = load(cross_encoder)
    passages = [
        Context(f"the {animal} eats milk", "a.pdf", page=n, start=n, end=n + 9, score=0.5)
        for n, animal in enumerate(ANIMALS, 1)
    ]
    for n, animal in enumerate(ANIMALS, 1):
        best, *others = reranker.rerank(f"what eats the {animal}", passages).contexts
        assert (best.text, best.page, best.start) == (f"the {animal} eats milk", n, n)
        assert best.score > 0.9
        assert max(other.score for other in others) < 0.1
        assert len(others) == 3


def test_a_cross_encoder_gives_the_same_each_time(cross_encoder):
    """Loaded again, it gives the same order and the same scores."""
    passages = [Context(f"the {animal} eats {food}") for animal, food in product(ANIMALS, FOODS)]
    one, two = (load(cross_encoder).rerank("what eats the dog", passages).contexts for _ in range(2))
    assert one == two


def test_no_passages(cross_encoder):
    """Of no passages the order is empty."""
    assert load(cross_encoder).rerank("what eats the dog", ()).contexts == ()


def test_the_identity_of_a_cross_encoder_is_its_weights(cross_encoder):
    """Other weights are another reranker, another name is not."""
    plain = load(cross_encoder)
    renamed = CrossEncoderReranker(cross_encoder, name="other", sha256="0" * 64)
    changed = CrossEncoderReranker(cross_encoder, name="mine", sha256="1" * 64)
    assert plain.fingerprint == renamed.fingerprint != changed.fingerprint


def test_a_cross_encoder_by_path(cross_encoder):
    """A pipeline's `reranker` may be the folder of one's own; it is loaded once."""
    config = PipelineConfig("mine", reranker=str(cross_encoder))
    resources = Resources(offline=True)
    reranker = resources.reranker(config)
    assert isinstance(reranker, CrossEncoderReranker)
    assert resources.reranker(config) is reranker


def test_a_model_without_a_head_is_refused(tmp_path):
    """A base model would load with a random head and rank at random: it is refused."""
    path = saved(bert().bert, tmp_path / "base")
    assert refusal(path) == (
        f"{path} has no trained classification head (classifier.bias, classifier.weight not in its weights): "
        'it would rank at random. Use a trained cross-encoder, or reranker = "llm" or "none".'
    )


def test_a_classifier_of_three_labels_is_refused(tmp_path):
    """A classifier (entailment, say) gives no score to order by."""
    path = saved(bert(labels=3), tmp_path / "three")
    assert refusal(path) == f"{path} has 3 labels, a reranker has one: use a trained reranker."


def test_an_empty_folder_is_refused(tmp_path):
    """A folder without a model is refused with what is missing."""
    assert refusal(tmp_path) == (
        f"{tmp_path} is not a cross-encoder: Unrecognized model in {tmp_path}. "
        "Should have a `model_type` key in its config.json."
    )


def test_cut_weights_are_refused(copy):
    """Weights that are cut short are refused, not raised through."""
    os.truncate(copy / "model.safetensors", 5000)
    assert refusal(copy) == (
        f"{copy} is not a cross-encoder: "
        "Error while deserializing header: incomplete metadata, file not fully covered"
    )


def test_weights_that_are_a_pickle_are_refused(copy):
    """A pickle may run code when it is opened, so that it is not."""
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert refusal(copy) == (
        f"the model in {copy} is refused: its weights are a pickle (pytorch_model.bin), which may run code: "
        "save it anew with `save_pretrained`, which writes model.safetensors, or use another model."
    )


def test_a_missing_vocabulary_is_refused(copy):
    """Without its vocabulary every word would be unknown, and every passage the same."""
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").unlink()
    assert refusal(copy) == (
        f"{copy} has no vocabulary (tokenizer.json): every word would be unknown. Give the whole folder."
    )


@pytest.mark.model
def test_a_real_language_model_as_reranker(llm):
    """Every passage gets a probability, best first, and all prompts share the question's part."""
    passages = [Context("The router picks two experts."), Context("The volcano erupted."), Context("Rain.")]
    reranker = LLMReranker(llm)
    ranked = reranker.rerank("How many experts does the router pick?", passages).contexts
    scores = [context.score for context in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert {context.text for context in ranked} == {context.text for context in passages}
    assert reranker.rerank("How many experts does the router pick?", passages).contexts == ranked
