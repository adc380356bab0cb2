"""Models of a few lines whose processes die as those with native code do; run by `rag_evals.rag.native`."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import time
from pathlib import Path

from rag_evals.rag.errors import ModelError

# An instruction that no processor has, by architecture.
ILLEGAL = {"x86_64": b"\x0f\x0b", "aarch64": b"\x00\x00\x00\x00"}[os.uname().machine]


class MortalModel:
    """Answers, fails or dies on demand.

    Args:
        log: A line is added for each process that is started.
    """

    def __init__(self, log: Path) -> None:
        self._calls = 0
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")

    def add(self, number: float, *, more: float = 0.0) -> float:
        """Return the sum."""
        return number + more

    def count(self) -> int:
        """Return how many times this very process was asked."""
        self._calls += 1
        return self._calls

    def sleep(self, seconds: float, name: str = "") -> tuple[str, float]:
        """Return `name` after a while, and when."""
        time.sleep(seconds)
        return name, time.monotonic()

    def fail(self) -> None:
        """Raise what a model says of a file that it cannot read."""
        raise ModelError("m.gguf is no model: give another file.")

    def err(self) -> None:
        """Raise what a library raises."""
        raise RuntimeError("llama_decode returned -3")

    def illegal(self) -> None:
        """Die of an illegal instruction, as code that was built for another processor does."""
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(ILLEGAL)
        ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()

    def fault(self) -> None:
        """Die of a fault of the memory."""
        ctypes.string_at(0)

    def abort(self) -> None:
        """Die of an assertion, as ggml does."""
        os.write(2, b"/src/ggml.c:99: GGML_ASSERT(n > 0) failed\n")
        os.abort()

    def killed(self) -> None:
        """Die as the kernel's memory killer lets processes die."""
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        """End with a status, as a library that calls `exit` does."""
        os._exit(7)
