"""From a fresh clone to the first verdict on screen, cold: no cache of pip, of wheels or of models.

Clones this checkout, runs `make eval ARGS=-v` until the first evaluation is done, and notes when each line
came. The package index is the one that pip is set up for.

    python -m benchmarks.setup
"""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import print_table, save

ROOT = Path(__file__).parents[1]
FIRST_VERDICT = re.compile(r"(PASSED|FAILED|SKIPPED)")
MOMENTS = {
    "environment made": re.compile(r"making the environment \.\.\. \d"),
    "packages installed": re.compile(r"packages installed after \d+ s"),
    "llama.cpp compiled": re.compile(r"llama\.cpp compiled after \d+ s"),
    "set up": re.compile(r"set up after \d+ s"),
    "models fetched": re.compile(r"test session starts"),
    "first verdict": FIRST_VERDICT,
}


def main() -> None:
    """Measure once and write the result."""
    with tempfile.TemporaryDirectory(prefix="cold-") as name:
        folder = Path(name)
        clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        seen: dict[str, float] = {}
        building = 0
        for seconds, screen in screens(clone, folder):
            for moment, pattern in MOMENTS.items():
                if moment not in seen and pattern.search(screen):
                    seen[moment] = round(seconds, 1)
            if "llama.cpp compiled" not in seen:
                building = max(building, size(folder / "tmp"))
        bytes_ = {"environment": size(clone / ".venv"), "temporary files": building}
        bytes_["models"] = size(folder / "cache" / "rag-evals" / "models")
        bytes_["llama.cpp wheel"] = size(folder / "cache" / "rag-evals" / "llama.cpp")
    # Other work on the machine stretches the seconds, not these.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = round(used.ru_utime + used.ru_stime, 1)
    load = round(os.getloadavg()[2], 2)
    facts = {"seconds": seen, "processor_seconds": processor, "load": load, "bytes": bytes_}
    save("setup", {**facts, "screen": lines(screen, folder)})
    print_table([("moment", "s"), *((moment, str(seconds)) for moment, seconds in seen.items())])


def screens(clone: Path, folder: Path) -> Iterator[tuple[float, str]]:
    """Yield the seconds since the start and all that was printed, until the first verdict or the end."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("RAG_", "MAKE"))}
    environ |= {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "PIP_NO_CACHE_DIR": "1",
    }
    (folder / "tmp").mkdir()
    began = time.monotonic()
    command = ["make", "eval", "ARGS=-v"]
    process = subprocess.Popen(
        command,
        cwd=clone,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed, more = "", b"-"
    try:
        while more and not FIRST_VERDICT.search(printed):
            if select.select([process.stdout], [], [], 5.0)[0]:
                more = os.read(process.stdout.fileno(), 65536)
                printed += more.decode(errors="replace")
            yield time.monotonic() - began, printed
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def lines(screen: str, folder: Path) -> list[str]:
    """Return the lines of the set-up and of the fetching as they stood on the screen, without `folder`."""
    shown = screen.replace(f"{folder}/", "")
    return [line for line in shown.splitlines() if line.strip()][:40]


def size(folder: Path) -> int:
    """Return the bytes of a folder's files; of files that come and go as many as are found."""
    ran = subprocess.run(["du", "-s", "--block-size=1", folder], capture_output=True, text=True)
    return int(ran.stdout.split()[0]) if ran.stdout else 0


if __name__ == "__main__":
    main()
