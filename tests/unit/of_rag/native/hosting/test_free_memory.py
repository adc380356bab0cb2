"""How much memory is free: of the machine, or of the container where that is less."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.local.loading import check_memory
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.hosting.free_memory import free_memory

NOWHERE = Path("/nowhere")


@pytest.fixture
def meminfo(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:  24000000 kB\nMemFree:  100 kB\nMemAvailable:  3000000 kB\n")
    return path


@pytest.fixture
def group(tmp_path):
    """The control group of a container: 2,000 bytes at most, 1,500 used, 300 of them to cache files."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    (folder / "memory.max").write_text("2000\n")
    (folder / "memory.current").write_text("1500\n")
    (folder / "memory.stat").write_text("anon 1200\nfile 300\nactive_file 100\ninactive_file 200\n")
    return folder


def test_of_a_machine(meminfo):
    """What Linux calls available can be had without swapping."""
    assert free_memory(meminfo, NOWHERE) == 3_072_000_000


@pytest.mark.parametrize("text", [None, "", "MemAvailable: much\n", "MemFree: 1 kB\n"])
def test_memory_elsewhere(tmp_path, monkeypatch, text):
    """Without that report the system is asked, and need not know either."""
    meminfo = tmp_path / "meminfo"
    if text is not None:
        meminfo.write_text(text)
    pages = {"SC_AVPHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert free_memory(meminfo, NOWHERE) == 4_096_000

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert free_memory(meminfo, NOWHERE) is None


def test_of_a_container(meminfo, group):
    """Its bound counts where it is lower; what only caches files can be had."""
    assert free_memory(meminfo, group) == 800
    (group / "memory.max").write_text("max\n")
    assert free_memory(meminfo, group) == 3_072_000_000


def test_of_this_machine():
    """It is known here, and is less than there is."""
    assert 0 < (free_memory() or 0) < 2**50


def test_a_model_larger_than_memory(tmp_path):
    """It is refused before it is read, with all sizes."""
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.truncate(4_400_000_000)  # takes no disk
    model = Model("mistral-7b-instruct", path, "0" * 64, "path")
    check_memory(model, 4_800_000_000)
    check_memory(model, None)
    with pytest.raises(ModelError) as caught:
        check_memory(model, 3_000_000_000)
    assert str(caught.value) == (
        "mistral-7b-instruct does not fit the memory: 4.4 GB of weights and about 0.4 GB to work with, "
        "but 3.0 GB are free. Use a smaller model (`rag-evals models list`), or end what else takes memory."
    )
