"""Baselines: runs as files fit for git, to hold later runs against."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.files import new_path
from rag_evals.evals.base.messages import printable
from rag_evals.evals.runs.evaluation import SCHEMA, Evaluation, evaluation_to_json
from rag_evals.evals.runs.header import component_to_json
from rag_evals.evals.runs.run import Run
from rag_evals.rag.identity import canonical

FOLDER = Path("evals-baselines")
SUFFIX = ".jsonl"
# What a baseline keeps of a run's first line; when and where it ran would change with every run.
_HEAD = ("run", "mode", "metrics", "criteria", "thresholds", "max_unscored", "judge_floor", "versions")
# What is true of one run only: where its answers came from, and what was paid for them.
_PASSING = ("cached", "usd")


def write_baseline(run: Run, folder: Path, name: str) -> Path:
    """Write `run` as the baseline `name`, in place of the one before; the same run gives the same bytes.

    The folder of baselines is made. A name has letters, digits and ". _ -".

    Raises:
        UsageError: The name is none for a file.
        RunFileError: The run has no evaluation, or the file cannot be written.
    """
    file = baseline_file(folder, name)
    if not run.evaluations:
        raise RunFileError(
            f"{run.name} has no evaluation, so nothing could be compared with it: name another run"
        )
    text = "".join(f"{canonical(line)}\n" for line in _lines(run))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new_path(file) as scratch:
            scratch.write_bytes(text.encode(errors="backslashreplace"))
    except OSError as error:
        raise RunFileError(
            f"{printable(str(file))} cannot be written: {error.strerror}: "
            "give another folder with --baselines"
        ) from error
    return file


def baseline_file(folder: Path, name: str) -> Path:
    """Return the file of the baseline `name`, whether it is there or not.

    Raises:
        UsageError: The name is none for a file.
    """
    # `latest` is the latest run's name: a baseline of that name would never be found.
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name) or name == "latest":
        raise UsageError(
            f"{printable(name)!r} cannot be the name of a baseline: "
            'write letters, digits, ".", "_" and "-", such as main; not latest, which is a run'
        )
    return folder / f"{name}{SUFFIX}"


def baseline_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of all baselines in `folder`, sorted by name; none where there is no folder."""
    return tuple(sorted(folder.glob(f"*{SUFFIX}")))


def _lines(run: Run) -> Iterable[Mapping[str, Any]]:
    """Yield the lines of the file: head, pipelines and judges, evaluations, end; each kind sorted."""
    head = {key: run.header.line[key] for key in _HEAD if key in run.header.line}
    # What was wrong with the run stays wrong with the baseline that is made of it.
    yield {"type": "run", "schema": SCHEMA, **head, **({"notes": list(run.notes)} if run.notes else {})}
    yield from sorted(
        map(component_to_json, run.components),
        key=lambda line: (line["type"] == "judge", line["name"], canonical(line)),
    )
    yield from (_line(evaluation) for evaluation in sorted(run.evaluations, key=_place))
    outcomes: Counter[str] = Counter(evaluation.outcome for evaluation in run.evaluations)
    yield {"type": "end", **dict(outcomes)}


def _place(evaluation: Evaluation) -> tuple[str, str, int]:
    return evaluation.pipeline, evaluation.question.id, evaluation.repeat


def _line(evaluation: Evaluation) -> Mapping[str, Any]:
    line = {key: value for key, value in evaluation_to_json(evaluation).items() if key not in _PASSING}
    # Milliseconds are enough to compare latency by.
    line["seconds"] = {stage: round(seconds, 3) for stage, seconds in evaluation.seconds.items()}
    return line
