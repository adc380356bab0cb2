"""Memory that can still be had: of the machine, or of the container where that is less."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Return the bytes of memory that can be had without swapping; None where the system does not say.

    Args:
        meminfo: Linux's report on its memory; other systems have none and are asked by `sysconf`.
        cgroup: Folder of the control group (version 2) that bounds this process, as containers have one.
    """
    known = [free for free in (_of_machine(meminfo), _of_group(cgroup)) if free is not None]
    return min(known, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _of_group(cgroup: Path) -> int | None:
    try:
        most = int((cgroup / "memory.max").read_text("ascii"))  # "max" where there is no bound
        used = int((cgroup / "memory.current").read_text("ascii"))
        facts = dict(line.split() for line in (cgroup / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):
        return None
    # What files were read from is given up when it is needed.
    return max(0, most - used + int(facts.get("inactive_file", 0)) + int(facts.get("active_file", 0)))
