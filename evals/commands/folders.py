"""What several commands share: where runs, indexes, the cache, cards and baselines lie, and the run named."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_home(parser: argparse.ArgumentParser, what: str = "runs") -> None:
    """Declare `--home`, the folder of `what`."""
    parser.add_argument(
        "--home", type=Path, default=Path(".rag-evals"), help=f"folder of {what} (default: .rag-evals)"
    )


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """Declare `--baselines`."""
    parser.add_argument(
        "--baselines",
        type=Path,
        default=Path("evals-baselines"),
        metavar="DIR",
        help="folder of baselines (default: evals-baselines)",
    )


def named_run(text: str, home: Path, baselines: Path | None = None) -> Path:
    """Return the folder of the run that `text` names, or the file of the baseline; from W&B it is fetched.

    Args:
        text: What was asked for.
        home: Folder of runs.
        baselines: Folder of baselines; None where only a run will do.

    Raises:
        RunFileError: There is no such run; says where it was looked for, and what there is.
        UsageError: W&B does not give it.
    """
    from evals.runs import find_run
    from evals.trackers.references import is_reference

    if is_reference(text):
        from evals.trackers.using import run_of

        return run_of(text, home)
    return find_run(text, home, baselines)
