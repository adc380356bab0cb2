"""What `rag-evals doctor` says of llama.cpp: processor, compiler, flags, and whether it works."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rag_evals.rag.native.build import this_processor
from rag_evals.rag.native.self_test import self_test

REMEDY = (
    "build it for this processor: make setup, or in an environment of your own CMAKE_ARGS=-DGGML_NATIVE=OFF"
    " pip install --force-reinstall --no-deps --no-cache-dir --no-binary :all: llama-cpp-python"
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of the installed llama.cpp.

    Attributes:
        lines: What it is and how it was built, for people.
        problem: What is wrong and the remedy in one line, empty if nothing is.
    """

    lines: tuple[str, ...]
    problem: str


def diagnose(prefix: Path | None = None) -> Diagnosis:
    """Run the self-test with the llama.cpp of an environment, by default of the running one."""
    processor = this_processor()
    python = prefix / "bin" / "python" if prefix else Path(sys.executable)
    began = time.monotonic()
    verdict = self_test(python, processor.name)
    seconds = time.monotonic() - began
    built = _how_it_was_built(prefix or Path(sys.prefix))
    lines = (
        f"processor: {processor.name} ({processor.machine})",
        f"llama.cpp: llama-cpp-python {verdict.version or '(cannot be loaded)'}, {built}",
        f"compiled for: {' '.join(verdict.compiled) or 'unknown'}",
    )
    if verdict.problem:
        return Diagnosis(lines, f"{verdict.problem}; {REMEDY}")
    return Diagnosis((*lines, f"self-test: passed in {seconds:.1f} s"), "")


def _how_it_was_built(prefix: Path) -> str:
    try:
        build = json.loads((prefix / "set-up.json").read_text("utf-8"))["build"]
        native = "portable" if build["portable"] else "native"
        return f"{native}, by {build['compiler']} with {build['cmake_args']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "not built by make setup: compiler and flags unknown"
