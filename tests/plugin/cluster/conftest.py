"""A Ray cluster of two nodes for all tests of this folder, and sessions that are begun on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.ray_cluster import RayCluster, ray_cluster


@pytest.fixture(scope="package")
def notes(tmp_path_factory) -> Path:
    """A folder in which actors note what they did."""
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="package")
def cluster(notes, tmp_path_factory) -> Iterator[RayCluster]:
    """A cluster of two nodes for one actor each; its processes know where to note what they do."""
    os.environ["NOTES"] = str(notes)
    try:
        # With a head that knows after its restart what it knew before.
        storage = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(tmp_path_factory.mktemp("head"))}
        with ray_cluster(2, 1, storage) as running:
            yield running
    finally:
        del os.environ["NOTES"]


Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(project, notes, monkeypatch) -> Iterator[Begin]:
    """Begin sessions of the project."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for note in notes.iterdir():
        note.unlink()
    processes = []

    def begin(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "pytest", "-rs", *options]
        process = subprocess.Popen(
            command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def begun(begin, cluster) -> Begin:
    """Begin sessions of the project on the cluster."""

    def begin_there(*options: str) -> subprocess.Popen[str]:
        return begin(f"--evals-ray={cluster.address}", *options)

    return begin_there
