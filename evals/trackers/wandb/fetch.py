"""Artifacts of W&B as folders: fetched once, kept, and read from there where W&B cannot be asked."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.trackers.wandb.ask import MOST_SECONDS, NotThere, ask, server_address
from rag_evals.evals.trackers.wandb.copies import (
    ENTITIES,
    FOLDER,
    Copies,
    copies_in,
    note_session,
    read_object,
    session_outcome,
    write_object,
)
from rag_evals.evals.trackers.wandb.reference import RECORDS_ARTIFACT, Reference, parse_reference

OFFLINE_MODES = ("offline", "dryrun", "disabled")


@dataclass(frozen=True, slots=True)
class FetchedArtifact:
    """An artifact that is here.

    Attributes:
        reference: What was asked for.
        entity: Who it belongs to.
        version: Its version, such as `v3`.
        folder: Where its files are; they are not to be changed.
        warning: Why it is a copy of an earlier time; None where W&B itself was asked.
    """

    reference: Reference
    entity: str
    version: str
    folder: Path
    warning: str | None = None

    @property
    def told(self) -> dict[str, str]:
        """What the first line of a run says of it: what was asked for, and its full name at W&B."""
        reference = self.reference
        artifact = f"{self.entity}/{reference.project}/{reference.name}:{self.version}"
        return {"reference": str(reference), "artifact": artifact}


def fetch(
    reference: Reference, home: Path, *, is_offline: bool = False, session: str | None = None
) -> FetchedArtifact:
    """Return the artifact as a folder: from W&B, or the copy of an earlier time where W&B cannot be asked.

    A version that is here is taken without asking.

    Args:
        reference: What to fetch.
        home: Folder of runs, indexes and copies.
        is_offline: Ask nobody; so does WANDB_MODE=offline.
        session: Whatever tells sessions apart: in one session a reference means one version, or fails in one
            way, in all of its processes.

    Raises:
        UsageError: It cannot be had, or is not to be taken.
    """
    # It imports `secrets`, which in a session of pytest may be a file of the project's.
    from filelock import FileLock, Timeout

    place = home / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    _ignore_in_git(home)
    try:
        with FileLock(place / ".lock", timeout=MOST_SECONDS):
            return _fetch(reference, home, is_offline, session)
    except Timeout:
        raise UsageError(f"{reference}: another process is fetching: wait for it to end") from None
    except OSError as error:
        raise UsageError(
            f"{reference}: the copy cannot be written ({printable(str(place))}: {error.strerror}): "
            "give another folder with --evals-home, or --home"
        ) from error


def fetch_text(
    text: str, home: Path, *, is_offline: bool = False, session: str | None = None
) -> FetchedArtifact:
    """Parse a reference and fetch what it means.

    Raises:
        UsageError: It is no reference, or cannot be had.
    """
    reference = parse_reference(text)
    if reference is None:
        raise UsageError(f"{printable(text)} is no reference to W&B")
    return fetch(reference, home, is_offline=is_offline, session=session)


def fetched_in(session: str, text: str, home: Path) -> FetchedArtifact | None:
    """Return what a reference meant in a session; None when it was not fetched. Nobody is asked."""
    reference = parse_reference(text)
    outcome = session_outcome(home, session, text) if reference else None
    if reference is None or not outcome or "problem" in outcome:
        return None
    return _again(reference, home, outcome)


def give_aliases(reference: Reference, aliases: Sequence[str]) -> str:
    """Add aliases to a version of an artifact, and return its full name at W&B.

    Raises:
        UsageError: W&B cannot be asked, or has no such version.
    """
    if is_offline_mode():
        raise UsageError(f"{reference}: WANDB_MODE says offline: nothing can be changed at W&B")
    with tempfile.TemporaryDirectory(prefix="rag-evals-") as scratch:
        try:
            told = ask(reference, Path(scratch), home=None, aliases=aliases)
        except NotThere as error:
            raise UsageError(f"{reference}: {error.reason}{_hint(reference, error)}") from error
    return f"{told['entity']}/{reference.project}/{reference.name}:{told['version']}"


def is_offline_mode() -> bool:
    """Return whether W&B's own variable says that nobody is to be asked."""
    return os.environ.get("WANDB_MODE") in OFFLINE_MODES


# --- what is here, and what is asked for ---


def _fetch(reference: Reference, home: Path, is_offline: bool, session: str | None) -> FetchedArtifact:
    outcome = session_outcome(home, session, str(reference)) if session else None
    if outcome and ("problem" in outcome or {"entity", "version"} <= outcome.keys()):
        return _again(reference, home, outcome)
    try:
        fetched = _made(reference, home, is_offline)
    except UsageError as error:
        if session:
            note_session(home, session, str(reference), {"problem": str(error)})
        raise
    if session:
        told = {"entity": fetched.entity, "version": fetched.version, "warning": fetched.warning}
        note_session(home, session, str(reference), told)
    return fetched


def _again(reference: Reference, home: Path, outcome: Mapping[str, Any]) -> FetchedArtifact:
    """Return what another process of this session was given."""
    if "problem" in outcome:
        raise UsageError(str(outcome["problem"]))
    entity, version = outcome["entity"], outcome["version"]
    folder = _copies_of(reference, home, entity).version(version)
    if folder is None:
        raise UsageError(f"{reference}: its copy is gone, which was there a moment ago: begin again")
    return FetchedArtifact(reference, entity, version, folder, outcome.get("warning"))


def _made(reference: Reference, home: Path, is_offline: bool) -> FetchedArtifact:
    copies = _copies(reference, home)
    if copies and reference.is_version and (folder := copies.version(reference.alias)):
        return FetchedArtifact(reference, _entity_of(folder), reference.alias, folder)
    try:
        if is_offline or is_offline_mode():
            raise NotThere("W&B is not asked, as this is offline", is_passing=True)
        return _from_server(reference, home)
    except NotThere as error:
        copy = _copy(reference, copies, error.reason) if copies and error.is_passing else None
        if copy is None:
            raise UsageError(f"{reference}: {error.reason}{_hint(reference, error)}") from error
        return copy


def _copy(reference: Reference, copies: Copies, reason: str) -> FetchedArtifact | None:
    """Return the version that the alias meant when W&B was last asked."""
    version, at = copies.alias(reference.alias) or ("", 0.0)
    folder = copies.version(version) if version else None
    if folder is None:
        return None
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    warning = f"{reference}: {reason}: the copy of {when} is taken, {version}"
    return FetchedArtifact(reference, _entity_of(folder), version, folder, warning)


def _hint(reference: Reference, error: NotThere) -> str:
    if error.is_passing:
        return ", and there is no copy of it here: fetch it once with a connection"
    if reference.name == RECORDS_ARTIFACT and "no such artifact" in error.reason:
        return f": `rag-evals replay {reference.alias}` sends the run"
    return ""


def _from_server(reference: Reference, home: Path) -> FetchedArtifact:
    with tempfile.TemporaryDirectory(dir=home / FOLDER, prefix=".fetching-") as scratch:
        told = ask(reference, Path(scratch), home=home)
        entity, version = str(told["entity"]), str(told["version"])
        copies = _copies_of(reference, home, entity)
        if "files" in told:
            copies.add(version, Path(scratch, "files"), told["files"])
    if not (reference.entity or os.environ.get("WANDB_ENTITY")):
        entities = home / FOLDER / ENTITIES
        write_object(entities, {**read_object(entities), server_address(): entity})
    copies.note_alias(reference.alias, version, time.time())
    return FetchedArtifact(reference, entity, version, copies.folder / version)


def _copies(reference: Reference, home: Path) -> Copies | None:
    """Return the copies of an artifact; None where it is not known whose it is."""
    default = os.environ.get("WANDB_ENTITY") or read_object(home / FOLDER / ENTITIES).get(server_address())
    entity = reference.entity or default
    return _copies_of(reference, home, str(entity)) if entity else None


def _copies_of(reference: Reference, home: Path, entity: str) -> Copies:
    return copies_in(home, entity, reference.project, reference.name, server_address())


def _entity_of(version: Path) -> str:
    return version.parents[2].name


def _ignore_in_git(home: Path) -> None:
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
