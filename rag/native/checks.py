"""What must be there before the set-up downloads anything, each said in one line with its remedy."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rag_evals.rag.native.build import c_compiler, cxx_compiler, wheels_folder

# Bytes of the environment and of the build, measured and rounded up, and of what pip keeps, estimated
# (benchmarks/results/setup.json).
ENVIRONMENT, BUILDING, DOWNLOADS = 2_400_000_000, 600_000_000, 700_000_000


class SetUpError(Exception):
    """Raised when the set-up cannot go on: what is wrong and the remedy, as few lines as that takes."""


def check_machine(venv: Path, environ: Mapping[str, str]) -> None:
    """Check that nothing is missing before anything is downloaded.

    Raises:
        SetUpError: A compiler, a part of Python, a folder or room on the disk is missing.
    """
    for language, find in (("C", c_compiler), ("C++", cxx_compiler)):
        if find(environ) is None:
            raise SetUpError(
                f"no {language} compiler, and llama.cpp is compiled here: apt-get install build-essential"
                " (macOS: xcode-select --install)"
            )
    if any(importlib.util.find_spec(module) is None for module in ("venv", "ensurepip")):
        raise SetUpError("Python's venv module is missing: apt-get install python3-venv")
    cache = wheels_folder(environ)
    check_writable(venv.parent, "folder", "make another checkout where you may write")
    check_writable(cache, "cache folder", "name another one, XDG_CACHE_HOME=/path/to/folder make setup")
    needs = [(venv.parent, 0 if (venv / "set-up.json").exists() else ENVIRONMENT)]
    needs += [(temporary_folder(), BUILDING), (cache, DOWNLOADS)]
    check_room(needs)


def temporary_folder() -> Path:
    """Return the folder of temporary files.

    Raises:
        SetUpError: There is none that can be written to.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise SetUpError(
            "no folder for temporary files can be written: make room, or name one with TMPDIR=/path/to/folder"
        ) from error


def check_writable(folder: Path, what: str, remedy: str) -> None:
    """Write to `folder`.

    Raises:
        SetUpError: It cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")
    except OSError as error:
        raise SetUpError(f"the {what} {folder} cannot be written ({error.strerror}): {remedy}") from error


def check_room(needs: list[tuple[Path, int]]) -> None:
    """Hold the free room of each disk against all that goes there.

    Raises:
        SetUpError: A disk has too little.
    """
    disks: dict[int, list[tuple[Path, int]]] = {}
    for folder, size in needs:
        disks.setdefault(folder.stat().st_dev, []).append((folder, size))
    for sizes in disks.values():
        folder, need = sizes[0][0], sum(size for _, size in sizes)
        free = shutil.disk_usage(folder).free
        if free < need:
            raise SetUpError(
                f"not enough room: {free / 1e9:.1f} GB free on the disk of {folder},"
                f" the set-up takes {need / 1e9:.1f} GB there: make room, then run make again"
            )
