"""What the set-up says before anything is downloaded: the real script, on machines that lack something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rag_evals.rag.native.checks import BUILDING, DOWNLOADS, ENVIRONMENT

ROOT = Path(__file__).parents[4]
NO_COMPILER = "llama.cpp is compiled here: apt-get install build-essential (macOS: xcode-select --install)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with what the set-up reads of it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("")
    (folder / "constraints.txt").write_text("llama_cpp_python==9.9\n")
    return folder


def set_up(project: Path, *, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up in `project`, after some Python that makes the machine lack something."""
    run = "import runpy; runpy.run_module('rag_evals.rag.native.set_up', run_name='__main__')"
    command = [sys.executable, "-P", "-c", f"import sys; sys.argv = ['set_up', '.venv']; {code}\n{run}"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(project.parent / "cache")}
    return subprocess.run(command, cwd=project, env=environ | variables, capture_output=True, text=True)


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line that the set-up ended with; nothing was begun."""
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    return line


def test_no_compiler(project, tmp_path):
    """A PATH without compilers; then one with a C compiler only."""
    programs = tmp_path / "bin"
    programs.mkdir()
    assert refused(set_up(project, PATH=str(programs))) == f"no C compiler, and {NO_COMPILER}"
    (programs / "cc").symlink_to(shutil.which("cc"))
    assert refused(set_up(project, PATH=str(programs))) == f"no C++ compiler, and {NO_COMPILER}"
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_no_venv(project, module):
    """Debian's Python without python3-venv: the module cannot be found."""
    ran = set_up(project, code=f"sys.modules[{module!r}] = None")
    assert refused(ran) == "Python's venv module is missing: apt-get install python3-venv"
    assert not (project / ".venv").exists()


def test_cache_that_cannot_be_written(project, tmp_path):
    """A file where the cache folder should be: root too is refused."""
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "rag-evals" / "llama.cpp"
    assert refused(set_up(project, XDG_CACHE_HOME=str(tmp_path / "file"))) == (
        f"the cache folder {cache} cannot be written (Not a directory):"
        " name another one, XDG_CACHE_HOME=/path/to/folder make setup"
    )


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a disk is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    with mounted(tmp_path / "disk", "size=4m") as folder:
        yield folder


def test_read_only_cache(project, tmp_path):
    """A read-only file system, as containers have them."""
    with mounted(tmp_path / "disk", "ro") as folder:
        assert refused(set_up(project, XDG_CACHE_HOME=str(folder))) == (
            f"the cache folder {folder}/rag-evals/llama.cpp cannot be written (Read-only file system):"
            " name another one, XDG_CACHE_HOME=/path/to/folder make setup"
        )


def test_disk_that_is_too_small(small_disk, project):
    """What goes to one disk is added up, and said with what is free there."""
    small = small_disk / "project"
    shutil.copytree(project, small)
    cache = {"XDG_CACHE_HOME": str(small_disk / "cache"), "TMPDIR": str(small_disk)}
    need = (ENVIRONMENT + BUILDING + DOWNLOADS) / 1e9
    assert refused(set_up(small, **cache)) == (
        f"not enough room: 0.0 GB free on the disk of {small}, the set-up takes {need:.1f} GB there:"
        " make room, then run make again"
    )


def test_no_temporary_folder(project):
    """The disk of /tmp is full or read-only: Python finds no folder."""
    ran = set_up(project, code="import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']")
    assert refused(ran) == (
        "no folder for temporary files can be written: make room, or name one with TMPDIR=/path/to/folder"
    )


def test_disk_that_fills_up(small_disk, project):
    """The disk is full in the middle: pip's own words become one line."""
    small = small_disk / "project"
    shutil.copytree(project, small)
    ran = set_up(
        small,
        code="from rag_evals.rag.native import checks; checks.check_room = lambda needs: None",
        TMPDIR=str(project),
    )
    assert ran.returncode == 1
    assert re.fullmatch(
        rf"no space left on the disk \(free: 0\.0 GB on the disk of {re.escape(str(small))}, [\d.]+ GB on the"
        rf" disk of {re.escape(str(project))}\): make room, then run make again\n",
        ran.stderr,
    )


def test_the_set_up_needs_nothing_that_is_installed():
    """It runs before anything is: with the standard library alone."""
    command = [
        sys.executable,
        "-S",
        "-P",
        "-c",
        "import rag_evals.rag.native.set_up, rag_evals.rag.native.diagnosis",
    ]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


def test_python_that_is_too_old(tmp_path):
    """The Makefile asks before it runs what older ones cannot read."""
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-s", "setup", f"PYTHON={old}"]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stdout == "rag-evals needs Python 3.11 or newer; name one with PYTHON=/path/to/python3.11\n"
