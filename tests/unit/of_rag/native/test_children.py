"""Our processes, and those that they start, look for nothing in the folder that they begin in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.rag.native.children import child_environment

ROOT = str(Path(__file__).parents[4])
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import tempfile'], check=True)"


@pytest.mark.parametrize("path", [None, "", os.pathsep, ".", "{here}", "{here}/."])
def test_no_file_of_the_folder_is_run(tmp_path, monkeypatch, path):
    """Whatever PYTHONPATH is, a file that is called like a library of a child of a child stays a file."""
    (tmp_path / "tempfile.py").write_text("raise SystemExit('the file of the folder was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path.format(here=tmp_path))
    ran = subprocess.run([sys.executable, "-P", "-c", PARENT], env=child_environment(), capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_other_entries_stay(tmp_path, monkeypatch):
    """Libraries that are found by PYTHONPATH are found from another folder too; our own come first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", "/opt/libraries", "", "."]))
    there = os.pathsep.join([ROOT, str(tmp_path / "src"), "/opt/libraries"])
    found = child_environment(TMPDIR="/there")
    assert {name: found[name] for name in ("PYTHONPATH", "PYTHONSAFEPATH", "TMPDIR")} == {
        "PYTHONPATH": there,
        "PYTHONSAFEPATH": "1",
        "TMPDIR": "/there",
    }
    assert "PYTHONSAFEPATH" not in os.environ
