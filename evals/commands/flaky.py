"""`rag-evals flaky`: questions whose verdict flips over repeats and past runs, and how noisy scores are."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from evals.commands.folders import add_home, named_run
from evals.errors import RunFileError, UsageError, printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from evals.runs import Run


def add_to(commands: Commands) -> None:
    """Declare `flaky`."""
    parser = commands.add_parser(
        "flaky", help="questions whose verdict flips over repeats and past runs, and how noisy scores are"
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run folder, its records.jsonl, a run's id, or latest (default: every run in --home)",
    )
    parser.add_argument("--last", metavar="N", help="only the newest N runs in --home")
    add_home(parser)
    parser.set_defaults(run=_flaky)


def _flaky(options: argparse.Namespace) -> int:
    from evals.measurements import groups_of_runs
    from evals.reports.flaky import flaky_lines

    runs, notes = _named(options) if options.runs else _newest(options)
    for note in notes:
        print(printable(note))
    many = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
    print(f"read: {many}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(flaky_lines(groups_of_runs(runs), width=width)))
    return 0


def _named(options: argparse.Namespace) -> tuple[list[Run], list[str]]:
    """Read the runs that were named, each once.

    Raises:
        UsageError: `--last` is given as well.
        RunFileError: One of them cannot be read.
    """
    from evals.runs import read_run

    if options.last is not None:
        raise UsageError("--last counts the runs in --home: name runs, or give --last, not both")
    folders = dict.fromkeys(named_run(text, options.home).resolve() for text in options.runs)
    return [read_run(folder, strict=True) for folder in folders], []


def _newest(options: argparse.Namespace) -> tuple[list[Run], list[str]]:
    """Read the runs in the home folder; one that cannot be read is a note.

    Raises:
        UsageError: `--last` is no number from 1.
        RunFileError: There is no run at all.
    """
    from evals.runs import RECORDS, read_run
    from evals.settings import parse_count

    last = parse_count("--last", options.last) if options.last is not None else None
    folder = options.home / "runs"
    # `latest` is a link to one of them.
    found = sorted(file.parent for file in folder.glob(f"*/{RECORDS}") if not file.parent.is_symlink())
    runs, notes = [], []
    for path in found[-last:] if last else found:
        try:
            runs.append(read_run(path, strict=True))
        except RunFileError as error:
            notes.append(f"left out: {path.name}: {str(error).splitlines()[0].rstrip(':')}")
    if not found:
        raise RunFileError(printable(f"there is no run in {folder}: name runs, or give another --home"))
    return runs, notes
