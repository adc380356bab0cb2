"""Loading cross-encoders: rerankers and entailment models, refused where their scores would be random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.threads import let_threads_sleep
from rag_evals.rag.models.folder_check import SAFE, check_model_folder
from rag_evals.rag.retrieval.embedder import check_words


def load_cross_encoder(path: Path, *, kind: str, remedy: str = "", at_random: str) -> Any:
    """Load the sequence classification model in the folder `path` into sentence-transformers.

    Args:
        path: The folder.
        kind: What it should be, with its article, for the message.
        remedy: What to give in its place, as a sentence.
        at_random: What a model without a trained head would do, and what to use.

    Raises:
        ModelError: It cannot be loaded, holds code or pickles, has no trained classification head (it would
            load with a random one), or no vocabulary.
    """
    check_model_folder(path)
    _check_head(path, kind, remedy, at_random)
    from sentence_transformers import CrossEncoder

    encoder = CrossEncoder(
        str(path), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=SAFE
    )
    check_words(encoder.tokenizer, path)
    return encoder


def _check_head(path: Path, kind: str, remedy: str, at_random: str) -> None:
    let_threads_sleep()
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        _, info = AutoModelForSequenceClassification.from_pretrained(
            str(path), output_loading_info=True, local_files_only=True, trust_remote_code=False, **SAFE
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = f"{reason.rstrip('.')}. {remedy}" if remedy else reason
        raise ModelError(f"{path} is not {kind}: {reason}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"]))
        raise ModelError(
            f"{path} has no trained classification head ({missing} not in its weights): {at_random}"
        )
