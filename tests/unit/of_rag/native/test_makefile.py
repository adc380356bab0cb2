"""What `make eval` says at its end, with programs in the place of those that take minutes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[4] / "Makefile"


def make_eval(folder: Path, pytest_does: str) -> subprocess.CompletedProcess[str]:
    """Run `make eval` in `folder`; its pytest does what a line of shell says."""
    programs = {"rag-evals": "exit 0", "python": pytest_does, "any-python": "exit 0"}
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "report.html").write_text("of an earlier run")
    command = [
        "make",
        "-s",
        "-f",
        MAKEFILE,
        "eval",
        f"PYTHON={folder}/any-python",
        f"BIN={folder}",
        "ARGS=-x",
    ]
    # Under `make test` these would speak of the make above.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("status", [0, 1])
def test_a_run_with_a_report_says_where_to_go_on(tmp_path, status):
    """Whether all was well or too much was unscored: the report is there to be read."""
    ran = make_eval(tmp_path, f'echo "$@"; echo new > report.html; exit {status}')
    assert (ran.returncode != 0) == (status != 0)
    assert ran.stdout.splitlines() == [
        "-m pytest evals --evals-mode report --evals-html report.html -x",
        "",
        f"Every answer with its sources and verdicts: file://{tmp_path}/report.html",
        f"Your own documents: . {tmp_path}/activate"
        " && pytest evals --evals-docs paper.pdf --evals-generate 20",
        "Your own questions and pipeline: README.md and docs/",
    ]


def test_a_run_without_a_report_shows_its_own_error_last(tmp_path):
    """A wrong option: nothing covers pytest's own line, and no old report is taken for a new one."""
    ran = make_eval(tmp_path, "echo ERROR: unrecognized arguments; exit 4")
    assert ran.returncode != 0
    assert ran.stdout == "ERROR: unrecognized arguments\n"
    assert not (tmp_path / "report.html").exists()
