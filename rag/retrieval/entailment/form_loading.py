"""Loading trained judges by their form, refused where their verdicts would be random, or of another kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.threads import let_threads_sleep
from rag_evals.rag.models.folder_check import SAFE, check_model_folder
from rag_evals.rag.retrieval.embedder import check_words, first_line
from rag_evals.rag.retrieval.entailment.forms import FORMS, Form, architecture_of

# How a decoder of Flan-T5 begins "0" and "1": not supported, supported.
NO, YES = 3, 209
_CLASSES = {
    "second": "AutoModelForSequenceClassification",
    "step": "AutoModelForSeq2SeqLM",
    "tokens": "AutoModelForTokenClassification",
}
_WEIGHTS = "model.safetensors"
_LAYER = "transformer.encoder.block.0.layer"
_BIAS = f"{_LAYER}.0.SelfAttention.relative_attention_bias.weight"
_T5 = {
    *("transformer.shared.weight", "classifier.weight", _BIAS),
    *(f"{_LAYER}.0.SelfAttention.q.weight", f"{_LAYER}.1.DenseReluDense.wi_0.weight"),
}


def load_of_form(path: Path, form: Form) -> Any:
    """Load the model in the folder `path`, as `form` reads it.

    Raises:
        ModelError: It holds code or pickles, has another architecture, or no trained head.
    """
    # The config of HHEM names code; no library reads it here.
    check_model_folder(path, is_config_read=form.head != "first")
    name, _ = architecture_of(path)
    if not name.endswith(form.architectures):
        raise ModelError(
            f"{path} does not fit the form {form.name}: its config.json names the architecture "
            f"{name or 'nothing'}, and the form reads {' or '.join(form.architectures)}. "
            f"Write another form before the @ ({', '.join(FORMS)}), or give the folder of such a model."
        )
    let_threads_sleep()
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return _tagger_of_t5(path) if form.head == "first" else _loaded(path, form)


def tokenizer_in(folder: Path) -> Any:
    """Load the tokenizer in `folder`.

    Raises:
        ModelError: There is none, it is code, or it knows no words.
    """
    check_model_folder(folder, is_config_read=False)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} has no tokenizer that can be loaded ({first_line(error)}). Give the whole folder."
        ) from error
    check_words(tokenizer, folder)
    return tokenizer


def check_outputs(model: Any, tokenizer: Any, path: Path, form: Form) -> None:
    """Check that what `form` reads is there: two labels, or the two words of a decoder.

    Raises:
        ModelError: It is not.
    """
    if form.head == "step":
        words = min(len(tokenizer), model.config.vocab_size)
        if words <= YES:
            raise ModelError(
                f"{path} does not fit the form {form.name}: it has {words} words, and the verdict "
                "is read from "
                f"the words {NO} and {YES} of Flan-T5's vocabulary. Give the whole folder of a "
                "MiniCheck-Flan-T5."
            )
    elif model.config.num_labels != 2:
        what = "label 1 of a token says that it is not supported" if form.head == "tokens" else ""
        raise ModelError(
            f"{path} does not fit the form {form.name}: it has {model.config.num_labels} labels, and of two "
            f"{what or 'the second says that the claim is supported'}. Give the folder of such a model."
        )


def _loaded(path: Path, form: Form) -> Any:
    import torch
    import transformers
    from safetensors import SafetensorError

    maker = getattr(transformers, _CLASSES[form.head])
    try:
        model, info = maker.from_pretrained(
            str(path),
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **SAFE,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError) as error:
        raise _unfit(path, form, error) from error
    _check_trained(path, info["missing_keys"])
    return model


def _check_trained(path: Path, missing: Any) -> None:
    if missing:
        raise ModelError(
            f"{path} has no trained head ({', '.join(sorted(missing))} not in its weights): "
            "it would judge at "
            "random. Give the whole folder of a trained judge."
        )


def _unfit(path: Path, form: Form, error: Exception) -> ModelError:
    return ModelError(
        f"{path} cannot be loaded in the form {form.name}: {first_line(error)}. "
        "Give the folder of such a model, or fetch it anew."
    )


def _tagger_of_t5(path: Path) -> Any:
    """Load T5's encoder with a head on each token from the weights alone.

    The class that HHEM's config names is code, which is not run, and its config says nothing of T5: the shape
    is that of the weights, all else is as in Flan-T5.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import T5Config, T5ForTokenClassification

    try:
        weights = {name.removeprefix("t5."): each for name, each in load_file(path / _WEIGHTS).items()}
        if not _T5.issubset(weights):
            raise ValueError("it has no weights of T5's encoder with a head")
        config = T5Config(**_t5_shape(weights))
        model = T5ForTokenClassification(config)
        # The words are embedded once, and known by two names.
        shared, own = "transformer.shared.weight", "transformer.encoder.embed_tokens.weight"
        weights[own] = weights[shared]
        lacking = model.load_state_dict(weights, strict=False)
    except (OSError, KeyError, ValueError, RuntimeError, IndexError, SafetensorError) as error:
        raise _unfit(path, FORMS["hhem"], error) from error
    _check_trained(path, [*lacking.missing_keys])
    return model


def _t5_shape(weights: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of T5 that its weights tell, and those of Flan-T5."""
    words, width = weights["transformer.shared.weight"].shape
    buckets, heads = weights[_BIAS].shape
    blocks = {found[1] for name in weights if (found := re.search(r"\.encoder\.block\.(\d+)\.", name))}
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": weights[f"{_LAYER}.0.SelfAttention.q.weight"].shape[0] // heads,
        "d_ff": weights[f"{_LAYER}.1.DenseReluDense.wi_0.weight"].shape[0],
        "num_layers": len(blocks),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
        "num_labels": weights["classifier.weight"].shape[0],
    }
