"""Tiny trained judges of the architectures of the hub's, made and trained here, with a vocabulary of words.

They know the food of a cat and of a dog: whether a claim says what a document says. Each has the
architecture, the head and the tokenizer's marks of its family, so that the form in which it reads is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

ANIMALS, FOODS = ("cat", "dog"), ("milk", "bone")
QUESTION = "What do they eat?"
_OTHERS = ("predict", "premise", "hypothesis", "passage", "what", "do", "they", "eat")
WORDS = ("the", "eats", *'.:?"', *_OTHERS, *ANIMALS, *FOODS)
FACTS = list(product(ANIMALS, FOODS, ANIMALS, FOODS))
# The ids from which a MiniCheck-Flan-T5 is read.
NO, YES = 3, 209


def fact(animal: str, food: str) -> str:
    return f"The {animal} eats {food}."


PAIRS = [(fact(*each[:2]), fact(*each[2:])) for each in FACTS]
SUPPORTED = [int(each[:2] == each[2:]) for each in FACTS]


def tokenizer(*, begin: str = "", end: str = "</s>", size: int = 0) -> Any:
    """Make a tokenizer of words whose texts stand between the marks `begin` and `end`."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", end, "<unk>", *([begin] if begin else [])]
    vocabulary = {word: n for n, word in enumerate(special)}
    for word in ["no" if size else "else", *WORDS]:
        vocabulary.setdefault(word, len(vocabulary))
    for n in range(len(vocabulary), size):
        vocabulary["yes" if n == YES else f"word{n}"] = n
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    head = [begin] if begin else []
    made.post_processor = processors.TemplateProcessing(
        single=[*head, "$A", end],
        pair=[*head, "$A", end, "$B:1", f"{end}:1"],
        special_tokens=[(mark, vocabulary[mark]) for mark in (*head, end)],
    )
    marks = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": end}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **marks, **({"cls_token": begin} if begin else {}), sep_token=end
    )


def _learn(model: Any, loss_of: Callable[[], Any]) -> Any:
    """Train `model` until it knows all there is, with weights from one seed."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other work several wait for each other most of the time
    try:
        for _ in range(600):
            loss = loss_of()
            if loss.item() < 0.01:
                return model.eval()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        torch.set_num_threads(threads)
    raise AssertionError(f"the model did not learn: loss {loss.item():.3f}")


def _classifier(model: Any, words: Any, texts: Sequence[str]) -> Any:
    import torch

    batch, wanted = words(texts, padding=True, return_tensors="pt"), torch.tensor(SUPPORTED)
    batch.pop("token_type_ids", None)
    weight = torch.tensor([1.0, 3.0])
    return _learn(
        model, lambda: torch.nn.functional.cross_entropy(model(**batch).logits, wanted, weight=weight)
    )


_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.2,
}
_SMALL_T5 = {
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_heads": 2,
    "num_layers": 2,
    "dropout_rate": 0.0,
    "feed_forward_proj": "gated-gelu",
    "decoder_start_token_id": 0,
    "initializer_factor": 1.0,
}


def minicheck_roberta() -> tuple[Any, Any]:
    """Make a MiniCheck of RoBERTa's kind, whose texts have an end between document and claim."""
    import torch
    from transformers import RobertaConfig, RobertaForSequenceClassification

    torch.manual_seed(0)
    words = tokenizer(begin="<s>")
    config = RobertaConfig(
        vocab_size=len(words), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, num_labels=2,
        **_SMALL,
    )  # fmt: skip
    return _classifier(
        RobertaForSequenceClassification(config), words, [f"{one}</s>{two}" for one, two in PAIRS]
    ), words


def factcg_text(premise: str, claim: str) -> str:
    return (
        f"{premise}\n\nChoose your answer: based on the paragraph above can we conclude that "
        f'"{claim}"?\n\nOPTIONS:\n- Yes\n- No\nI think the answer is '
    )


def factcg() -> tuple[Any, Any]:
    """Make a FactCG of DeBERTa's kind."""
    import torch
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    torch.manual_seed(0)
    words = tokenizer(begin="[CLS]", end="[SEP]")
    config = DebertaV2Config(
        vocab_size=len(words), max_position_embeddings=32, relative_attention=True, pad_token_id=0,
        pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, num_labels=2,
        pooler_hidden_size=32, **_SMALL,
    )  # fmt: skip
    return _classifier(
        DebertaV2ForSequenceClassification(config), words, [factcg_text(*pair) for pair in PAIRS]
    ), words


def minicheck_t5(size: int = 215) -> tuple[Any, Any]:
    """Make a MiniCheck of Flan-T5's kind: one step of its decoder says no or yes."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    words = tokenizer(size=size)
    model = T5ForConditionalGeneration(T5Config(vocab_size=len(words), **_SMALL_T5))
    if size <= YES:
        return model, words
    batch = words([f"predict: {one}</s>{two}" for one, two in PAIRS], padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    start, wanted = torch.zeros((len(PAIRS), 1), dtype=torch.long), torch.tensor(SUPPORTED)

    def loss() -> Any:
        logits = model(**batch, decoder_input_ids=start).logits[:, 0, [NO, YES]]
        return torch.nn.functional.cross_entropy(logits, wanted, weight=torch.tensor([1.0, 3.0]))

    return _learn(model, loss), words


def hhem_text(premise: str, claim: str) -> str:
    return (
        "<pad> Determine if the hypothesis is true given the premise?\n\n"
        f"Premise: {premise}\n\nHypothesis: {claim}"
    )


def hhem() -> tuple[Any, Any]:
    """Make an HHEM: T5's encoder with a head on each token, of which the first counts."""
    import torch
    from transformers import T5Config, T5ForTokenClassification

    torch.manual_seed(0)
    words = tokenizer()
    model = T5ForTokenClassification(T5Config(vocab_size=len(words), num_labels=2, **_SMALL_T5))
    batch = words([hhem_text(*pair) for pair in PAIRS], padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    wanted, weight = torch.tensor(SUPPORTED), torch.tensor([1.0, 3.0])
    return _learn(
        model,
        lambda: torch.nn.functional.cross_entropy(model(**batch).logits[:, 0, :], wanted, weight=weight),
    ), words


def lettuce_text(*passages: str) -> str:
    listed = "\n".join(f"passage {n}: {passage}" for n, passage in enumerate(passages, start=1))
    return (
        f"Briefly answer the following question:\n{QUESTION}\n"
        "Bear in mind that your response should be strictly based on the following "
        f"{len(passages)} passages:\n"
        f"{listed}\nIn case the passages do not contain the necessary information to answer the question, "
        'please reply with: "Unable to answer based on given passages."\noutput:'
    )


def lettucedetect(labels: int = 2) -> tuple[Any, Any]:
    """Make a LettuceDetect of ModernBERT's kind, which marks the wrong words of an answer."""
    import torch
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    torch.manual_seed(0)
    words = tokenizer(begin="[CLS]", end="[SEP]")
    config = ModernBertConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=3, eos_token_id=1,
        cls_token_id=3, sep_token_id=1, num_labels=labels, attn_implementation="eager",
    )  # fmt: skip
    model = ModernBertForTokenClassification(config)
    if labels != 2:
        return model, words
    foods = list(product(FOODS, repeat=4))
    passages = [lettuce_text(fact("cat", each[0]), fact("dog", each[1])) for each in foods]
    answers = [f"{fact('cat', each[2])} {fact('dog', each[3])}" for each in foods]
    batch = words(passages, answers, padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    # Of an answer's words the fourth and the ninth are foods; the last tokens are " . [SEP]".
    labels_of = torch.full_like(batch["input_ids"], -100)
    for n, (cat, dog, says_cat, says_dog) in enumerate(foods):
        length = int(batch["attention_mask"][n].sum())
        labels_of[n, length - 11 : length - 1] = 0
        labels_of[n, length - 8] = int(cat != says_cat)
        labels_of[n, length - 3] = int(dog != says_dog)

    def loss() -> Any:
        logits = model(**batch).logits
        return torch.nn.functional.cross_entropy(logits.view(-1, 2), labels_of.view(-1), ignore_index=-100)

    return _learn(model, loss), words


def saved(made: tuple[Any, Any], folder: Path) -> Path:
    """Save a model and its tokenizer."""
    for part in made:
        part.save_pretrained(folder)
    return folder


def saved_hhem(made: tuple[Any, Any], folder: Path, words: Path) -> Path:
    """Save an HHEM as its makers publish it: a class of its own, other names of weights, no tokenizer."""
    import json

    from safetensors.torch import save_file

    model, tokenizer = made
    folder.mkdir()
    weights = {f"t5.{name}": each for name, each in model.state_dict().items() if "embed_tokens" not in name}
    save_file({name: each.contiguous() for name, each in weights.items()}, folder / "model.safetensors")
    config = {
        "architectures": ["HHEMv2ForSequenceClassification"],
        "model_type": "HHEMv2Config",
        "auto_map": {"AutoConfig": "configuration_hhem_v2.HHEMv2Config"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(words)
    return folder
