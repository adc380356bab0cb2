"""The forms of trained judges, each on a tiny model of its architecture, by hand and through a hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.judges.entailment import EntailmentScorer
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.retrieval.entailment import EntailmentModel, load_entailment

from tests.integration import tiny_judges as tiny
from tests.integration.conftest import MODELS
from tests.servers.hub import LoopbackHub, Published

pytestmark = pytest.mark.usefixtures("torch_stays")

# Of the families that read one text: the model, the repository of the catalogue, the text, what reads it.
ONE_TEXT = {
    "minicheck": ("lytang/MiniCheck-RoBERTa-Large", "{0}</s>{1}".format, lambda logits: logits),
    "factcg": ("yaxili96/FactCG-DeBERTa-v3-Large", tiny.factcg_text, lambda logits: logits),
    "minicheck-flan-t5": (
        "lytang/MiniCheck-Flan-T5-Large",
        "predict: {0}</s>{1}".format,
        lambda logits: logits[:, 0, [tiny.NO, tiny.YES]],
    ),
    "hhem": ("vectara/hallucination_evaluation_model", tiny.hhem_text, lambda logits: logits[:, 0, :]),
}
REPOSITORIES = {name: of[0] for name, of in ONE_TEXT.items()} | {
    "lettucedetect": "KRLabsOrg/lettucedect-base-modernbert-en-v1"
}
MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "minicheck": tiny.minicheck_roberta,
    "factcg": tiny.factcg,
    "minicheck-flan-t5": tiny.minicheck_t5,
    "hhem": tiny.hhem,
    "lettucedetect": tiny.lettucedetect,
}


class Made:
    """What is made so far, each once: the models, and their folders."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._made: dict[str, tuple[Any, Any]] = {}

    def model(self, form: str) -> tuple[Any, Any]:
        if form not in self._made:
            self._made[form] = MAKERS[form]()
        return self._made[form]

    def folder(self, form: str) -> Path:
        """Return the folder of a model as its makers publish it; an HHEM's has no tokenizer."""
        folder = self._home / form
        if not folder.exists() and form == "hhem":
            tiny.saved_hhem(self.model(form), folder, self._home / "words")
        return folder if folder.exists() else tiny.saved(self.model(form), folder)

    @property
    def words(self) -> Path:
        """The folder of the tokenizer that an HHEM reads with."""
        self.folder("hhem")
        return self._home / "words"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the models of this module."""
    return Made(tmp_path_factory.mktemp("judges"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of models."""
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(name: str) -> EntailmentModel:
    return load_entailment(name, offline=True, models_folder=MODELS)


def refusal(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        load(name)
    return str(caught.value)


@pytest.fixture
def hhem_words(made: Made, cache: Path) -> None:
    """Put the tokenizer that an HHEM needs where it was fetched to."""
    shutil.copytree(made.words, cache / "google--flan-t5-base--tokenizer")


def by_hand(model: Any, words: Any, text: str, pick: Callable[[Any], Any]) -> float:
    """Read a verdict as the makers of a family do."""
    import torch

    encoded = words(text, return_tensors="pt")
    encoded.pop("token_type_ids", None)
    steps = {"decoder_input_ids": torch.zeros((1, 1), dtype=torch.long)} if words.vocab_size > 200 else {}
    with torch.no_grad():
        return float(pick(model(**encoded, **steps).logits).softmax(dim=-1)[0, 1])


@pytest.mark.usefixtures("hhem_words")
@pytest.mark.parametrize("form", ONE_TEXT)
def test_one_text_is_read_as_its_makers_do(form, made):
    """Supported is high, all else low, and each to the last digits what the makers' own steps give."""
    _, text, pick = ONE_TEXT[form]
    judge = load(f"{form}@{made.folder(form)}")
    said = judge.read(tiny.PAIRS)
    assert [one.entailed > 0.8 for one in said.items] == [bool(each) for each in tiny.SUPPORTED]
    assert all(one.contradicted is None for one in said.items)
    for pair, one in zip(tiny.PAIRS, said.items, strict=True):
        assert one.entailed == pytest.approx(by_hand(*made.model(form), text(*pair), pick), abs=1e-5)


@pytest.mark.usefixtures("hhem_words")
@pytest.mark.parametrize("form", REPOSITORIES)
def test_through_the_hub(form, made, cache, monkeypatch):
    """The catalogue knows the form of a repository; what is fetched once is read from then on, offline."""
    import huggingface_hub

    repo = REPOSITORIES[form]
    files = {f"{repo}/{path.name}": Published(path.read_bytes()) for path in made.folder(form).iterdir()}
    files |= {
        f"google/flan-t5-base/{path.name}": Published(path.read_bytes()) for path in made.words.iterdir()
    }
    shutil.rmtree(cache)
    with LoopbackHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        fetched = load_entailment(repo, models_folder=MODELS)
        huggingface_hub.close_session()
    assert not [one.path for one in hub.requests if one.path.endswith(".py")]
    cached = load(repo)
    assert fetched.name == cached.name == repo
    assert fetched.form.name == cached.form.name == form
    assert fetched.fingerprint == cached.fingerprint
    assert fetched.read(tiny.PAIRS[:3]) == cached.read(tiny.PAIRS[:3])


def test_by_the_short_name(made, cache):
    """A judge of the catalogue has its own name as well, and is the same by both."""
    shutil.copytree(made.folder("minicheck"), cache / "lytang--minicheck-roberta-large")
    judge = load("minicheck-roberta-large")
    assert (judge.name, judge.form.name) == ("lytang/MiniCheck-RoBERTa-Large", "minicheck")
    assert judge.fingerprint == load("lytang/MiniCheck-RoBERTa-Large").fingerprint


@pytest.mark.usefixtures("hhem_words")
@pytest.mark.parametrize("form", ["minicheck-flan-t5", "hhem", "lettucedetect"])
def test_the_config_of_a_folder_tells_its_form(form, made):
    """A folder of one's own needs no word for what its config tells."""
    assert load(str(made.folder(form))).form.name == form


def test_a_folder_that_does_not_tell(made):
    """A MiniCheck and a FactCG look alike: what to write is said."""
    path = made.folder("factcg")
    assert refusal(str(path)) == (
        f"{path} does not say which of its labels means entailment: its config.json "
        "(id2label) names LABEL_0, "
        "LABEL_1. Use a model whose config names its labels, exactly one of them entailment, entails, "
        "supported or consistent, such as cross-encoder/nli-deberta-v3-base. If it is a MiniCheck, write "
        f"cross-encoder:minicheck@{path}; if it is a FactCG, write cross-encoder:factcg@{path}."
    )


def test_the_form_is_part_of_the_identity(made):
    """The same weights read in another form are another judge."""
    path = made.folder("factcg")
    one, two = load(f"factcg@{path}"), load(f"minicheck@{path}")
    assert one.fingerprint != two.fingerprint
    assert one.read(tiny.PAIRS) != two.read(tiny.PAIRS)


CAT_AND_DOG = (Context("The cat eats milk.", "a.md", 1), Context("The dog eats bone.", "b.md", 2))
ASKED = Question("food", tiny.QUESTION, reference="The cat eats milk. The dog eats bone.")


def read(judge: EntailmentModel, metric: str, answer: Answer) -> Any:
    return EntailmentScorer(judge).read([metric], ASKED, answer)[metric]


def test_an_answer_is_read_once_token_by_token(made):
    """Each claim has the support of its least supported word; the answer is read once for all of them."""
    judge = load(str(made.folder("lettucedetect")))
    scorer = EntailmentScorer(judge)
    assert scorer.metrics == ("faithfulness", "context_recall", "citation_precision", "citation_recall")
    read_of = read(judge, "faithfulness", Answer("The cat eats milk. The dog eats milk.", CAT_AND_DOG))
    right, wrong = read_of.items
    assert right.value > 0.9 > 0.1 > wrong.value
    assert (wrong.text, wrong.start) == ("The dog eats milk.", 19)
    assert right.closest == CAT_AND_DOG[0]
    model, words = made.model("lettucedetect")
    prompt = tiny.lettuce_text(*(context.text for context in CAT_AND_DOG))
    encoded = words(prompt, "The cat eats milk. The dog eats milk.", return_tensors="pt")
    assert read_of.tokens == Tokens(evaluated=encoded["input_ids"].shape[1])
    encoded.pop("token_type_ids", None)
    of_tokens = 1 - model(**encoded).logits.detach().softmax(dim=-1)[0, -11:-1, 1]
    assert right.value == pytest.approx(float(of_tokens[:5].min()), abs=1e-5)
    assert wrong.value == pytest.approx(float(of_tokens[5:].min()), abs=1e-5)


def test_the_reference_is_read_token_by_token(made):
    """Context recall holds the reference against the contexts, in the same form."""
    judge = load(str(made.folder("lettucedetect")))
    found = read(judge, "context_recall", Answer("I do not know.", CAT_AND_DOG))
    assert [item.value > 0.9 for item in found.items] == [True, True]


def test_marks_in_an_answer_are_letters(made):
    """A separator that an answer spells moves no claim to other words."""
    judge = load(str(made.folder("lettucedetect")))
    answer = Answer("[SEP] [SEP] eats. The dog eats milk.", CAT_AND_DOG)
    claims = read(judge, "faithfulness", answer).items
    plain = read(judge, "faithfulness", Answer("[ SEP] [ SEP] eats. The dog eats milk.", CAT_AND_DOG)).items
    assert [one.value for one in claims] == [one.value for one in plain]
    assert answer.text[claims[-1].start : claims[-1].end] == claims[-1].text


def test_the_length_is_that_of_the_positions(made):
    """What its positions have room for bounds a RoBERTa, less what stands around premise and claim."""
    judge = load(f"minicheck@{made.folder('minicheck')}")
    assert judge.limit == 64 - 3 - 8
    long = ("The dog eats bone. " * 20, "The cat eats milk.")
    assert judge.read([long]).tokens == Tokens(evaluated=64)


def test_another_architecture_is_refused(made):
    """A form that is written over a model of another kind is named with both."""
    path = made.folder("lettucedetect")
    assert refusal(f"factcg@{path}") == (
        f"{path} does not fit the form factcg: its config.json names the architecture "
        "ModernBertForTokenClassification, and the form reads ForSequenceClassification. Write another form "
        "before the @ (nli, minicheck, minicheck-flan-t5, factcg, hhem, lettucedetect), "
        "or give the folder of "
        "such a model."
    )


def test_a_vocabulary_without_the_two_words_is_refused(tmp_path):
    """A decoder of another family has other words where Flan-T5 has no and yes."""
    path = tiny.saved(tiny.minicheck_t5(size=100), tmp_path / "small")
    assert refusal(str(path)) == (
        f"{path} does not fit the form minicheck-flan-t5: it has 100 words, and the verdict is read from the "
        "words 3 and 209 of Flan-T5's vocabulary. Give the whole folder of a MiniCheck-Flan-T5."
    )


def test_a_tagger_of_other_labels_is_refused(tmp_path):
    """A tagger of names of people, say, has no label that says unsupported."""
    path = tiny.saved(tiny.lettucedetect(labels=5), tmp_path / "tagger")
    assert refusal(str(path)) == (
        f"{path} does not fit the form lettucedetect: it has 5 labels, and of two label 1 "
        "of a token says that "
        "it is not supported. Give the folder of such a model."
    )


def test_a_head_that_was_not_trained_is_refused(made, tmp_path):
    """Weights without the head would be judged by a random one."""
    from safetensors.torch import load_file, save_file

    path = Path(shutil.copytree(made.folder("factcg"), tmp_path / "headless"))
    weights = load_file(path / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    assert refusal(f"factcg@{path}") == (
        f"{path} has no trained head (classifier.weight not in its weights): it would judge at random. Give "
        "the whole folder of a trained judge."
    )


@pytest.mark.usefixtures("hhem_words")
def test_the_code_of_an_hhem_is_not_run(made, tmp_path):
    """A copy of the whole repository, with its code, is loaded without it."""
    path = Path(shutil.copytree(made.folder("hhem"), tmp_path / "whole"))
    for name in ("configuration_hhem_v2.py", "modeling_hhem_v2.py"):
        (path / name).write_text("raise SystemExit('run')\n")
    said = load(str(path)).read([tiny.PAIRS[0]])
    assert said.items[0].entailed > 0.8


@pytest.mark.usefixtures("hhem_words")
def test_weights_of_another_model_are_no_hhem(made, tmp_path):
    """Weights that are not those of T5's encoder are refused in one line."""
    path = tmp_path / "other"
    shutil.copytree(made.folder("factcg"), path)
    (path / "config.json").write_text(json.dumps({"model_type": "HHEMv2Config", "architectures": ["HHEMv2"]}))
    assert refusal(f"hhem@{path}").startswith(f"{path} does not fit the form hhem: its config.json names")
    config = {"model_type": "HHEMv2Config", "architectures": ["HHEMv2ForSequenceClassification"]}
    (path / "config.json").write_text(json.dumps(config))
    assert refusal(f"hhem@{path}") == (
        f"{path} cannot be loaded in the form hhem: it has no weights of T5's encoder with a head. Give the "
        "folder of such a model, or fetch it anew."
    )


def test_an_hhem_without_its_tokenizer_offline(made, cache):
    """The tokenizer of another repository is named with how to get it here."""
    assert refusal(str(made.folder("hhem"))) == (
        "model 'google/flan-t5-base' is not in the cache, and offline nothing is fetched\n"
        "Fetch it on a connected machine with `hf download google/flan-t5-base tokenizer.json "
        "tokenizer_config.json --local-dir google--flan-t5-base--tokenizer` and copy "
        f"its folder to {cache}/google--flan-t5-base--tokenizer here, set HF_ENDPOINT to "
        "a mirror of the hub, "
        "or give a path to the folder in place of the name."
    )


def test_a_judge_that_is_not_here_offline(cache):
    """A judge of the catalogue by its short name is looked for where its repository would be."""
    assert refusal("factcg-deberta-v3-large") == (
        "model 'yaxili96/FactCG-DeBERTa-v3-Large' is not in the cache, and offline nothing is fetched\n"
        "Fetch it on a connected machine with `hf download yaxili96/FactCG-DeBERTa-v3-Large --local-dir "
        "yaxili96--factcg-deberta-v3-large` and copy its folder to "
        f"{cache}/yaxili96--factcg-deberta-v3-large "
        "here, set HF_ENDPOINT to a mirror of the hub, or give a path to the folder in place of the name."
    )


def test_a_language_model_is_no_cross_encoder():
    """A judge that writes is asked otherwise: what to write is said."""
    assert refusal("bespokelabs/Bespoke-MiniCheck-7B") == (
        "bespokelabs/Bespoke-MiniCheck-7B is a language model that is asked in its own words, not a "
        "cross-encoder: write --evals-judge minicheck --evals-judge-model MODEL, where "
        "MODEL is the path of a "
        "GGUF file of it or openai:NAME@URL for a server that runs it."
    )
