"""What is said of several workers with a local model."""

from __future__ import annotations

import pytest

from evals.workers import available_memory, memory_warning


@pytest.mark.parametrize(
    ("available", "line"),
    [
        (
            5_100_000_000,
            "-n 4: each worker loads its own models, 4 x 1.6 GB = 6.4 GB, but 5.1 GB are free: "
            "stay serial (without -n), llama.cpp uses all cores already",
        ),
        (
            16_000_000_000,
            "-n 4: each worker loads its own models, 4 x 1.6 GB = 6.4 GB of 16.0 GB free, and is hardly "
            "faster: llama.cpp uses all cores already",
        ),
        (
            None,
            "-n 4: each worker loads its own models, 4 x 1.6 GB = 6.4 GB: "
            "stay serial (without -n), llama.cpp uses all cores already",
        ),
    ],
)
def test_warning(available, line):
    """What it takes, what there is, what to do."""
    assert memory_warning(4, 1_600_000_000, available) == line


def test_memory_of_linux(tmp_path):
    """The kernel says it in kibibytes."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000000 kB\nMemFree:  1000 kB\nMemAvailable:  4000000 kB\n")
    assert available_memory(meminfo) == 4_096_000_000


@pytest.mark.parametrize("text", [None, "", "MemAvailable: much\n", "MemFree: 1 kB\n"])
def test_memory_elsewhere(tmp_path, monkeypatch, text):
    """Without that report the system is asked, and need not know either."""
    meminfo = tmp_path / "meminfo"
    if text is not None:
        meminfo.write_text(text)
    pages = {"SC_AVPHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert available_memory(meminfo) == 4_096_000

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert available_memory(meminfo) is None
