"""The process that talks to W&B about one artifact: wandb itself is never imported where tests run.

    python -m rag_evals.evals.trackers.wandb.artifact_process ASKED

ASKED is JSON. It ends by itself when nothing has come for a while, and takes what the client began with it.
What there is to say goes to standard output (messages.py).
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from rag_evals.evals.base.messages import printable
from rag_evals.evals.trackers.messages import say, text_of
from rag_evals.evals.trackers.wandb.copies import copies_in
from rag_evals.evals.trackers.wandb.reference import is_name, is_version

# Seconds: for one request, and without any progress before it is given up.
TIMEOUT = 10
PATIENCE = 18.0
# Nothing to be fetched a second time is worth more.
MOST_BYTES = 2 * 2**30
MOST_FILES = 10_000

# What goes wrong, as the client says it: what a copy may stand in for comes with True.
_REASONS = (
    ("No API key", "there is no API key (`wandb login`, or set WANDB_API_KEY)", True),
    ("No authentication", "there is no API key (`wandb login`, or set WANDB_API_KEY)", True),
    ("API key must", "the API key is none (`wandb login`, or set WANDB_API_KEY)", False),
    ("did not respond in time", "there is no answer from {server}", True),
    ("dial tcp", "there is no connection to {server}", True),
    ("Failed to verify credentials", "{server} does not accept the API key (`wandb login`)", False),
    ("not found", "{server} has no such artifact, or you may not see it", False),
    ("Digest mismatch", "what arrived is not what was sent: try again", False),
    ("ermission denied", "you have no permission for it at {server}", False),
)


class Refused(Exception):
    """Raised when an artifact is not to be taken."""


def main(asked: Mapping[str, Any]) -> None:
    """Do what is asked, and say what came of it."""
    scratch = Path(asked["scratch"])
    progress = SilenceWatch(scratch)
    threading.Thread(target=progress.watch, daemon=True).start()
    try:
        import wandb

        artifact = wandb.Api(timeout=TIMEOUT).artifact(asked["path"])
        progress.go_on()
        if asked["aliases"]:
            artifact.aliases.extend(alias for alias in asked["aliases"] if alias not in artifact.aliases)
            artifact.save()
        said = _about(artifact)
        if asked["home"] and not _is_there(said, asked):
            said |= {"files": _fetched(artifact, scratch / "files")}
    except Refused as error:
        say(problem=str(error), is_passing=False)
    except ImportError:
        say(problem="the package wandb is not installed (pip install wandb)", is_passing=True)
    except Exception as error:  # noqa: BLE001  # it may be any of the client's or the network's
        say(**_problem(error))
    else:
        say(artifact=said)


def _about(artifact: Any) -> dict[str, Any]:
    about = {"entity": str(artifact.entity), "version": str(artifact.version)}
    # They become names of folders.
    if not is_name(about["entity"]) or not is_version(about["version"]):
        raise Refused(f"W&B calls it {printable(' '.join(about.values()))}, which is no name")
    return about


def _is_there(about: Mapping[str, str], asked: Mapping[str, Any]) -> bool:
    home = Path(asked["home"])
    copies = copies_in(home, about["entity"], asked["project"], asked["name"], asked["server"])
    return copies.version(about["version"]) is not None


def _fetched(artifact: Any, folder: Path) -> dict[str, int]:
    """Fetch the files, and return their sizes by their names.

    Raises:
        Refused: A file would leave the folder, or is none.
    """
    entries = artifact.manifest.entries
    check_entries({name: (entry.size or 0, entry.ref) for name, entry in entries.items()})
    folder.mkdir()
    artifact.download(str(folder), skip_cache=True, multipart=False)
    artifact.verify(str(folder))
    return sizes_in(folder, entries)


def check_entries(entries: Mapping[str, tuple[int, str | None]]) -> None:
    """Look at names, sizes and references before anything is fetched.

    Raises:
        Refused: A file would leave the folder or lies elsewhere, or there is too much of it.
    """
    for name, (_, elsewhere) in entries.items():
        if not is_inside(name):
            raise Refused(f"its file {printable(repr(name))} would leave its folder")
        if elsewhere:
            raise Refused(f"its file {printable(name)} lies elsewhere, at {printable(elsewhere)}")
    size = sum(size for size, _ in entries.values())
    if size > MOST_BYTES or len(entries) > MOST_FILES:
        raise Refused(f"it has {len(entries):,} files of {size / 2**20:,.0f} MiB together, which is too much")


def is_inside(name: str) -> bool:
    """Return whether a name from outside stays in its folder, on any system."""
    parts = PurePosixPath(name).parts
    is_plain = name.isprintable() and not re.search(r"[\\:]", name)
    return is_plain and bool(parts) and not name.startswith("/") and not {".", ".."} & set(name.split("/"))


def sizes_in(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the sizes of the files `names`, all that there is in `folder`.

    Raises:
        Refused: There is a link, a device or another file among them, or one is missing.
    """
    paths = (path for path in folder.rglob("*") if not _is_folder(path))
    found = {path.relative_to(folder).as_posix(): path.lstat() for path in paths}
    odd = sorted(name for name, about in found.items() if not stat.S_ISREG(about.st_mode))
    wrong = odd or sorted({*names} ^ found.keys())
    if wrong:
        raise Refused(f"what arrived is not what it says: {printable(wrong[0])}")
    return {name: about.st_size for name, about in found.items()}


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _problem(error: Exception) -> dict[str, Any]:
    text, server = str(error), os.environ.get("WANDB_BASE_URL") or "W&B"
    for mark, reason, is_passing in _REASONS:
        if mark in text:
            return {"problem": reason.format(server=server), "is_passing": is_passing}
    is_network = isinstance(error, OSError)
    return {"problem": printable(text_of(error))[:300], "is_passing": is_network}


class SilenceWatch:
    """Ends the process when nothing has come for a while.

    Args:
        folder: What grows in it is progress.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size = 0
        self.most = MOST_BYTES
        self.go_on()

    def go_on(self) -> None:
        """Note that something came."""
        self._since = time.monotonic()

    def watch(self) -> None:
        """Look every now and then; it does not come back."""
        while time.monotonic() - self._since < PATIENCE:
            time.sleep(0.2)
            size = self._bytes()
            if size > self.most:
                say(problem="it sends more than it says: nothing of it is kept", is_passing=False)
                leave()
            if size != self._size:
                self._size = size
                self.go_on()
        server = os.environ.get("WANDB_BASE_URL") or "W&B"
        say(problem=f"there is no answer from {server}", is_passing=True)
        leave()

    def _bytes(self) -> int:
        files = (path for path in (self._folder / "files").rglob("*"))
        size = 0
        for file in files:
            with suppress(OSError):
                size += file.lstat().st_size
        return size


def leave() -> NoReturn:
    """End at once, with what the client began: its own way to end may take minutes."""
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    leave()
