"""Trained judges that read one text, or answer token by token, in the process that calls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.retrieval.entailment.form_loading import (
    NO,
    YES,
    check_outputs,
    load_of_form,
    tokenizer_in,
)
from rag_evals.rag.retrieval.entailment.forms import FORMS
from rag_evals.rag.retrieval.entailment.verdicts import (
    Ask,
    Entailment,
    Entailments,
    plain_text,
    positions,
    token_count,
)

BATCH = 8
# Tokens that texts may have more behind each other than each alone.
_SEAM = 8
# Of a text: what was made of its tokens, each with where it begins and ends in the claim's text.
_Read = list[tuple[int, int, float]]


class FormReader:
    """A judge of one of the `FORMS` that read no pair of a cross-encoder.

    Args:
        path: The folder of the weights.
        form: Name of its form.
        words: The folder of its tokenizer.

    Raises:
        ModelError: It cannot be loaded, or is no trained model of that form; said when it is first used.
    """

    def __init__(self, path: Path, form: str, words: Path) -> None:
        self._path = path
        self._form = FORMS[form]
        self._words = words

    @cached_property
    def _model(self) -> Any:
        model = load_of_form(self._path, self._form)
        check_outputs(model, self._tokenizer, self._path, self._form)
        return model.eval()

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer_in(self._words)

    @cached_property
    def _most(self) -> int:
        """Tokens that are read at once, those of the form included."""
        most = int(getattr(self._model.config, "max_position_embeddings", 0) or self._form.most)
        is_relative = self._model.config.model_type in ("deberta-v2", "t5")
        return min(self._form.most, positions(self._model, self._form.most if is_relative else most))

    def limit(self) -> int:
        """Return the tokens that fit premise and claim together; what is wrong with the model is said.

        Raises:
            ModelError: As the class says.
        """
        return self._most - len(self._encoded([Ask("", "")])["input_ids"][0]) - _SEAM

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text`, special ones left out."""
        return token_count(self._tokenizer, text)

    def read(self, asks: Sequence[tuple[str, str] | Ask]) -> Entailments:
        """Read each of `asks`; an answer that is read token by token is read once for all of its parts."""
        whole = [Ask(*ask)[:2] for ask in asks]
        texts = sorted(dict.fromkeys(whole), key=lambda text: sum(map(len, text)))
        found: dict[tuple[str, ...], _Read] = {}
        count = 0
        # Texts of like length go together: what is short is not padded to what is long.
        for first in range(0, len(texts), BATCH):
            batch = [Ask(*text) for text in texts[first : first + BATCH]]
            encoded = self._encoded(batch)
            count += sum(map(len, encoded["input_ids"]))
            found.update(zip(texts[first : first + BATCH], self._read(encoded), strict=True))
        items = [
            Entailment(self._verdict(Ask(*ask), found[text])) for ask, text in zip(asks, whole, strict=True)
        ]
        return Entailments(tuple(items), Tokens(evaluated=count))

    def _encoded(self, asks: Sequence[Ask]) -> Any:
        """Tokenize as the form says; where it does not all fit, premises lose their end."""
        plain = [
            (plain_text(self._tokenizer, ask.premise), plain_text(self._tokenizer, ask.text)) for ask in asks
        ]
        bounds = {"max_length": self._most, "verbose": False}
        if self._form.template:
            texts = [self._form.text(*each, self._tokenizer.eos_token) for each in plain]
            return self._tokenizer(texts, truncation=True, **bounds)
        premises, claims = map(list, zip(*plain, strict=True))
        return self._tokenizer(
            premises, claims, truncation="only_first", return_offsets_mapping=True, **bounds
        )

    def _read(self, encoded: Any) -> Iterator[_Read]:
        shares = self._shares(encoded)
        if self._form.head != "tokens":
            yield from ([(0, 0, share)] for share in shares.tolist())
            return
        for n, row in enumerate(shares.tolist()):
            places = zip(encoded.sequence_ids(n), encoded["offset_mapping"][n], row, strict=False)
            yield [(start, end, share) for part, (start, end), share in places if part == 1]

    def _shares(self, encoded: Any) -> Any:
        """Return how probable it is that each text, or each of its tokens, is supported."""
        import torch

        padded = self._tokenizer.pad(
            {name: encoded[name] for name in ("input_ids", "attention_mask")},
            return_tensors="pt",
            padding_side="right",
        )
        head = self._form.head
        with torch.inference_mode():
            if head == "step":
                start = torch.zeros((len(padded["input_ids"]), 1), dtype=torch.long)
                logits = self._model(**padded, decoder_input_ids=start).logits[:, 0, [NO, YES]]
            else:
                logits = self._model(**padded).logits
        if head == "first":
            logits = logits[:, 0, :]
        shares = logits.double().softmax(dim=-1)
        # The second label of a token says that it is *not* supported.
        return shares[..., 0] if head == "tokens" else shares[..., 1]

    def _verdict(self, ask: Ask, read: _Read) -> float:
        """Return the probability that the part of `ask` is supported: that of its least supported token."""
        if self._form.head != "tokens":
            return read[0][2]
        # Breaking up separators moves what stands behind them.
        start, end = (
            len(plain_text(self._tokenizer, ask.text[:at])) for at in (ask.start, ask.end or len(ask.text))
        )
        return min(share for begins, ends, share in read if begins < end and ends > start)
