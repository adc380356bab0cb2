"""What the self-test says of a library, each tried with a real process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rag_evals.rag.native.self_test import SelfTestResult, self_test
from rag_evals.rag.native.small_model import LOGITS

ABOUT = '{"version": "9.9", "compiled": "CPU : SSE3 = 1 | AMX_INT8 = 0 | "}'


def python(folder: Path, script: str) -> Path:
    """A program in the place of the interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("signal", "line"),
    [
        ("ILL", "died of SIGILL: this build is not for this processor (Xeon)"),
        ("SEGV", "died of SIGSEGV: this build does not work on this processor (Xeon)"),
        ("KILL", "died of SIGKILL: something ended it, probably for want of memory (Xeon)"),
    ],
)
def test_death_by_a_signal(tmp_path, signal, line):
    """Said with what the library told of itself before it died."""
    verdict = self_test(python(tmp_path, f"echo '{ABOUT}'; kill -{signal} $$"), "Xeon")
    assert verdict == SelfTestResult(f"the self-test of llama.cpp {line}", "9.9", ("SSE3",))


def test_failure_says_the_last_line(tmp_path):
    failing = python(tmp_path, "echo Traceback >&2; echo 'ImportError: no such file' >&2; exit 1")
    assert self_test(failing, "Xeon") == SelfTestResult(
        "the self-test of llama.cpp failed: ImportError: no such file"
    )
    silent = python(tmp_path, "exit 3")
    assert self_test(silent, "Xeon") == SelfTestResult("the self-test of llama.cpp failed: status 3")
    unfinished = python(tmp_path, f"echo '{ABOUT}'")
    assert self_test(unfinished, "Xeon").problem == "the self-test of llama.cpp failed: status 0"


def test_a_library_that_hangs(tmp_path):
    hanging = python(tmp_path, "exec sleep 60")
    assert self_test(hanging, "Xeon", patience=0.3).problem == "the self-test of llama.cpp did not end in 0 s"


def test_no_interpreter(tmp_path):
    """An environment whose Python is gone does not work either."""
    gone = tmp_path / "gone" / "python"
    assert self_test(gone, "Xeon").problem == f"the self-test of llama.cpp failed: there is no {gone}"


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (float("nan"), "computed numbers that are not finite (step 2)"),
        (5.0, "computed wrong numbers: 5.00 in place of -1.49 (step 2, logit 7)"),
        (-1.3, ""),
    ],
)
def test_numbers_are_compared(tmp_path, changed, line):
    """Right within what rounding differs between processors."""
    logits = [list(row) for row in LOGITS]
    logits[1][7] = changed
    (tmp_path / "said").write_text(f"{ABOUT}\n{json.dumps({'logits': logits})}\n")
    problem = self_test(python(tmp_path, f"cat {tmp_path}/said"), "Xeon").problem
    assert problem == (line and f"the self-test of llama.cpp {line}")


def test_the_installed_llama_cpp_passes():
    """The library of this very environment: its numbers are those worked out without it."""
    verdict = self_test(Path(sys.executable), "this one")
    assert verdict.problem == ""
    assert verdict.version
    assert verdict.compiled
