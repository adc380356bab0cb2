"""What a fetched artifact is used as: question files, or a run."""

from __future__ import annotations

import sys
from pathlib import Path

from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.load import SUFFIXES
from rag_evals.evals.runs.run import RECORDS
from rag_evals.evals.runs.trace_lines import FILE as TRACES
from rag_evals.evals.trackers.wandb.fetch import FetchedArtifact, fetch_text

QUESTIONS = "questions.jsonl"
LISTED = 5
# Lines as well, but no questions.
_OF_RUNS = (RECORDS, TRACES)


def question_files(fetched: FetchedArtifact) -> tuple[Path, ...]:
    """Return `questions.jsonl`, or where there is none every question file.

    Raises:
        UsageError: There is none.
    """
    if (fetched.folder / QUESTIONS).is_file():
        return (fetched.folder / QUESTIONS,)
    files = (file for file in fetched.folder.rglob("*") if file.name not in _OF_RUNS)
    found = sorted(file for file in files if file.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"{fetched.reference} has no question file: {_listed(fetched)}")
    return tuple(found)


def run_folder(fetched: FetchedArtifact) -> Path:
    """Return the folder of the run.

    Raises:
        RunFileError: It is none.
    """
    if not (fetched.folder / RECORDS).is_file():
        raise RunFileError(f"{fetched.reference} is no run, it has no {RECORDS}: {_listed(fetched)}")
    return fetched.folder


def run_of(text: str, home: Path) -> Path:
    """Fetch the run that a reference means, and say on standard error where a copy stands in.

    Raises:
        UsageError: It cannot be had, or is no run.
    """
    fetched = fetch_text(text, home)
    if fetched.warning:
        sys.stderr.write(f"{printable(fetched.warning)}\n")
    return run_folder(fetched)


def _listed(fetched: FetchedArtifact) -> str:
    names = sorted(file.name for file in fetched.folder.rglob("*") if file.is_file())
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return printable(f"its files are {', '.join(names[:LISTED]) or 'none'}{more}")
