"""The entailment model and its reader, with a small model that is trained here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.entailment import EntailmentScorer
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.retrieval.entailment import EntailmentModel, load_entailment

from tests.integration.conftest import MODELS
from tests.servers.hub import LoopbackHub, Published

pytestmark = pytest.mark.usefixtures("torch_stays")

ANIMALS = ("cat", "dog", "bird", "fish")
FOODS = ("milk", "bone", "seed", "fly")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = (*SPECIAL, ".", "[", "]", "the", "eats", *ANIMALS, *FOODS)
LABELS = ("Neutral", "CONTRADICTION", "Entails")
NEUTRAL, CONTRADICTED, ENTAILED = range(3)
QUESTION = Question("cat", "What does the cat eat?", reference="The cat eats milk.")


def fact(animal: str, food: str) -> str:
    return f"The {animal} eats {food}."


def tokenizer() -> Any:
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={word: n for n, word in enumerate(VOCABULARY)})


def bert(labels: Sequence[str] = LABELS) -> Any:
    """Make a tiny BERT with random weights and a classification head; it reads two facts at once."""
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
        id2label=dict(enumerate(labels)),
        label2id={label: n for n, label in enumerate(labels)},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    return BertForSequenceClassification(config)


def kind(animal: str, food: str, claimed: str, claimed_food: str) -> int:
    if animal != claimed:
        return NEUTRAL
    return ENTAILED if food == claimed_food else CONTRADICTED


def trained() -> Any:
    """Train a model until it knows what follows from a fact, what contradicts it, and what does neither."""
    import torch

    model = bert()
    facts = list(product(ANIMALS, FOODS, ANIMALS, FOODS))
    pairs = [fact(animal, food) for animal, food, _, _ in facts], [fact(*each[2:]) for each in facts]
    kinds = [kind(*each) for each in facts]
    weight = torch.tensor([len(kinds) / kinds.count(n) / 3 for n in range(3)])
    batch, wanted = tokenizer()(*pairs, padding=True, return_tensors="pt"), torch.tensor(kinds)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = torch.tensor(1.0)
    for _ in range(800):
        if loss < 0.004:
            return model
        loss = torch.nn.functional.cross_entropy(model(**batch).logits, wanted, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"the model did not learn: loss {loss:.3f}")


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def load(path: Path, sha256: str = "0" * 64, name: str = "mine") -> EntailmentModel:
    return EntailmentModel(Model(name, path, sha256, "path"), models_folder=MODELS)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    return str(caught.value)


@pytest.fixture(scope="module")
def weights() -> Any:
    """Return the trained model."""
    return trained()


@pytest.fixture(scope="module")
def folder(weights: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its folder."""
    return saved(weights, tmp_path_factory.mktemp("models") / "trained")


@pytest.fixture(scope="module")
def model(folder: Path) -> EntailmentModel:
    """Return it loaded."""
    return load(folder)


@pytest.fixture
def scorer(model):
    """Return the reader on it."""
    return EntailmentScorer(model)


def values(scorer: EntailmentScorer, metric: str, answer: Answer) -> list[float | None]:
    return [item.value for item in scorer.read([metric], QUESTION, answer)[metric].items]


PAIRS = [(fact(*one), fact(*two)) for one, two in product(product(ANIMALS, FOODS), repeat=2)]


def test_the_label_order_is_the_models_own(model):
    """Of every pair the probability of entailment is high exactly where it follows, with entailment last."""
    for (premise, claim), said in zip(PAIRS, model.read(PAIRS).items, strict=True):
        assert (said.entailed > 0.8) == (premise == claim)
        is_contradicted = premise != claim and premise.split()[1] == claim.split()[1]
        assert (said.contradicted > 0.8) == is_contradicted


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2), (0, 2, 1)])
def test_permuted_labels_give_the_same_verdicts(order, weights, model, tmp_path):
    """The same weights with their labels in another order, and a config that says so, judge the same."""
    import torch

    permuted = bert([LABELS[n] for n in order])
    permuted.load_state_dict(weights.state_dict())
    with torch.no_grad():
        permuted.classifier.weight[:] = weights.classifier.weight[list(order)]
        permuted.classifier.bias[:] = weights.classifier.bias[list(order)]
    other = load(saved(permuted, tmp_path / "permuted"))
    for one, two in zip(model.read(PAIRS).items, other.read(PAIRS).items, strict=True):
        assert (one.entailed, one.contradicted) == pytest.approx((two.entailed, two.contradicted), abs=1e-6)


def test_each_claim_is_held_against_the_contexts(scorer):
    """Faithfulness reads claim by claim, each with its place; log odds are the feature."""
    answer = Answer("The cat eats milk. The dog eats fly.", (Context(fact("cat", "milk"), "a.pdf", 3),))
    right, wrong = scorer.read(["faithfulness"], QUESTION, answer)["faithfulness"].items
    assert right.value > 0.9 > 0.1 > wrong.value
    assert right.features["yes"] > 2 > -2 > wrong.features["yes"]
    assert answer.text[wrong.start : wrong.end] == wrong.text == "The dog eats fly."
    assert right.closest == Context(fact("cat", "milk"), "a.pdf", 3)


def test_evidence_at_the_end_of_a_long_context_is_found(scorer):
    """A context of many windows is read to its end, and the closest window says where it stands."""
    others = [fact(animal, food) for animal in ANIMALS[1:] for food in FOODS] * 5
    text = " ".join([*others, fact("cat", "milk")])
    contexts = (Context("The bird eats fly.", "a.md"), Context(text, "b.pdf", 7, 1000, 1000 + len(text)))
    (found,) = scorer.read(["faithfulness"], QUESTION, Answer("The cat eats milk.", contexts))[
        "faithfulness"
    ].items
    assert found.value > 0.9
    start = 1000 + text.index("The cat")
    assert found.closest == Context("The cat eats milk.", "b.pdf", 7, start, start + 18)
    (missing,) = scorer.read(["faithfulness"], QUESTION, Answer("The cat eats bone.", contexts))[
        "faithfulness"
    ].items
    assert missing.value < 0.1


def test_context_recall_reads_the_reference(scorer):
    """The claims of the reference are looked for in the contexts."""
    found = Answer("I do not know.", (Context(fact("dog", "bone")), Context(fact("cat", "milk"))))
    assert values(scorer, "context_recall", found) == [pytest.approx(1.0, abs=0.1)]
    lost = Answer("The cat eats milk.", (Context(fact("dog", "bone")),))
    assert values(scorer, "context_recall", lost) == [pytest.approx(0.0, abs=0.1)]


@pytest.mark.parametrize(
    ("text", "agrees", "covers"),
    [
        ("The cat eats milk.", True, True),
        ("The cat eats bone.", False, False),
        ("The dog eats bone.", True, False),
        ("The cat eats milk. The cat eats fly.", False, True),
    ],
)
def test_correctness_is_nothing_contradicted_and_nothing_missing(scorer, text, agrees, covers):
    """The first reading falls with a contradiction, the second with a reference that does not follow."""
    first, second = values(scorer, "correctness", Answer(text))
    assert (first > 0.9, first < 0.1) == (agrees, not agrees)
    assert (second > 0.9, second < 0.1) == (covers, not covers)


def test_a_judge_of_it(scorer):
    """As a judge it complains of the claim that does not follow, with the window closest to it."""
    judge = CalibratedJudge(scorer, metrics=["faithfulness", "relevancy", "correctness"])
    contexts = (Context(fact("cat", "milk"), "a.pdf", 3),)
    judgement = judge.score_now(QUESTION, Answer("The cat eats fly.", contexts))
    faithful, correct = judgement.scores
    assert (faithful.metric, correct.metric) == ("faithfulness", "correctness")
    assert faithful.evidence == ('"The cat eats fly." is not supported by the contexts (closest: a.pdf p.3)')
    assert correct.evidence == '"The cat eats fly." does not agree with the reference'
    assert correct.value == correct.least < 0.1
    # One pair for faithfulness, two for correctness, 13 tokens each.
    assert judgement.tokens == Tokens(evaluated=39)


def test_the_same_each_time(folder, model):
    """Loaded again it gives the same probabilities to the last bit."""
    assert load(folder).read(PAIRS) == model.read(PAIRS)


def test_the_identity_is_the_weights(folder, model):
    """Other weights are another reader, another name is not."""
    renamed, changed = load(folder, name="other"), load(folder, sha256="1" * 64)
    one, same, other = (EntailmentScorer(each).fingerprint for each in (model, renamed, changed))
    assert one == same != other


def test_a_separator_in_a_text_is_just_letters(model):
    """A special token written in a document does not end the premise."""
    assert model.count_tokens("[SEP]") == 3
    assert model.read([("The cat eats [SEP]", "The cat eats milk.")]).tokens == Tokens(evaluated=14)


def test_no_pairs(model):
    """Of no pairs nothing is said."""
    assert model.read([]).items == ()


def test_unknown_labels_are_refused(tmp_path):
    """Labels without a name say nothing: they are listed, with what to use instead."""
    path = saved(bert(["LABEL_0", "LABEL_1", "LABEL_2"]), tmp_path / "unnamed")
    assert refusal(path) == (
        f"{path} does not say which of its labels means entailment: its config.json (id2label) names "
        "LABEL_0, LABEL_1, LABEL_2. Use a model whose config names its labels, exactly one of them "
        "entailment, entails, supported or consistent, such as cross-encoder/nli-deberta-v3-base."
    )


def test_one_logit_is_read_by_its_sigmoid(tmp_path):
    """A model of one logit gives its sigmoid, and says nothing of contradiction."""
    import torch

    one = bert(["LABEL_0"])
    with torch.no_grad():
        one.classifier.weight[:] = 0.0
        one.classifier.bias[:] = 1.0
    (said,) = load(saved(one, tmp_path / "one")).read([("The cat eats milk.", "The cat eats.")]).items
    assert said.entailed == pytest.approx(0.7310586)
    assert said.contradicted is None


def test_one_logit_that_is_no_probability_is_refused(tmp_path):
    """A reranker whose config gives its logit as it is would say what a passage is about."""
    one = bert(["LABEL_0"])
    one.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    path = saved(one, tmp_path / "reranker")
    assert refusal(path).startswith(f"{path} does not say which of its labels means entailment: ")


def test_positions_are_counted_as_roberta_does(tmp_path):
    """Of RoBERTa's positions some are lost to padding; a text of full length is read all the same."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=18,
        type_vocab_size=2,
        pad_token_id=1,
        id2label=dict(enumerate(LABELS)),
    )
    model = load(saved(RobertaForSequenceClassification(config), tmp_path / "roberta"))
    assert model.limit == 18 - 2 - 3
    assert model.read([("the " * 99, "the cat.")]).tokens == Tokens(evaluated=16)


def test_a_model_without_a_head_is_refused(tmp_path):
    """A base model would load with a random head and judge at random."""
    path = saved(bert().bert, tmp_path / "base")
    assert refusal(path) == (
        f"{path} has no trained classification head (classifier.bias, classifier.weight not in its weights): "
        "it would judge at random. Use a trained entailment model, such as cross-encoder/nli-deberta-v3-base."
    )


def test_an_empty_folder_is_refused(tmp_path):
    """A folder without a model is refused with what is missing."""
    assert refusal(tmp_path) == (
        f"{tmp_path} is not an entailment model: Unrecognized model in {tmp_path}. Should have a "
        "`model_type` key in its config.json. Give the folder or the name of one, such as "
        "cross-encoder/nli-deberta-v3-base."
    )


def test_a_missing_vocabulary_is_refused(folder, tmp_path):
    """Without its vocabulary every word would be unknown."""
    path = Path(shutil.copytree(folder, tmp_path / "copy"))
    (path / "tokenizer.json").unlink()
    (path / "tokenizer_config.json").unlink()
    assert refusal(path) == (
        f"{path} has no vocabulary (tokenizer.json): every word would be unknown. Give the whole folder."
    )


def test_a_folder_by_its_path(folder, tmp_path, monkeypatch):
    """A model of one's own is loaded by its path."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    assert load_entailment(str(folder), offline=True, models_folder=MODELS).name == str(folder)


def test_a_name_of_the_hub_from_the_cache(folder, tmp_path, monkeypatch):
    """A repository that was copied into the cache is loaded offline, under its own name."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    shutil.copytree(folder, tmp_path / "owner--my-nli")
    assert load_entailment("owner/My-NLI", offline=True, models_folder=MODELS).name == "owner/My-NLI"


def test_a_name_of_the_hub_is_fetched_and_verified(folder, tmp_path, monkeypatch):
    """A repository of the hub is fetched once, by the ways of the catalogue's models."""
    import huggingface_hub

    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    files = {f"owner/My-NLI/{path.name}": Published(path.read_bytes()) for path in folder.iterdir()}
    with LoopbackHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        fetched = load_entailment("owner/My-NLI", models_folder=MODELS)
        huggingface_hub.close_session()
    cached = load_entailment("owner/My-NLI", offline=True, models_folder=MODELS)
    assert fetched.name == cached.name == "owner/My-NLI"
    assert fetched.fingerprint == cached.fingerprint
