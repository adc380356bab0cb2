"""References to what W&B keeps: an artifact, or a run and with it the records that are its artifact."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable

PREFIX = "wandb:"
RECORDS_ARTIFACT = "run-records"

FORMS = (
    f"write {PREFIX}[ENTITY/]PROJECT/NAME:ALIAS for an artifact, or {PREFIX}[ENTITY/]PROJECT/RUN_ID for a run"
)
_LONGEST = 128
# What a W&B run of one pipeline is called behind the id of the session's run, which the records are found by.
_OF_PIPELINE = re.compile(r"(\d{8}-\d{6}-[0-9a-f]{6})-.+")
# What W&B does not take in the name of a project.
_NOT_IN_PROJECTS = "/\\#?%:"
_NOT_IN_NAMES = re.compile(r"[/\\#?%:*\"<>|]")


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of an artifact, by its alias.

    Attributes:
        entity: User or team; None for that of whoever asks.
        project: Name of the project.
        name: Name of the artifact.
        alias: One of its aliases, or a version such as `v3`.
        run: The W&B run that was asked for; None where it was an artifact.
    """

    entity: str | None
    project: str
    name: str
    alias: str
    run: str | None = None

    def __str__(self) -> str:
        """Return the text that means it."""
        where = "/".join(filter(None, (self.entity, self.project)))
        return f"{PREFIX}{where}/{self.run or f'{self.name}:{self.alias}'}"

    @property
    def is_version(self) -> bool:
        """Whether the alias is a version, which never changes."""
        return is_version(self.alias)


def is_reference(text: str) -> bool:
    """Return whether a text is meant as a reference."""
    return text.startswith(PREFIX)


def parse_reference(text: str) -> Reference | None:
    """Parse `wandb:[ENTITY/]PROJECT/NAME:ALIAS` or `wandb:[ENTITY/]PROJECT/RUN_ID`; None for another text.

    Raises:
        UsageError: It begins as a reference does, and is none.
    """
    if not is_reference(text):
        return None
    *where, last = text.removeprefix(PREFIX).split("/")
    name, colon, alias = last.partition(":")
    if not 1 <= len(where) <= 2 or not all(map(is_name, (*where, name, *([alias] if colon else [])))):
        raise UsageError(f"{printable(text)} is no reference: {FORMS}")
    entity, project = (where[0], where[1]) if len(where) == 2 else (None, where[0])
    if colon:
        return Reference(entity, project, name, alias)
    return run_reference(entity, project, name)


def run_reference(entity: str | None, project: str, run: str) -> Reference:
    """Return the reference to the records of the W&B run `run`."""
    of_pipeline = _OF_PIPELINE.fullmatch(run)
    return Reference(entity, project, RECORDS_ARTIFACT, of_pipeline[1] if of_pipeline else run, run)


def parse_project(text: str) -> str:
    """Parse the name of a W&B project, perhaps with its entity before a slash.

    Raises:
        UsageError: W&B would not take it.
    """
    entity, slash, project = text.strip().rpartition("/")
    wrong = [c for c in dict.fromkeys(f"{entity}{project}") if c in _NOT_IN_PROJECTS or not c.isprintable()]
    if wrong:
        raise UsageError(
            f"evals_wandb = {printable(text)}: a name has none of {' '.join(_NOT_IN_PROJECTS)}: "
            "give PROJECT or ENTITY/PROJECT"
        )
    if not project or (slash and not entity):
        raise UsageError(f"evals_wandb = {text}: give PROJECT or ENTITY/PROJECT")
    if len(project) > _LONGEST:
        raise UsageError(
            f"evals_wandb: the name of the project has {len(project)} characters, and W&B takes {_LONGEST}"
        )
    return text.strip()


def is_name(text: str) -> bool:
    """Return whether a text can be a name or an alias, and the name of a folder."""
    is_said = text.isprintable() and text == text.strip() and not text.startswith(".")
    return is_said and 0 < len(text) <= _LONGEST and not _NOT_IN_NAMES.search(text)


def is_version(text: str) -> bool:
    """Return whether a text is a version, such as `v3`."""
    return re.fullmatch(r"v\d+", text) is not None
