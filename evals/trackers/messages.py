"""What a tracker's process says to the session, one JSON object a line, and to others of its kind: its lock.

`said`: a line for people. `problem`: what went wrong. `rows`: how many evaluations the tracker has taken.
`moved`: something has moved, with how far it is in words where that is known. `done`: all has arrived.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json


def lock_of(folder: Path, name: str) -> Path:
    """Return the file in a run folder whose lock says that the tracker `name` is being told of the run."""
    return folder / f"{name}.lock"


def say(**message: Any) -> None:
    """Say it on standard output; where nobody listens any more, nothing happens."""
    with suppress(OSError, ValueError):
        # In one piece, as threads say things side by side.
        print(f"{json.dumps(message)}\n", end="", flush=True)  # noqa: T201  # what standard output is for here


def text_of(error: BaseException) -> str:
    """Return what an error says in one line; where a disk is full, without the paths of temporary files."""
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = str(error.strerror)
    return " ".join(text.split()) or type(error).__name__


def messages_in(output: bytes) -> list[Mapping[str, Any]]:
    """Read what was said; what a library printed among it, or what was cut off, is passed over."""
    found: list[Mapping[str, Any]] = []
    for line in output.splitlines():
        with suppress(ValueError):
            message = parse_json(line)
            if isinstance(message, dict):
                found.append(message)
    return found
