"""What is said of a process that a model ran in and that ended by itself."""

from __future__ import annotations

import os
import signal

GIBIBYTE = 2**30

# What to do about a signal that says by itself what was wrong.
_CAUSES = {
    "SIGKILL": ", probably for want of memory: {used} were in use",
    "SIGILL": ": its native code was built for another processor; `rag-evals doctor` says more",
}
# Lines that native code prints before it gives up by itself.
_LAST_WORDS = ("ASSERT", "abort", "terminate called", "what():", "Error")


def end_of(status: int) -> str:
    """Return the name of what ended a process: a signal's, or `status N`.

    Args:
        status: As `os.wait4` gives it.
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def cause_of(name: str, kind: str, *, peak_bytes: int, printed: str = "") -> str:
    """Return one line on what the process of a model died of.

    Args:
        name: Name of the model.
        kind: What ended it, as `end_of` says it.
        peak_bytes: The most memory that it had.
        printed: What it printed as an error.
    """
    used = f"{peak_bytes / GIBIBYTE:.1f} GiB"
    died = f"the process of {name} died of {kind}"
    if kind.startswith("status"):
        died = f"the process of {name} ended with {kind}"
    told = _CAUSES.get(kind, " ({used} were in use)").format(used=used)
    words = [line.strip() for line in printed.splitlines() if any(word in line for word in _LAST_WORDS)]
    said = f": {words[-1][:200]}" if words and kind not in _CAUSES else ""
    return f"{died}{told}{said}"
