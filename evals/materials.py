"""What pipelines and generated questions of a session are made of: its models and its documents."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from evals.errors import UsageError
from evals.generating import Generated, Makings, progress
from evals.session import SAID, cache_for
from evals.settings import settings_from
from rag.errors import ModelError, RagError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evals.questions import Question
    from rag.documents import Corpus
    from rag.pipelines import Resources

RESOURCES = pytest.StashKey["Resources"]()
CORPUS = pytest.StashKey["Corpus"]()


def resources_for(config: pytest.Config) -> Resources:
    """Give the models of this session."""
    from rag.pipelines import Resources

    if RESOURCES not in config.stash:
        settings = settings_from(config)
        config.stash[RESOURCES] = Resources(
            offline=settings.offline, memory=cache_for(config), concurrency=settings.concurrency
        )
    return config.stash[RESOURCES]


def corpus_for(config: pytest.Config) -> Corpus:
    """Give the documents of this session.

    Raises:
        UsageError: None are named.
        DocumentError: None can be read.
    """
    from rag.documents import read_documents

    if CORPUS not in config.stash:
        settings = settings_from(config)
        if settings.docs is None:
            raise UsageError("no documents: give --evals-docs PATH, or set evals_docs in the ini file")
        config.stash[CORPUS] = read_documents(settings.docs, cache_for(config))
    return config.stash[CORPUS]


def generated_for(config: pytest.Config, others: Sequence[Question] = ()) -> Generated:
    """Give what writes, or finds, the generated questions of this session.

    The model is `--evals-model`, or that of the pipeline `baseline`, or of the first where there is none.

    Args:
        config: Pytest's.
        others: The questions of the run that come from files.

    Raises:
        UsageError: No documents are named.
        RagError: There are no documents, or no model.
    """
    from rag.config import config_for, load_configs
    from rag.llm.remote.remote_llm import PREFIX
    from rag.pipelines import Resources

    settings = settings_from(config)
    names = list(load_configs(settings.config))
    name = "baseline" if "baseline" in names else names[0]
    knobs = config_for(name, path=settings.config, model=settings.model)
    # Who only looks fetches nothing; a server is not asked before it is to write.
    is_frugal = bool(_only_looks(config)) and not knobs.llm.model.startswith(PREFIX)
    resources = Resources(offline=True) if is_frugal else resources_for(config)
    makings = Makings(corpus_for(config), resources.llm(knobs.llm), resources.embedder(knobs.embedder))
    return Generated(settings.generate, settings.home, makings, others)


def generated_questions(config: pytest.Config, others: Sequence[Question]) -> tuple[Question, ...]:
    """Give the generated questions; write them first where that is to be done.

    A session that only looks writes none: it gives those that are there, and says how to get the others.

    Raises:
        UsageError: They cannot be had.
    """
    with _uncaptured(config):
        try:
            looks = _only_looks(config)
            return _found(config, looks) if looks else _made(config, others)
        except RagError as error:
            raise UsageError(str(error)) from error
        except KeyboardInterrupt:
            _say(
                config,
                "generating questions: interrupted; what was written is kept, and the same command goes on",
            )
            raise


def _made(config: pytest.Config, others: Sequence[Question]) -> tuple[Question, ...]:
    # The standard error of an xdist worker is the terminal, though it has no reporter.
    is_worker, is_quiet = hasattr(config, "workeroutput"), getattr(config.option, "verbose", 0) < 0
    is_shown = (is_worker and not is_quiet) or _reporter(config) is not None
    return generated_for(config, others).make(
        lambda line: _say(config, line), lambda count: progress(count, is_shown=is_shown)
    )


def _found(config: pytest.Config, looks: str) -> tuple[Question, ...]:
    try:
        found = generated_for(config).here(lambda line: _say(config, line))
    except ModelError:
        found = None  # it is not here, so nothing was written by it
    if found is None:
        count = settings_from(config).generate
        _say(
            config,
            f"generated questions: none yet, and {looks} writes none: "
            f"pytest --evals-generate {count} without it writes {count}",
        )
    return found or ()


def _only_looks(config: pytest.Config) -> str:
    """Name the option that keeps this session from running anything; "" without."""
    if config.option.collectonly:
        return "--collect-only"
    return "--evals-plan" if settings_from(config).plan else ""


def _reporter(config: pytest.Config) -> Any:
    """Give what writes to the terminal; None where nothing does, as in a worker, or where nothing is to."""
    if hasattr(config, "workeroutput") or getattr(config.option, "verbose", 0) < 0:
        return None
    return config.pluginmanager.get_plugin("terminalreporter")


def _say(config: pytest.Config, line: str) -> None:
    """Say something now; where nobody can, it is kept for the end of the session, and for the controller."""
    if (reporter := _reporter(config)) is not None:
        reporter.ensure_newline()
        reporter.write_line(line)
        return
    said = config.stash.setdefault(SAID, [])
    said.append(line)
    if hasattr(config, "workeroutput"):
        config.workeroutput["evals_said"] = said


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let what is said now reach the terminal: while files are collected pytest captures it."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    disabled: AbstractContextManager[None] = (
        manager.global_and_fixture_disabled() if manager else nullcontext()
    )
    return disabled
