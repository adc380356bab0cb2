"""The self-test of llama.cpp: a small model in a process of its own, which may die without harm.

Started by the set-up and by `rag-evals doctor`: the standard library only.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_evals.rag.native.small_model import LOGITS, NEXT, PROMPT, TOLERANCE, write_model

PROBE = Path(__file__).with_name("probe.py")
# It takes half a second; a machine under load must not fail it.
PATIENCE = 120.0
DEATHS = {
    "SIGILL": "this build is not for this processor",
    "SIGKILL": "something ended it, probably for want of memory",
}


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """What the self-test found.

    Attributes:
        problem: What is wrong in one line, empty if nothing is.
        version: The version of llama-cpp-python, empty if it could not be loaded.
        compiled: The instructions and extensions that its library was compiled with.
    """

    problem: str = ""
    version: str = ""
    compiled: tuple[str, ...] = ()


def self_test(python: Path, processor: str, *, patience: float = PATIENCE) -> SelfTestResult:
    """Run the small model with the llama.cpp of `python` and compare what it computes.

    Args:
        python: The interpreter of the environment to be tested.
        processor: The name of this machine's processor, for the message.
        patience: Seconds after which a probe that has not ended counts as hanging.
    """
    if not python.exists():
        return SelfTestResult(f"the self-test of llama.cpp failed: there is no {python}")
    # A path of the user's must not bring another llama_cpp than that of the environment.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(prefix="rag-evals-") as folder:
        model = Path(folder) / "self-test.gguf"
        write_model(model)
        command = [str(python), "-P", str(PROBE), str(model), json.dumps(PROMPT), str(NEXT)]
        try:
            ran = subprocess.run(
                command, env=environ, capture_output=True, text=True, errors="replace", timeout=patience
            )
        except subprocess.TimeoutExpired:
            return SelfTestResult(f"the self-test of llama.cpp did not end in {patience:.0f} s")
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    about = json.loads(lines[0]) if lines else {"version": "", "compiled": ""}
    return SelfTestResult(_problem(ran, lines[1:], processor), about["version"], _enabled(about["compiled"]))


def _problem(ran: subprocess.CompletedProcess[str], computed: Sequence[str], processor: str) -> str:
    if ran.returncode < 0:
        name = signal.Signals(-ran.returncode).name
        why = DEATHS.get(name, "this build does not work on this processor")
        return f"the self-test of llama.cpp died of {name}: {why} ({processor})"
    if ran.returncode or not computed:
        last = ran.stderr.strip().rpartition("\n")[2] or f"status {ran.returncode}"
        return f"the self-test of llama.cpp failed: {last}"
    return _difference(json.loads(computed[0])["logits"])


def _difference(logits: Sequence[Sequence[float]]) -> str:
    for step, (found, expected) in enumerate(zip(logits, LOGITS, strict=True)):
        if not all(map(math.isfinite, found)):
            return f"the self-test of llama.cpp computed numbers that are not finite (step {step + 1})"
        for word, right in enumerate(expected):
            if abs(found[word] - right) > TOLERANCE:
                return (
                    f"the self-test of llama.cpp computed wrong numbers: {found[word]:.2f} in place of"
                    f" {right:.2f} (step {step + 1}, logit {word})"
                )
    return ""


def _enabled(compiled: str) -> tuple[str, ...]:
    """Return the names that llama.cpp's own line shows with a 1, such as AVX2."""
    pairs = (part.rpartition(":")[2].partition("=") for part in compiled.split("|"))
    return tuple(name.strip() for name, _, value in pairs if value.strip() == "1")
