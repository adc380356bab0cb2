"""Everything `evals` raises on purpose: each message says what happened, where, and what to do next."""

from __future__ import annotations

import unittest


class EvalsError(Exception):
    """Base of every error that `evals` raises on purpose."""


class UsageError(EvalsError, ValueError):
    """Raised when an option, an ini value or a file is wrong; the plugin makes it pytest's usage error."""


class QuestionFileError(UsageError):
    """Raised when question files are missing or wrong; the message lists every offender with its line."""


class AnswerFileError(UsageError):
    """Raised when logs of answers are missing or wrong; the message lists every offender with its line."""


class LostAnswerError(EvalsError, LookupError):
    """Raised when a logged answer cannot be had, or its line is another one than when the session began."""


class LabelFileError(UsageError):
    """Raised when labels are missing, wrong or too few; the message lists every offender with its line."""


class GenerationError(UsageError):
    """Raised when questions cannot be generated: from these documents, with this model, or so many."""


class RunFileError(UsageError):
    """Raised when recorded runs are missing, damaged or do not belong together; every offender is listed."""


class BreachError(EvalsError, AssertionError):
    """Raised by `require` when a score is below its threshold."""


class UnscoredError(EvalsError, unittest.SkipTest):
    """Raised by `require` when no score is below its threshold but a verdict could not be had.

    pytest reports the test as skipped, with the reason.
    """


class NoVerdict(EvalsError):
    """Raised by a metric that has nothing to read; the score is unscored with this reason."""


class ScriptError(EvalsError, LookupError):
    """Raised by a fake of `rag_evals.evals.testing` when it is asked for more than it was told to say."""
