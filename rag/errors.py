"""Everything `rag` raises on purpose: each message says what happened, where, and what to do next."""

from __future__ import annotations

import re
import sys

# What the runner of GitHub obeys in a line of a log, wherever the line was broken (ActionCommand.cs of
# actions/runner), and what those of Azure Pipelines and TeamCity do.
_COMMAND = re.compile(
    r"(?i)#(?=#[\w.-]*\[)"
    r"|:(?=:(?:set-output|set-env|add-path|save-state|add-mask|add-matcher|remove-matcher|internal-set-repo-path"
    r"|stop-commands|echo|group|endgroup|debug|notice|warning|error)(?:\s|::|$))"
)


class RagError(Exception):
    """Base of every error that `rag` raises on purpose."""


class ConfigError(RagError, ValueError):
    """Raised when a setting, a profile file or a pipeline name is wrong."""


class ModelError(RagError):
    """Raised when a model cannot be found, fetched, verified, or used for what it was asked to do."""


class RemoteError(ModelError):
    """Raised when a model's server cannot be reached, refuses or answers something else, after all tries.

    Attributes:
        is_final: Whether no further call will succeed in this run, such as when a quota is spent.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class ModelDiedError(ModelError):
    """Raised when the process that a model ran in has died; what it was asked for can be asked again.

    Attributes:
        is_final: Whether it is not begun again: it has died like this before.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class ContextWindowError(ModelError):
    """Raised when a prompt does not fit the model's context window; nothing is ever cut silently."""


class StoreError(RagError):
    """Raised when a store of vectors cannot be reached, refuses, or holds something else."""


class DocumentError(RagError):
    """Raised when no document could be read."""


class DocumentWarning(UserWarning):
    """Warned when a document could not be read and the others go on without it."""


def without_commands(text: str) -> str:
    """Return text that gives a CI runner that reads it in a log no command: a blank parts its first signs."""
    return _COMMAND.sub(r"\g<0> ", text)


def one_line(text: str, limit: int = 200) -> str:
    """Text of a server or a tool made fit for one line of a terminal."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    clean = without_commands(clean)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def say(text: str) -> None:
    """Say something in one line on stderr: what was done unasked, or what was lost."""
    sys.stderr.write(f"rag-evals: {one_line(text, limit=1000)}\n")
