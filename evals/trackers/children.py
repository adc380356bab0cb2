"""Processes of our own: what they are begun with, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import evals


def environment(**more: str) -> dict[str, str]:
    """Give our own environment and `more`; the process finds this very package, wherever it begins."""
    paths = (str(Path(evals.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, with all that it has begun in it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
