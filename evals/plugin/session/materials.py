"""The materials of pipelines and generated questions: the models, documents and artifacts of a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.plugin.session.settings import Settings
from rag_evals.evals.trackers.wandb.fetch import FetchedArtifact, fetch_text, fetched_in
from rag_evals.evals.trackers.wandb.reference import is_reference
from rag_evals.rag.documents.document import MOST_REMARKS, Corpus, remark_lines
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.native.hosting.models_folder import models_folder
from rag_evals.rag.pipelines.resources import Resources


class Materials:
    """Models, documents and artifacts of W&B, each made, read or fetched when it is first wanted.

    Args:
        settings: The settings.
        cache: Gives what keeps vectors, and what is read of documents.
        session: Names the session: all its processes share their models, and get the same version of an
            artifact.
    """

    def __init__(self, settings: Settings, cache: Callable[[], Cache | None], session: str) -> None:
        self._settings = settings
        self._cache = cache
        self._session = session

    @cached_property
    def resources(self) -> Resources:
        """The models."""
        settings = self._settings
        return Resources(
            offline=settings.offline,
            memory=self._cache(),
            concurrency=settings.concurrency,
            models_folder=models_folder(self._session),
            uses_llm=settings.only != "retrieval" or settings.generate > 0,
        )

    @cached_property
    def corpus(self) -> Corpus:
        """The documents.

        Raises:
            UsageError: None are named.
            DocumentError: None can be read.
        """
        settings = self._settings
        if settings.docs is None:
            raise UsageError("no documents: give --evals-docs PATH, or set evals_docs in the ini file")
        return read_documents(
            settings.docs, self._cache(), ocr=settings.ocr, follow_links=settings.follow_links
        )

    @property
    def losses(self) -> list[str]:
        """What was not read of the documents, a line each; files of other formats are none."""
        lost = [remark for remark in self.corpus.remarks if remark.kind not in ("passed over", "copy")]
        return remark_lines(self.corpus.unreadable, lost, MOST_REMARKS)

    @property
    def remarks(self) -> list[str]:
        """Everything that is remarked on the documents, a line each; nothing where none were read."""
        if "corpus" not in self.__dict__:
            return []
        return self.corpus.remarked

    def fetched(self, text: str, *, is_offline: bool = False) -> FetchedArtifact:
        """Return the artifact that a reference means; `is_offline` takes what was fetched before.

        Raises:
            UsageError: It cannot be had.
        """
        settings = self._settings
        is_offline = is_offline or settings.offline
        return fetch_text(text, settings.home, is_offline=is_offline, session=self._session)

    def used(self) -> list[FetchedArtifact]:
        """Return the artifacts that were fetched in this session, by whichever of its processes."""
        settings = self._settings
        texts = [text for text in (*settings.questions, settings.baseline or "") if is_reference(text)]
        if not texts:
            return []

        found = (fetched_in(self._session, text, settings.home) for text in dict.fromkeys(texts))
        return [fetched for fetched in found if fetched]
