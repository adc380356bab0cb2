"""What workers of `-n` cost where each loads a model of its own."""

from __future__ import annotations

import os
from pathlib import Path

GIGABYTE = 10**9


def memory_warning(workers: int, bytes_per_worker: int, available: int | None) -> str:
    """Give the one line that is said of `-n WORKERS` with a local model.

    Args:
        workers: Number of processes.
        bytes_per_worker: What the models of one process take that it does not share with the others.
        available: Bytes of memory that are free, as `available_memory` gives them; None when not known.
    """
    each, together = bytes_per_worker / GIGABYTE, workers * bytes_per_worker / GIGABYTE
    costs = f"-n {workers}: each worker loads its own models, {workers} x {each:.1f} GB = {together:.1f} GB"
    if available is None:
        return f"{costs}: stay serial (without -n), llama.cpp uses all cores already"
    if workers * bytes_per_worker > available:
        return (
            f"{costs}, but {available / GIGABYTE:.1f} GB are free: stay serial (without -n), "
            "llama.cpp uses all cores already"
        )
    return (
        f"{costs} of {available / GIGABYTE:.1f} GB free, and is hardly faster: "
        "llama.cpp uses all cores already"
    )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Give the bytes of memory that can be had without swapping; None where the system does not say.

    Args:
        meminfo: Linux's report on its memory; other systems have none and are asked by `sysconf`.
    """
    try:
        lines = meminfo.read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
