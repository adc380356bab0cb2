"""What every benchmark shares: the facts of the machine, the table, and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rag_evals.evals.reports.text import aligned

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("llama-cpp-python", "llama-index", "sentence-transformers", "pytest", "pytest-asyncio")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print `rows`, the header first."""
    print("\n".join(aligned(rows)))


def save(name: str, result: Mapping[str, Any], command: str | None = None) -> None:
    """Write `results/NAME.json`: the result, the commit and command it came from, and the machine."""
    facts = {
        "commit": commit(),
        "command": command or " ".join(["python", "-m", f"benchmarks.{name}", *arguments()]),
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "processor": _processor()},
        "versions": {"python": platform.python_version(), **{lib: version(lib) for lib in LIBRARIES}},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**facts, **result}, indent=2, ensure_ascii=False) + "\n")
    print(f"\nwritten: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def commit() -> str:
    """Return the last commit that changed more than results; "" outside a checkout."""
    command = ["git", "log", "-1", "--format=%h", "--", ".", ":!benchmarks/results"]
    return subprocess.run(command, cwd=RESULTS.parents[1], capture_output=True, text=True).stdout.strip()


def arguments() -> list[str]:
    """Return the arguments, paths by their last part: where a file lies here is nobody's business."""
    return [Path(argument).name if "/" in argument else argument for argument in sys.argv[1:]]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
