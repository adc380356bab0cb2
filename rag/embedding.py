"""The embedder: texts to unit vectors, through sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ModelError
from rag.identity import digest
from rag.models import Model, resolve
from rag.threads import let_threads_sleep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embedder:
    """A sentence-transformers model that gives one unit vector a text.

    Args:
        model: The resolved model folder.

    Raises:
        ModelError: The folder does not hold a model that sentence-transformers can load.
    """

    def __init__(self, model: Model) -> None:
        let_threads_sleep()
        _quiet_loading()
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        self.name = model.name
        self._model = model
        try:
            self._transformer = SentenceTransformer(str(model.path), device="cpu", local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{model.path} is not an embedding model: {_first_line(error)}. "
                "Give a sentence-transformers folder or a name from `rag-evals models list`."
            ) from error
        check_words(self._transformer.tokenizer, model.path)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights and the versions of the libraries that run them."""
        import sentence_transformers
        import transformers

        versions = [sentence_transformers.__version__, transformers.__version__]
        return digest({"weights": self._model.sha256, "versions": versions})

    def embed(self, texts: Sequence[str], *, progress: str | None = None) -> NDArray[np.float32]:
        """Embed `texts` in batches, shape (number of texts, dimensions).

        Args:
            texts: What to embed. Text beyond the model's own length limit does not count.
            progress: Title of a progress bar on stderr, shown only on a terminal; None for no bar.
        """
        import numpy as np
        from tqdm import tqdm

        batches = [list(texts[start : start + 32]) for start in range(0, len(texts), 32)]
        bar = tqdm(batches, desc=progress, unit="batch", disable=None if progress else True, leave=False)
        vectors = [
            self._transformer.encode(batch, normalize_embeddings=True, show_progress_bar=False)
            for batch in bar
        ]
        return np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def load_embedder(name: str, *, offline: bool = False) -> Embedder:
    """Resolve the embedding model `name` and load it.

    Raises:
        ModelError: The model cannot be found, fetched, verified or loaded.
    """
    return Embedder(resolve(name, offline=offline))


def check_words(tokenizer: Any, path: Path) -> None:
    """Refuse a tokenizer without words: where its files are missing, transformers makes an empty one.

    Raises:
        ModelError: The tokenizer of the folder `path` knows nothing but its special tokens.
    """
    special = getattr(tokenizer, "all_special_tokens", None)
    if special is not None and len(tokenizer) <= len(special):
        raise ModelError(
            f"{path} has no vocabulary (tokenizer.json): every word would be unknown. Give the whole folder."
        )


def _quiet_loading() -> None:
    """Draw no bar for every small model that transformers loads."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
