"""The embedder: texts to unit vectors, through sentence-transformers in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rag_evals.rag.errors import ModelError
from rag_evals.rag.identity import Memory, digest
from rag_evals.rag.llm.threads import let_threads_sleep
from rag_evals.rag.models.folder_check import SAFE, check_model_folder
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.hosting.hosted_model import TORCH, HostedModel
from rag_evals.rag.retrieval.coverage import Coverage, CoverageMeter
from rag_evals.rag.tracing.conventions import embedded
from rag_evals.rag.tracing.spans import span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A row a text.
Vectors: TypeAlias = "NDArray[np.float32]"

# The kind of what a memory keeps for an embedder: little-endian 32-bit floats.
VECTOR = "vector"
# So many vectors at most are lost when a process is killed.
KEPT_AT_ONCE = 64
# A message to the model's process holds so many texts.
MEASURED_AT_ONCE = 256


class Embedder:
    """A sentence-transformers model that gives one unit vector a text; loaded when the first is wanted.

    It runs in a process of its own: see `rag_evals.rag.native.hosting.hosted_model`.

    A text is embedded by itself: its vector does not depend on its neighbours to the last digit, so that one
    changed chunk changes one vector. On a CPU that is no slower than batches, which are padded.

    Args:
        model: The resolved model folder.
        memory: Keeps vectors from one run to the next; None computes each anew.
        models_folder: Where the processes of a session share their models; None for a process of its own.
    """

    def __init__(
        self, model: Model, memory: Memory | None = None, *, models_folder: Path | None = None
    ) -> None:
        self.name = model.name
        self._model = model
        self._memory = memory
        self._hosted = HostedModel(
            SentenceModel, model.path, name=model.name, folder=models_folder, group=TORCH
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights and the versions of the libraries that run them."""
        # Of what is installed: importing the two takes seconds.
        versions = [version("sentence-transformers"), version("transformers")]
        return digest({"weights": self._model.sha256, "versions": versions})

    def load(self) -> None:
        """Load the model now.

        Raises:
            ModelError: The folder does not hold a model that sentence-transformers can load.
        """
        self._hosted.call("load")

    def embed(self, texts: Sequence[str], *, progress: str | None = None) -> Vectors:
        """Embed `texts`, shape (number of texts, dimensions).

        Args:
            texts: What to embed. Text beyond the model's own length limit does not count.
            progress: Title of a progress bar on stderr, shown only on a terminal; None for no bar.

        Raises:
            ModelError: The model cannot be loaded.
        """
        with span("embed", kind="EMBEDDING") as step:
            step.set_from(embedded, self.name, texts)
            return self._embedded(texts, progress)

    def coverage(self, texts: Sequence[str]) -> tuple[list[Coverage], int | None]:
        """Return what the model reads of each text, and how many tokens of a text it reads; None for all.

        Raises:
            ModelError: The model cannot be loaded.
        """
        counts: list[Coverage] = []
        for start in range(0, len(texts), MEASURED_AT_ONCE):
            counted = self._hosted.call("coverage", list(texts[start : start + MEASURED_AT_ONCE]))
            counts += (Coverage(*one) for one in counted)
        return counts, self._hosted.call("length") if texts else None

    def _embedded(self, texts: Sequence[str], progress: str | None) -> Vectors:
        import numpy as np

        keys = [digest([self.fingerprint, text]) for text in texts]
        missing = dict(zip(keys, texts, strict=True))
        known = dict(self._memory.recall(VECTOR, list(missing))) if self._memory is not None else {}
        missing = {key: text for key, text in missing.items() if key not in known}
        if missing:
            known |= self._made(_shown(missing, progress))
        if not keys:
            return np.empty((0, 0), dtype=np.float32)
        return np.stack([np.frombuffer(known[key], dtype="<f4") for key in keys]).astype(np.float32)

    def _made(self, missing: Iterable[tuple[str, str]]) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        unkept: dict[str, bytes] = {}
        for key, text in missing:
            made[key] = unkept[key] = self._hosted.call("vector", text)
            if len(unkept) == KEPT_AT_ONCE:
                self._keep(unkept)
                unkept = {}
        self._keep(unkept)
        return made

    def _keep(self, vectors: dict[str, bytes]) -> None:
        if self._memory is not None and vectors:
            self._memory.keep(VECTOR, vectors)


class NoEmbedder:
    """Stands in the place of an embedder where nothing is found by vectors."""

    name = "none"
    fingerprint = "none"

    def load(self) -> None:
        """Load nothing."""

    def embed(self, texts: Sequence[str], *, progress: str | None = None) -> Vectors:  # noqa: ARG002
        """Return vectors that say nothing."""
        import numpy as np

        return np.zeros((len(texts), 1), dtype=np.float32)


AnyEmbedder: TypeAlias = Embedder | NoEmbedder


class SentenceModel:
    """A sentence-transformers model, by its folder, in the process that calls it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: Any = None
        self._meter: CoverageMeter | None = None

    def load(self) -> None:
        """Load the model now, where it is not loaded yet.

        Raises:
            ModelError: The folder does not hold a model that sentence-transformers can load.
        """
        self._loaded = self._loaded or _load(self._path)

    def vector(self, text: str) -> bytes:
        """Return the unit vector of `text`: its dimensions as little-endian 32-bit floats."""
        self.load()
        vector = self._loaded.encode(text, normalize_embeddings=True, show_progress_bar=False)
        return bytes(vector.astype("<f4").tobytes())

    def length(self) -> int | None:
        """Return how many tokens of a text are read; None for all."""
        self.load()
        length = self._loaded.max_seq_length
        return None if length is None else int(length)

    def coverage(self, texts: Sequence[str]) -> list[tuple[int, int, int]]:
        """Return the fields of the `Coverage` of each text."""
        length = self.length()
        self._meter = self._meter or CoverageMeter(self._loaded.tokenizer, length)
        return [astuple(self._meter.count(text)) for text in texts]


def _load(path: Path) -> Any:
    check_model_folder(path)
    let_threads_sleep()
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one for every small model
    try:
        loaded = SentenceTransformer(
            str(path), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=SAFE
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{path} is not an embedding model: {first_line(error)}. "
            "Give a sentence-transformers folder or a name from `rag-evals models list`."
        ) from error
    check_words(loaded.tokenizer, path)
    return loaded


def _shown(missing: Mapping[str, str], progress: str | None) -> Iterable[tuple[str, str]]:
    """Go through `missing` with a progress bar where one is wanted."""
    if progress is None:
        return missing.items()
    from tqdm import tqdm

    bar: Iterable[tuple[str, str]] = tqdm(
        missing.items(), desc=progress, unit="text", disable=None, leave=False
    )
    return bar


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


def first_line(error: Exception) -> str:
    """Return the first line of what a library says is wrong, without its stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
