"""The questions of a session: from files, from W&B, generated on the way; and which of them are stale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from evals.errors import UsageError
from evals.questions import Question, expand_globs, load_questions
from evals.session import fetched_for, settings_of
from evals.settings import checked_thresholds
from evals.trackers.references import is_reference
from rag.errors import RagError

QUESTIONS = pytest.StashKey[tuple[Question, ...]]()
SETS = pytest.StashKey[Mapping[Path, tuple[Question, ...]]]()
STALE = pytest.StashKey[Mapping[str, str]]()


def questions_of(config: pytest.Config) -> tuple[Question, ...]:
    """Give the questions of the run.

    Raises:
        UsageError: There are none, or something is wrong with them.
    """
    if QUESTIONS not in config.stash:
        settings = settings_of(config)
        if not settings.questions and not settings.generate:
            raise UsageError(
                "no questions: give --evals-questions GLOB, or --evals-generate N to have them written, or "
                "set evals_questions in the ini file"
            )
        questions = load_questions(_question_files(config))
        for question in questions:
            checked_thresholds(dict(question.thresholds), where=f"question {question.id}: ")
        config.stash[QUESTIONS] = _with_generated(config, questions) if settings.generate else questions
    return config.stash[QUESTIONS]


def _question_files(config: pytest.Config) -> tuple[Path, ...]:
    patterns = [pattern for given in settings_of(config).questions for pattern in _patterns(config, given)]
    return expand_globs(patterns, config.rootpath)


def _with_generated(config: pytest.Config, questions: tuple[Question, ...]) -> tuple[Question, ...]:
    from evals.materials import generated_questions

    known = {question.id for question in questions}
    made = generated_questions(config, questions)
    return (*questions, *(question for question in made if question.id not in known))


def question_sets_of(config: pytest.Config) -> Mapping[Path, tuple[Question, ...]]:
    """Give the questions of each file that this session asks from, all of them, in the order of reading.

    It is for the record of a run: in the controller of xdist they are read for this alone.

    Raises:
        UsageError: They cannot be had any more.
    """
    if SETS not in config.stash:
        config.stash[SETS] = _question_sets(config)
    return config.stash[SETS]


def _question_sets(config: pytest.Config) -> Mapping[Path, tuple[Question, ...]]:
    asked, settings = config.stash.get(QUESTIONS, None), settings_of(config)
    # Serially it is known whether they were asked for; under xdist the workers know.
    if asked is None and not config.getoption("numprocesses", None):
        return {}
    files = _question_files(config)
    if asked is not None and len(files) == 1 and not settings.generate:
        return {files[0]: asked}
    if settings.generate:
        from evals.materials import generated_for

        files = (*files, generated_for(config).file)
    return {file: load_questions([file]) for file in files}


def stale_of(config: pytest.Config) -> Mapping[str, str]:
    """Give the questions that do not belong to the documents any more: why, by id.

    Where the documents are not known, as for pipelines of one's own without `--evals-docs`, none is.
    """
    if STALE not in config.stash:
        config.stash[STALE] = _stale(config)
    return config.stash[STALE]


def _stale(config: pytest.Config) -> Mapping[str, str]:
    if settings_of(config).docs is None or config.option.collectonly:
        return {}
    from evals.anchoring import stale_reasons
    from evals.materials import corpus_for

    try:
        questions = config.stash.get(QUESTIONS, None)
        if questions is None:
            questions = tuple(one for asked in question_sets_of(config).values() for one in asked)
        return stale_reasons(questions, lambda: corpus_for(config))
    except (UsageError, RagError):
        return {}  # whoever needs them says what is wrong


def _patterns(config: pytest.Config, given: str) -> list[str]:
    """Give the files that a reference means; a glob as it is."""
    if not is_reference(given):
        return [given]
    from evals.trackers.using import question_files

    return [str(file) for file in question_files(fetched_for(config, given))]
