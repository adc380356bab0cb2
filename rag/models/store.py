"""Models on disk: stamps, sizes, hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rag_evals.rag.models import sources as model_sources
from rag_evals.rag.models.catalogue import CatalogueEntry

ModelSource = Literal["path", "cache", "hub", "index", "url"]
STAMP = ".verified.json"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a file was when its SHA-256 was computed; trusted while size and time of change stay."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is there of a model's files, and what is wrong with them."""

    files: dict[str, FileStamp]
    damage: tuple[str, ...]
    is_stamped: bool


def visible_files(folder: Path) -> list[str]:
    """Return the names of a folder's files, without hidden ones."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts))


def file_names(entry: CatalogueEntry, folder: Path, stamp: Mapping[str, FileStamp]) -> list[str]:
    """Files the model must have: those of the catalogue, else those fetched, else those that are there."""
    return [file.name for file in entry.files] or sorted(stamp) or visible_files(folder)


def inspected(entry: CatalogueEntry, folder: Path, *, rehash: bool = False) -> Inspection | None:
    """What the cache holds of a model, and what is wrong with it; None when it holds nothing."""
    stamp = read_stamp(folder / STAMP)
    names = file_names(entry, folder, stamp)
    if not folder.is_dir() or not names:
        return None
    if damage := tuple(size_damage(entry, folder, names)):
        return Inspection({}, damage, is_stamped=False)
    files = hashed(folder, names, {} if rehash else stamp)
    pins = {pin.name: pin.sha256 for pin in entry.files}
    expected = {name: pins.get(name) or (stamp[name].sha256 if name in stamp else None) for name in names}
    wrong = tuple(
        f"{name}: SHA-256 {files[name].sha256}, expected {sha256}"
        for name, sha256 in expected.items()
        if sha256 not in {None, files[name].sha256}
    )
    return Inspection(files, wrong, is_stamped=files == stamp)


def size_damage(entry: CatalogueEntry, folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield what is missing or has another size than is pinned."""
    pins = {pin.name: pin.size for pin in entry.files}
    for name in names:
        if not (folder / name).is_file():
            yield f"{name}: missing"
        elif pins.get(name) not in {None, size := (folder / name).stat().st_size}:
            yield f"{name}: {size} bytes, expected {pins[name]}"


def hashed(root: Path, names: Iterable[str], stamp: Mapping[str, FileStamp]) -> dict[str, FileStamp]:
    """Each file with its SHA-256: from the stamp while size and time of change are those of the stamp."""
    found = {}
    for name in names:
        stat, known = (root / name).stat(), stamp.get(name)
        if known and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            found[name] = known
        else:
            found[name] = FileStamp(stat.st_size, stat.st_mtime_ns, model_sources.sha256_of(root / name))
    return found


def read_stamp(path: Path) -> dict[str, FileStamp]:
    """A stamp; one that is missing or broken is empty, and the files are hashed again."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: FileStamp(**file) for name, file in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def write_stamp(path: Path, files: Mapping[str, FileStamp], source: ModelSource) -> None:
    """Keep a stamp; a cache that cannot be written costs a hash at each start and nothing else."""
    keep_json(path, {"source": source, "files": {name: asdict(file) for name, file in files.items()}})


def keep_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file of the cache, whole or not at all; one that cannot be written is left out."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(value, indent=1), encoding="utf-8")
        fresh.replace(path)


def sha256_over(files: Mapping[str, FileStamp], *, is_folder: bool) -> str:
    """Return the hash of a model: of its file, or over the names and hashes of a folder's."""
    if not is_folder:
        return next(iter(files.values())).sha256
    lines = "".join(f"{name} {files[name].sha256}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()
